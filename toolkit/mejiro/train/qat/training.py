"""Fine-tune a network for int8: it is trained as its file will compute, and keeps the ranges."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mejiro.errors import UsageError
from mejiro.export.normalization import exact_quantization
from mejiro.export.observe import find_ranges
from mejiro.export.quantize import convert_for_quantization, pixel_quantization, quantize
from mejiro.export.recipe import Recipe
from mejiro.export.trained import keep_ranges
from mejiro.model import FloatModel
from mejiro.train.batches import batch_count, take
from mejiro.train.events import Events
from mejiro.train.finetune import FinetuneSettings, finetune
from mejiro.train.pictures import Pictures
from mejiro.train.qat.network import Following, QuantizationAware, quantize_aware
from mejiro_runtime.preprocess import InputSpec
from mejiro_runtime.types import PixelOrder

_SHOWN = 5


@dataclass(frozen=True)
class QatSettings:
    """Say how a network is trained for int8.

    Activations' ranges begin as calibration by `recipe` finds them. They follow the batches for
    the share `follow` of all steps, each of which keeps `momentum` of them, and then stay.
    """

    recipe: Recipe = field(default_factory=Recipe)
    momentum: float = 0.99
    follow: float = 0.5

    def __post_init__(self) -> None:
        Following(self.momentum)  # checks it
        if not 0 <= self.follow <= 1:
            raise UsageError(f"follow is a share of the steps, found {self.follow:g}")


def finetune_quantized(
    model: FloatModel,
    pictures: Pictures,
    settings: FinetuneSettings,
    qat: QatSettings | None = None,
    *,
    teacher: FloatModel | None = None,
    events: Events | None = None,
) -> FloatModel:
    """Train `model` as its int8 file will compute; return it with the ranges for that file.

    As `finetune`, of which it is a kind: the network's own variables change. What is validated,
    and by what the best weights are chosen, is the quantized network, and it begins as the file
    that calibration alone would give. Batch normalization keeps its statistics.

    Raises what `finetune` and `quantize_aware` raise.
    """
    if teacher is not None and teacher.keras_model is model.keras_model:
        raise UsageError("a network cannot teach itself; give a copy of it (`copied`)")
    qat, events = qat or QatSettings(), events or Events()
    events.stage("calibrating")
    source = convert_for_quantization(model)
    file = quantized_file(model, source, pictures.train, qat.recipe)
    steps = settings.epochs * batch_count(len(pictures.train), settings.batch_size)
    following = Following(qat.momentum, round(qat.follow * steps))
    aware = quantize_aware(model, file, following=following)
    if aware.untrained:
        events.note(
            f"{len(aware.untrained)} variables stay as they are, since the int8 file does not "
            f"show what became of them: {', '.join(aware.untrained[:_SHOWN])}"
        )
    tuned = finetune(aware.trainable, pictures, settings, teacher=teacher, events=events)
    record = {
        "recipe": qat.recipe.to_json(),
        "momentum": qat.momentum,
        "follow": qat.follow,
    }
    return replace(
        with_trained_ranges(aware, source, qat.recipe),
        lineage={**tuned.lineage, "quantization_aware": record},
    )


def quantized_file(model: FloatModel, source: bytes, rows: NDArray[Any], recipe: Recipe) -> bytes:
    """Return the int8 file of `model`, calibrated on some of the pictures `rows` (N, H, W, C).

    `source` is what `convert_for_quantization` gives.
    """
    count = min(len(rows), recipe.calibration.pictures)
    places = np.unique(np.linspace(0, len(rows) - 1, count).round().astype(int))
    ranges = find_ranges(source, _tensors(rows, places, model.input), recipe)
    return quantize(source, recipe, ranges, pixels=pixel_quantization(model))


def with_trained_ranges(aware: QuantizationAware, source: bytes, recipe: Recipe) -> FloatModel:
    """Return the float model of `aware` with the ranges that its network has come to."""
    return replace(aware.model, trained=keep_ranges(aware.model, source, recipe, aware.ranges()))


def _tensors(
    rows: NDArray[Any], places: NDArray[Any], spec: InputSpec
) -> Iterator[NDArray[np.float32]]:
    """Yield what `convert_for_quantization` takes for each of the pictures at `places`."""
    scale, offset = (np.array(ends, np.float32) for ends in (spec.scale, spec.offset))
    exact = exact_quantization(spec) is not None
    for place in places:
        pixels = take(rows, np.array([place])).astype(np.float32)
        if exact:
            yield pixels * scale + offset
        else:
            yield pixels[..., ::-1] if spec.order is PixelOrder.BGR else pixels

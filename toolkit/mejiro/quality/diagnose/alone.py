"""Measure what one layer costs by itself: round it alone in the float file, and score that."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from mejiro.data.folders import LabelledPicture
from mejiro.export.flatbuffer import TFLiteFile
from mejiro.model import Artifact, Evaluation
from mejiro.quality.diagnose.comparison import Comparison, Pair
from mejiro.quality.diagnose.network import WEIGHTED
from mejiro.quality.evaluate import evaluate
from mejiro.report.diagnosis.findings import Alone, LayerFindings, Scored
from mejiro_runtime.card import card_path
from mejiro_runtime.files import sha256_of, write_json
from mejiro_runtime.preprocess import Quantization

# As many files are open at once, each as large as the float one.
_AT_ONCE = 8


def score_alone(
    comparison: Comparison,
    layers: Sequence[LayerFindings],
    reference: Artifact,
    pictures: Sequence[LabelledPicture],
    *,
    labelled: bool,
    on_progress: Callable[[int, int], None] | None = None,
) -> dict[int, Alone]:
    """Return what each of `layers` costs, by its place.

    The float file `reference` gets the weights and the bias that the quantized file has for the
    layer, and the layer's output is rounded by the quantized file's own scale; all else stays
    float. Layers that the quantized file leaves as they are cost nothing, and are left out.
    """
    altered = [(layer, _alone(comparison, comparison.pairs[layer.place])) for layer in layers]
    work = [(layer, data) for layer, data in altered if data is not None]
    found: dict[int, Alone] = {}
    for start in range(0, len(work), _AT_ONCE):
        part = work[start : start + _AT_ONCE]
        files = [_beside(reference, f"alone-{layer.place}", data) for layer, data in part]
        first = len(found)

        def tell(done: int, total: int, first: int = first, count: int = len(part)) -> None:
            if on_progress is not None:
                on_progress(first * total + done * count, len(work) * total)

        results = evaluate(
            [*files, reference], pictures, data="", against=reference, on_progress=tell
        )
        whole = results.pop()
        for (layer, _), result in zip(part, results, strict=True):
            found[layer.place] = _cost(result, whole, labelled=labelled)
        for file in files:
            file.path.unlink()
    return found


def _cost(result: Evaluation, whole: Evaluation, *, labelled: bool) -> Alone:
    agreement = 1.0 if result.agreement is None else result.agreement
    lost = whole.top1 - result.top1 if labelled else 1 - agreement
    return Alone(lost=100 * lost, agreement=agreement)


def score_whole(
    artifact: Artifact,
    reference: Artifact,
    pictures: Sequence[LabelledPicture],
    *,
    labelled: bool,
    on_progress: Callable[[int, int], None] | None = None,
) -> Scored:
    """Return how the quantized file and the float one answer."""
    quantized, floats = evaluate(
        [artifact, reference], pictures, data="", against=reference, on_progress=on_progress
    )
    return Scored(
        pictures=quantized.pictures,
        float_top1=floats.top1 if labelled else None,
        top1=quantized.top1 if labelled else None,
        agreement=1.0 if quantized.agreement is None else quantized.agreement,
    )


def _alone(comparison: Comparison, pair: Pair) -> bytes | None:
    """Return the float file with one layer as the quantized file has it; None if it is the same."""
    floats, quantized = comparison.floats, comparison.quantized
    grid = quantized.grid(pair.observed)
    file = TFLiteFile(floats.data)
    changed = _take_weights(file, comparison, pair)
    if grid is not None:
        tensor = quantized.file.tensor(pair.observed)
        step = Quantization(float(grid.scale[0]), int(grid.zero[0]))
        file.round_after(pair.float_output, step, tensor.dtype)
    return file.to_bytes() if changed or grid is not None else None


def _take_weights(file: TFLiteFile, comparison: Comparison, pair: Pair) -> bool:
    """Put the quantized file's weights and bias, made float, into the float file's layer."""
    floats, quantized = comparison.floats, comparison.quantized
    if pair.floats.name not in WEIGHTED or pair.floats.name != pair.quantized.name:
        return False
    changed = False
    for place, other in zip(pair.floats.inputs[1:], pair.quantized.inputs[1:], strict=False):
        if not (floats.is_constant(place) and quantized.is_constant(other)):
            continue
        values = quantized.floats(other)
        if values.shape == floats.values(place).shape and (values != floats.values(place)).any():
            file.set_constant(place, np.asarray(values, np.float32))
            changed = True
    return changed


def _beside(reference: Artifact, name: str, data: bytes) -> Artifact:
    """Write `data` with the card of `reference` beside that."""
    path = Path(reference.path.parent) / f"{name}.tflite"
    path.write_bytes(data)
    card = replace(reference.card, file=path.name, size_bytes=len(data), sha256=sha256_of(path))
    write_json(card_path(path), card.to_json())
    return Artifact(path, card)

"""Take every row of the table all the way: build, train, convert, bundle, run, compare.

Once at the smallest size that a row can have, and once at full size, which takes an hour and
gigabytes: `make test-full-size`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from mejiro.bundle.write import BundleOptions, write_bundle
from mejiro.data.calibration import calibration_from_folder
from mejiro.export import Exporter, export_with
from mejiro.model import FloatModel
from mejiro.zoo import MODELS, ModelSpec, Weights, build
from mejiro_runtime.card import ArtifactCard, Format, Precision
from mejiro_runtime.model import open_model
from mejiro_runtime.preprocess import Preprocessor
from mejiro_runtime.types import Frame, Label, PixelOrder

LABELS = tuple(Label(index, f"class {index}") for index in range(4))
# The engines' integer kernels for hard swish and average pooling often end one step apart, which
# a network at random carries on and magnifies; those of other operators hardly ever do. How far
# a single operator's answers lie apart is checked in tests/toolkit/export/test_operators.py.
UNEQUAL_KERNELS = frozenset(
    {"inception-v3", "inception-resnet-v2", "mobilenet-v3-small", "mobilenet-v3-large"}
)
TOO_DEEP = frozenset({"inception-resnet-v2"})  # 244 convolutions, which no option makes fewer


def write_pictures(folder: Path, *, count: int, side: int) -> Path:
    """Write pictures with patches of colours, from dark to light."""
    folder.mkdir()
    rng = np.random.default_rng(11)
    for index in range(count):
        patches = rng.integers(0, 64 + 191 * (index + 1) // count, (7, 7, 3)).astype(np.uint8)
        picture = cv2.resize(patches, (side, side), interpolation=cv2.INTER_CUBIC)
        assert cv2.imwrite(str(folder / f"{index}.png"), picture)
    return folder


def train_one_step(keras: Any, network: Any, inputs: NDArray[np.float32]) -> None:
    """Change the weights once by the gradient of the loss; all of it has to be finite."""
    network.compile(keras.optimizers.SGD(1e-3), "sparse_categorical_crossentropy", run_eagerly=True)
    before = [weight.numpy() for weight in network.trainable_weights]
    loss = network.train_on_batch(inputs, np.arange(len(inputs)) % len(LABELS))
    assert np.isfinite(loss)
    after = [weight.numpy() for weight in network.trainable_weights]
    assert all(np.isfinite(weight).all() for weight in after)
    assert any((one != two).any() for one, two in zip(before, after, strict=True))


def read_pictures(folder: Path) -> list[NDArray[np.uint8]]:
    return [cv2.imread(str(path)) for path in sorted(folder.iterdir())]


def tensors_of(model: FloatModel, folder: Path) -> NDArray[np.float32]:
    prepare = Preprocessor(model.input)
    rows = [prepare(pixels, PixelOrder.BGR)[0] for pixels in read_pictures(folder)]
    return np.stack(rows)


def answers(
    path: Path, card: ArtifactCard, pictures: list[NDArray[np.uint8]]
) -> NDArray[np.float32]:
    """What the runtime makes of the pictures with one file."""
    with open_model(path, card, threads=1) as model:
        rows = [
            model.scores(Frame(pixels, PixelOrder.BGR, 0, captured_ns=0, capture_ns=0)).copy()
            for pixels in pictures
        ]
    return np.stack(rows)


@dataclass(frozen=True)
class Journey:
    """Hold what a row answered at each station, (pictures, classes)."""

    keras: NDArray[np.float32]
    float_file: NDArray[np.float32]
    int8_tflite: NDArray[np.float32]
    int8_onnx: NDArray[np.float32]


def travel(model: FloatModel, folder: Path, out: Path, tensors: NDArray[np.float32]) -> Journey:
    """Convert and bundle `model`, and run it from the bundle."""
    rows = [model.keras_model(row[None], training=False).numpy() for row in tensors]
    expected = np.concatenate(rows)
    exporter = Exporter(model, calibration=calibration_from_folder(folder))
    artifacts = [
        export_with(exporter, format=format, precision=precision, out=out / "files")
        for format, precision in (
            (Format.TFLITE, Precision.FP32),
            (Format.TFLITE, Precision.INT8),
            (Format.ONNX, Precision.INT8),
        )
    ]
    bundle = write_bundle(artifacts, out / "bundle", options=BundleOptions(golden=folder))
    frames = read_pictures(folder)
    rows = []
    for artifact in artifacts:
        card = bundle.card(artifact.card.file)
        rows.append(answers(bundle.model_path(card), card, frames))
    return Journey(expected, *rows)


def sharpen(network: Any, classifier: str, inputs: NDArray[np.float32]) -> None:
    """Scale the classifier so that pictures are told apart: nothing else could disagree."""
    logits = np.log(network(inputs, training=False).numpy() + 1e-9)
    spread = (logits - logits.mean(axis=1, keepdims=True)).std(axis=0).mean()
    layer = network.get_layer(classifier)
    kernel, *bias = layer.get_weights()
    layer.set_weights([kernel * np.clip(0.3 / spread, 1, 100), *bias])


def compare(name: str, journey: Journey) -> None:
    def largest(one: NDArray[np.float32], two: NDArray[np.float32]) -> float:
        return float(np.abs(one - two).max())

    assert np.ptp(journey.keras, axis=0).max() > 0.05  # pictures are told apart
    assert largest(journey.float_file, journey.keras) < 1e-3
    between = np.abs(journey.int8_tflite - journey.int8_onnx).max(axis=1)
    if name in UNEQUAL_KERNELS:
        files = (journey.int8_tflite, journey.int8_onnx)
        assert between.max() <= 2 * max(largest(file, journey.keras) for file in files)
    else:
        # Now and then an integer between two steps goes the other way for one picture.
        assert np.median(between) < 0.01


def go_all_the_way(
    keras: Any, settle_norms: Any, spec: ModelSpec, model: FloatModel, pictures: Path, out: Path
) -> None:
    network = model.keras_model
    tensors = tensors_of(model, pictures)
    train_one_step(keras, network, tensors)
    settle_norms(network, tensors)
    sharpen(network, spec.classifier, tensors)
    compare(spec.name, travel(model, pictures, out, tensors))


ROWS = [pytest.param(name, marks=[pytest.mark.slow] if name in TOO_DEEP else []) for name in MODELS]


@pytest.mark.parametrize("name", ROWS)
def test_a_row_goes_all_the_way_at_its_smallest(
    keras: Any, settle_norms: Any, smallest_row: Any, tmp_path: Path, name: str
) -> None:
    spec = MODELS[name]
    model = smallest_row(name, LABELS)
    pictures = write_pictures(tmp_path / "pictures", count=8, side=96)
    go_all_the_way(keras, settle_norms, spec, model, pictures, tmp_path)


@pytest.mark.slow
@pytest.mark.full_size
@pytest.mark.parametrize("name", MODELS)
def test_a_row_goes_all_the_way_at_full_size(
    keras: Any, settle_norms: Any, tmp_path: Path, name: str
) -> None:
    spec = MODELS[name]
    model = build(name, weights=Weights.NONE)
    # Two pictures, since a step of training at 600 x 600 takes gigabytes for each.
    pictures = write_pictures(tmp_path / "pictures", count=2, side=spec.image_size + 40)
    go_all_the_way(keras, settle_norms, spec, model, pictures, tmp_path)
    keras.backend.clear_session()

"""Make a tiny mobile network with ReLU, whole and broken on purpose, and pictures for it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from mejiro.data.calibration import CalibrationSet, calibration_from_folder
from mejiro.export import export
from mejiro.model import Artifact, FloatModel
from mejiro.quality.diagnose import scale_channel
from mejiro.tensorflow import load_keras
from mejiro_runtime.card import Format, Precision, Scores
from mejiro_runtime.preprocess import InputSpec, TensorType
from mejiro_runtime.types import Label

SIDE, CLASSES = 16, 5
BROKEN, CHANNEL, FACTOR = "project", 3, 200.0


def _network(seed: int = 7) -> Any:
    keras = load_keras()
    keras.utils.set_random_seed(seed)
    layers = keras.layers
    pixels = layers.Input((SIDE, SIDE, 3))
    x = layers.Conv2D(8, 3, 2, "same", use_bias=False, name="stem")(pixels)
    x = layers.BatchNormalization(name="stem_bn")(x)
    x = layers.ReLU(name="stem_relu")(x)
    x = layers.DepthwiseConv2D(3, 1, "same", use_bias=False, name="depthwise")(x)
    x = layers.BatchNormalization(name="depthwise_bn")(x)
    x = layers.ReLU(name="depthwise_relu")(x)
    x = layers.Conv2D(6, 1, use_bias=False, name="project")(x)
    x = layers.BatchNormalization(name="project_bn")(x)
    x = y = layers.Conv2D(12, 1, name="expand", activation="relu")(x)
    y = layers.Conv2D(12, 3, padding="same", name="mix")(y)
    x = layers.Add(name="sum")([x, y])
    x = layers.Activation("swish", name="swish")(x)
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    model = keras.Model(pixels, layers.Dense(CLASSES, activation="softmax", name="tell")(x))
    rng = np.random.default_rng(seed)
    for layer in model.layers:
        if isinstance(layer, layers.BatchNormalization):
            size = layer.gamma.shape[0]
            spans = ((0.5, 1.5), (-0.5, 0.5), (-0.3, 0.3), (0.5, 1.5))
            layer.set_weights([rng.uniform(low, high, size) for low, high in spans])
    return model


@pytest.fixture(scope="package")
def whole() -> FloatModel:
    """Return the network as it is."""
    return FloatModel(
        name="tiny",
        keras_model=_network(),
        input=InputSpec(
            SIDE, SIDE, scale=(1 / 128,), offset=(-127 / 128,), dtype=TensorType.FLOAT32
        ),
        labels=tuple(Label(index, f"class {index}") for index in range(CLASSES)),
        scores=Scores.PROBABILITIES,
    )


@pytest.fixture(scope="package")
def broken(whole: FloatModel) -> FloatModel:
    """Return the network with one channel scaled by 200, and divided by it in the next layer."""
    return scale_channel(whole, BROKEN, CHANNEL, FACTOR)


@pytest.fixture(scope="package")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of twelve pictures, from dark to light, in folders that name classes."""
    folder = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(5)
    for index in range(12):
        place = folder / f"class {index % 3}"
        place.mkdir(exist_ok=True)
        pixels = rng.integers(0, 60 + 17 * index, (20, 20, 3)).astype(np.uint8)
        assert cv2.imwrite(str(place / f"{index}.png"), pixels)
    return folder


@pytest.fixture(scope="package")
def pictures(folder: Path) -> CalibrationSet:
    """Return those pictures as a set."""
    return calibration_from_folder(folder)


WriteFile = Callable[..., Artifact]


@pytest.fixture(scope="package")
def write_file(pictures: CalibrationSet, tmp_path_factory: pytest.TempPathFactory) -> WriteFile:
    """Return a function that exports a network, int8 TFLite if not told otherwise."""

    def write(
        model: FloatModel,
        format: Format = Format.TFLITE,
        precision: Precision = Precision.INT8,
        calibration: CalibrationSet = pictures,
    ) -> Artifact:
        out = tmp_path_factory.mktemp("file")
        return export(model, format=format, precision=precision, out=out, calibration=calibration)

    return write


@pytest.fixture(scope="package")
def whole_file(whole: FloatModel, write_file: WriteFile) -> Artifact:
    """Return the int8 file of the network."""
    return write_file(whole)


@pytest.fixture(scope="package")
def broken_file(broken: FloatModel, write_file: WriteFile) -> Artifact:
    """Return the int8 file of the broken network."""
    return write_file(broken)

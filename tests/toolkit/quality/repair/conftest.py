"""Make tiny networks as float files, whole and broken on purpose, and pictures for them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

from mejiro.data.calibration import CalibrationSet, calibration_from_folder
from mejiro.data.folders import LabelledPicture
from mejiro.export.quantize import convert_for_quantization
from mejiro.model import FloatModel
from mejiro.quality.diagnose import scale_channel
from mejiro.quality.repair.looks import Looks
from mejiro.tensorflow import load_keras
from mejiro_runtime.card import Scores
from mejiro_runtime.preprocess import InputSpec, TensorType
from mejiro_runtime.types import Label

SIDE, CLASSES = 16, 5
BROKEN, CHANNEL, FACTOR = "project", 3, 200.0

MakeModel = Callable[..., FloatModel]


def _network(activation: str, seed: int) -> Any:
    """Return a residual network with depthwise layers, batch norms, and a head."""
    keras = load_keras()
    keras.utils.set_random_seed(seed)
    layers = keras.layers

    def norm(x: Any, name: str, *, active: bool = True) -> Any:
        x = layers.BatchNormalization(name=f"{name}_bn")(x)
        return layers.Activation(activation, name=f"{name}_act")(x) if active else x

    pixels = layers.Input((SIDE, SIDE, 3))
    x = norm(layers.Conv2D(8, 3, 2, "same", use_bias=False, name="stem")(pixels), "stem")
    x = norm(layers.DepthwiseConv2D(3, padding="same", name="depthwise")(x), "depthwise")
    x = norm(layers.Conv2D(6, 1, use_bias=False, name="project")(x), "project", active=False)
    x = norm(layers.Conv2D(12, 1, name="expand")(x), "expand")
    x = norm(layers.Conv2D(6, 1, name="narrow")(x), "narrow", active=False)
    y = norm(layers.Conv2D(12, 1, name="wide")(x), "wide")
    y = norm(layers.Conv2D(6, 3, padding="same", name="back")(y), "back", active=False)
    x = layers.Add(name="sum")([x, y])
    x = norm(layers.Conv2D(16, 1, name="head")(x), "head")
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    model = keras.Model(pixels, layers.Dense(CLASSES, activation="softmax", name="tell")(x))
    rng = np.random.default_rng(seed)
    for layer in model.layers:
        if isinstance(layer, layers.BatchNormalization):
            size = layer.gamma.shape[0]
            spans = ((0.5, 1.5), (-0.5, 0.5), (-0.3, 0.3), (0.5, 1.5))
            layer.set_weights([rng.uniform(low, high, size) for low, high in spans])
    _let_classes_be_close(model)
    return model


def _let_classes_be_close(model: Any) -> None:
    """Set the last layer so that pictures fall into all classes, many of them narrowly."""
    keras = load_keras()
    values = _tints().astype(np.float32)[:, :SIDE, :SIDE] / 128 - 127 / 128
    features = keras.Model(model.inputs, model.get_layer("pool").output)(values).numpy()
    kernel = model.get_layer("tell").get_weights()[0]
    logits = features @ kernel
    kernel = kernel / logits.std(axis=0) * 3
    model.get_layer("tell").set_weights([kernel, -(features @ kernel).mean(axis=0)])


def _tints() -> Any:
    """Return forty pictures of noise, from dark to light and of many tints, RGB."""
    rng = np.random.default_rng(5)
    tints = rng.uniform(0.1, 1.0, (40, 1, 1, 3))
    return (rng.integers(0, 256, (40, 20, 20, 3)) * tints).astype(np.uint8)


@pytest.fixture(scope="package")
def make_model() -> MakeModel:
    """Return a function that makes the network with an activation, by a seed."""

    def make(activation: str = "relu", seed: int = 7) -> FloatModel:
        return FloatModel(
            name="tiny",
            keras_model=_network(activation, seed),
            input=InputSpec(
                SIDE, SIDE, scale=(1 / 128,), offset=(-127 / 128,), dtype=TensorType.FLOAT32
            ),
            labels=tuple(Label(index, f"class {index}") for index in range(CLASSES)),
            scores=Scores.PROBABILITIES,
        )

    return make


@pytest.fixture(scope="package")
def make_source(make_model: MakeModel) -> Callable[[str], bytes]:
    """Return a function that gives the float file of that network, made once."""
    known: dict[str, bytes] = {}

    def make(activation: str) -> bytes:
        if activation not in known:
            known[activation] = convert_for_quantization(make_model(activation))
        return known[activation]

    return make


@pytest.fixture(scope="package")
def whole(make_model: MakeModel) -> FloatModel:
    """Return the network with ReLU."""
    return make_model()


@pytest.fixture(scope="package")
def broken(whole: FloatModel) -> FloatModel:
    """Return the network with one channel scaled by 200, and divided by it in the next layer."""
    return scale_channel(whole, BROKEN, CHANNEL, FACTOR)


@pytest.fixture(scope="package")
def whole_source(make_source: Callable[[str], bytes]) -> bytes:
    """Return the float file of the network."""
    return make_source("relu")


@pytest.fixture(scope="package")
def broken_source(broken: FloatModel) -> bytes:
    """Return the float file of the broken network."""
    return convert_for_quantization(broken)


@pytest.fixture(scope="package")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of those pictures."""
    folder = tmp_path_factory.mktemp("pictures")
    for index, pixels in enumerate(_tints()):
        assert cv2.imwrite(str(folder / f"{index:02d}.png"), pixels[..., ::-1])
    return folder


@pytest.fixture(scope="package")
def pictures(folder: Path) -> CalibrationSet:
    """Return those pictures as a set to calibrate with."""
    return calibration_from_folder(folder)


Answers = Callable[[bytes, FloatModel, CalibrationSet], Any]


@pytest.fixture(scope="package")
def answers() -> Answers:
    """Return a function that gives the scores of a float file, (pictures, classes)."""

    def run(source: bytes, model: FloatModel, pictures: CalibrationSet) -> Any:
        interpreter = Interpreter(model_content=source, num_threads=1)
        interpreter.allocate_tensors()
        (entry,), (end,) = interpreter.get_input_details(), interpreter.get_output_details()
        rows = []
        for tensor in pictures.tensors(model.input):
            interpreter.set_tensor(entry["index"], tensor)
            interpreter.invoke()
            rows.append(interpreter.get_tensor(end["index"])[0])
        return np.stack(rows)

    return run


@pytest.fixture(scope="package")
def labelled(
    whole: FloatModel, whole_source: bytes, pictures: CalibrationSet, answers: Answers
) -> tuple[LabelledPicture, ...]:
    """Return the pictures with what the float network takes them for."""
    scores = answers(whole_source, whole, pictures)
    return tuple(
        LabelledPicture(picture.path, int(row.argmax()))
        for picture, row in zip(pictures.pictures, scores, strict=True)
    )


@pytest.fixture(scope="package")
def looks(whole: FloatModel, pictures: CalibrationSet) -> Looks:
    """Return what looks into float files of this network."""
    return Looks(whole, pictures, lambda text: None)

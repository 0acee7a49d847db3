"""Make tiny seeded classifiers, and pictures to calibrate them with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from mejiro.data.calibration import CalibrationSet
from mejiro.model import Artifact, FloatModel
from mejiro.tensorflow import load_keras
from mejiro_runtime.card import Format, Scores
from mejiro_runtime.preprocess import InputSpec, TensorType
from mejiro_runtime.types import Label, PixelOrder

SIDE = 24
CLASSES = 7
FOLDED = ((1 / 128,), (-127 / 128,))
SIGNED = ((1 / 127.5,), (-1.0,))
PER_CHANNEL = ((0.0171, 0.0175, 0.0174), (-2.12, -2.04, -1.80))
LABELS = tuple(Label(index, f"class {index}") for index in range(CLASSES))

MakeModel = Callable[..., FloatModel]


def float_input(
    normalization: tuple[tuple[float, ...], tuple[float, ...]] = FOLDED,
    order: PixelOrder = PixelOrder.RGB,
) -> InputSpec:
    """Return the input of a float model that takes pixels through `normalization`."""
    scale, offset = normalization
    return InputSpec(
        height=SIDE, width=SIDE, order=order, scale=scale, offset=offset, dtype=TensorType.FLOAT32
    )


def _build(keras: Any, seed: int, *, logits: bool) -> Any:
    """Return a small network with all that a mobile classifier has."""
    keras.utils.set_random_seed(seed)
    layers = keras.layers
    inputs = layers.Input((SIDE, SIDE, 3))
    x = layers.Conv2D(8, 3, 2, "same", use_bias=False)(inputs)
    x = layers.BatchNormalization()(x)
    x = layers.ReLU(6.0)(x)
    y = layers.DepthwiseConv2D(3, 1, "same", use_bias=False)(x)
    y = layers.BatchNormalization()(y)
    y = layers.ReLU(6.0)(y)
    y = layers.Conv2D(8, 1, use_bias=False)(y)
    y = layers.BatchNormalization()(y)
    x = layers.Add()([x, y])
    x = layers.GlobalAveragePooling2D()(x)
    outputs = layers.Dense(CLASSES, activation=None if logits else "softmax")(x)
    model = keras.Model(inputs, outputs)
    rng = np.random.default_rng(seed)
    for layer in model.layers:
        # Norms that do something, and scores far enough apart to compare.
        if isinstance(layer, keras.layers.BatchNormalization):
            size = layer.gamma.shape[0]
            spans = ((0.5, 1.5), (-0.5, 0.5), (-0.3, 0.3), (0.5, 1.5))
            layer.set_weights([rng.uniform(low, high, size) for low, high in spans])
        if isinstance(layer, keras.layers.Dense):
            weights, bias = layer.get_weights()
            layer.set_weights([weights * 4, rng.uniform(-0.5, 0.5, bias.shape)])
    return model


def _model_maker() -> MakeModel:
    """Return a function that makes the classifier, as probabilities or as logits."""
    built: dict[bool, Any] = {}

    def make(spec: InputSpec | None = None, *, logits: bool = False) -> FloatModel:
        if logits not in built:
            built[logits] = _build(load_keras(), 3, logits=logits)
        return FloatModel(
            name="tiny",
            keras_model=built[logits],
            input=spec or float_input(),
            labels=LABELS,
            scores=Scores.LOGITS if logits else Scores.PROBABILITIES,
            lineage={"seed": 3},
        )

    return make


@dataclass(frozen=True)
class Noise:
    """Give a picture of noise, whose pixels lie between two limits."""

    seed: int
    low: int = 0
    high: int = 256

    @property
    def name(self) -> str:
        return f"noise {self.seed}"

    def read(self) -> tuple[np.ndarray[Any, Any], PixelOrder]:
        rng = np.random.default_rng(self.seed)
        shape = (SIDE, SIDE, 3)
        return rng.integers(self.low, self.high, shape, dtype=np.uint8), PixelOrder.RGB


def noise(count: int = 8, *, low: int = 0, high: int = 256) -> CalibrationSet:
    """Return a calibration set of noise, from dark to light as `random_pixels` is."""
    ceilings = np.linspace(low + (high - low) // 5, high, count).astype(int)
    pictures = tuple(Noise(seed, low, int(ceiling)) for seed, ceiling in enumerate(ceilings))
    return CalibrationSet("noise", pictures)


def random_pixels(count: int = 16) -> np.ndarray[Any, Any]:
    """Return pictures for the tiny classifier, (count, SIDE, SIDE, 3) uint8, light and dark."""
    rng = np.random.default_rng(77)
    pictures = rng.integers(0, 256, (count, SIDE, SIDE, 3))
    ceilings = np.linspace(60, 255, count).reshape(-1, 1, 1, 1)
    return (pictures * ceilings / 255).astype(np.uint8)


def run(artifact: Artifact, pixels: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return what the engine makes of each of `pixels`, one raw row for each."""
    return run_file(artifact.path, artifact.card.format, pixels)


def run_file(path: Path, format: Format, pixels: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    rows = []
    if format is Format.TFLITE:
        from ai_edge_litert.interpreter import Interpreter

        interpreter = Interpreter(str(path), num_threads=1)
        interpreter.allocate_tensors()
        (given,), (made,) = interpreter.get_input_details(), interpreter.get_output_details()
        for picture in pixels:
            interpreter.set_tensor(given["index"], picture[None])
            interpreter.invoke()
            rows.append(interpreter.get_tensor(made["index"])[0].copy())
    else:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        session = onnxruntime.InferenceSession(
            str(path), options, providers=["CPUExecutionProvider"]
        )
        name = session.get_inputs()[0].name
        rows = [session.run(None, {name: picture[None]})[0][0] for picture in pixels]
    return np.stack(rows)


def keras_probabilities(model: FloatModel, pixels: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return what the Keras model says of `pixels` (RGB), normalized in float64 outside of it."""
    scale, offset = (np.array(value, dtype=np.float64) for value in _normalization(model))
    ordered = pixels[..., ::-1] if model.input.order is PixelOrder.BGR else pixels
    scores = model.keras_model.predict((ordered * scale + offset).astype(np.float32), verbose=0)
    if model.scores is Scores.LOGITS:
        scores = np.exp(scores - scores.max(axis=1, keepdims=True))
        scores = scores / scores.sum(axis=1, keepdims=True)
    return np.asarray(scores)


def _normalization(model: FloatModel) -> tuple[tuple[float, ...], tuple[float, ...]]:
    return model.input.scale, model.input.offset


@pytest.fixture(scope="session")
def tiny() -> SimpleNamespace:
    """Give a tiny classifier in many variants, and what it takes to look at its files."""
    return SimpleNamespace(
        model=_model_maker(),
        input=float_input,
        noise=noise,
        pixels=random_pixels,
        run=run,
        run_file=run_file,
        expected=keras_probabilities,
        FOLDED=FOLDED,
        SIGNED=SIGNED,
        PER_CHANNEL=PER_CHANNEL,
        LABELS=LABELS,
        SIDE=SIDE,
        CLASSES=CLASSES,
    )

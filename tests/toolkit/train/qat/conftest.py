"""Give a tiny network of all that quantization treats in its own way, and pictures for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mejiro.model import FloatModel
from mejiro.train.pictures import Pictures
from mejiro_runtime.card import Scores
from mejiro_runtime.preprocess import InputSpec, TensorType
from mejiro_runtime.types import Label, PixelOrder

SIDE, CLASSES = 16, 4
EXACT = ((1 / 128,), (-127 / 128,))
PER_CHANNEL = ((0.0171, 0.0175, 0.0174), (-2.12, -2.04, -1.80))

MakeNetwork = Callable[..., FloatModel]


def input_spec(
    normalization: tuple[tuple[float, ...], tuple[float, ...]] = EXACT,
    order: PixelOrder = PixelOrder.RGB,
) -> InputSpec:
    scale, offset = normalization
    return InputSpec(SIDE, SIDE, order=order, scale=scale, offset=offset, dtype=TensorType.FLOAT32)


def gate(keras: Any, x: Any) -> Any:
    """Squeeze and excite, with the hard sigmoid that MobileNet V3 spells out."""
    layers = keras.layers
    y = layers.GlobalAveragePooling2D(keepdims=True, name="squeeze")(x)
    y = layers.Conv2D(4, 1, activation="relu", name="squeeze_conv")(y)
    y = layers.Conv2D(8, 1, name="excite_conv")(y)
    y = layers.ReLU(6.0, name="hard_sigmoid")(y + 3.0) * (1.0 / 6.0)
    return layers.Multiply(name="excite")([x, y])


def build(keras: Any, seed: int) -> Any:
    """Return conv, batch norm and ReLU6, depthwise, hard swish, a gate, a residual, a concat."""
    keras.utils.set_random_seed(seed)
    layers = keras.layers
    inputs = keras.Input((SIDE, SIDE, 3), name="pixels")
    x = layers.Conv2D(8, 3, strides=2, padding="same", use_bias=False, name="stem")(inputs)
    x = layers.BatchNormalization(name="stem_bn")(x)
    x = layers.ReLU(6.0, name="stem_relu")(x)
    y = layers.ZeroPadding2D(1, name="pad")(x)
    y = layers.DepthwiseConv2D(3, use_bias=False, name="depthwise")(y)
    y = layers.BatchNormalization(name="depthwise_bn")(y)
    y = layers.Activation("hard_swish", name="swish")(y)
    y = gate(keras, y)
    y = layers.Conv2D(8, 1, use_bias=False, name="project")(y)
    y = layers.BatchNormalization(name="project_bn")(y)
    x = layers.Add(name="residual")([x, y])
    z = layers.Conv2D(6, 1, activation="relu", name="branch")(x)
    x = layers.Concatenate(name="concat")([x, z])
    x = layers.AveragePooling2D(2, name="average")(x)
    x = layers.Conv2D(12, 3, padding="same", name="last")(x)
    x = layers.BatchNormalization(scale=False, name="last_bn")(x)
    x = layers.ReLU(name="last_relu")(x)
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    x = layers.Dense(CLASSES, name="classifier")(x)
    model = keras.Model(inputs, layers.Softmax(name="probabilities")(x), name="tiny")
    rng = np.random.default_rng(seed)
    for layer in model.layers:
        if isinstance(layer, layers.BatchNormalization):
            # Norms that do something: factors, offsets, means and variances.
            spans = ((0.5, 1.5), (-0.5, 0.5), (-0.3, 0.3), (0.3, 1.5))
            spans = spans[0 if layer.scale else 1 :]
            size = layer.moving_mean.shape
            layer.set_weights([rng.uniform(low, high, size) for low, high in spans])
    return model


@pytest.fixture(scope="session")
def make_network(keras: Any) -> MakeNetwork:
    """Return a function that makes the network anew, since training changes it."""

    def make(spec: InputSpec | None = None, seed: int = 3) -> FloatModel:
        return FloatModel(
            name="tiny",
            keras_model=build(keras, seed),
            input=spec or input_spec(),
            labels=tuple(Label(index, f"class {index}") for index in range(CLASSES)),
            scores=Scores.PROBABILITIES,
        )

    return make


def patches(count: int, seed: int) -> NDArray[np.uint8]:
    """Return pictures of coarse patches, so that averages differ and all values occur."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (count, SIDE // 4, SIDE // 4, 3))
    pixels = coarse.repeat(4, axis=1).repeat(4, axis=2) + rng.integers(-30, 30, (SIDE, SIDE, 3))
    return np.clip(pixels, 0, 255).astype(np.uint8)


# How pictures enter: as the file's own quantization, or through a convolution that normalizes.
SPECS = {
    "exact": input_spec(EXACT),
    "per channel": input_spec(PER_CHANNEL),
    "BGR": input_spec(PER_CHANNEL, PixelOrder.BGR),
}


@pytest.fixture(scope="session")
def specs() -> dict[str, InputSpec]:
    return SPECS


@pytest.fixture(scope="session")
def pixels() -> NDArray[np.uint8]:
    """Give pictures that nothing was calibrated or trained with."""
    return patches(24, 5)


@pytest.fixture(scope="session")
def lessons() -> Pictures:
    """Give pictures whose class is their brightest corner's, more or less."""
    train, val = patches(32, 1), patches(16, 2)
    truths = [
        np.argmax([rows[:, y, x].sum(axis=-1) for y in (2, 13) for x in (2, 13)], axis=0).astype(
            np.int32
        )
        for rows in (train, val)
    ]
    return Pictures("patches", train, val, *truths)

"""Folded layers compute what they did before, with the same gradients, and are whole again."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mejiro.tensorflow import load_tensorflow
from mejiro.train.folding import folded
from mejiro.zoo import BuildOptions, Weights, build


@pytest.fixture
def network(keras: Any) -> Any:
    """All that folding has to tell apart: biases, depthwise kernels, a map that two layers read."""
    keras.utils.set_random_seed(1)
    layers = keras.layers
    inputs = keras.Input((9, 9, 3), name="pixels")
    x = layers.Conv2D(4, 3, strides=2, padding="same", use_bias=False, name="plain")(inputs)
    x = layers.BatchNormalization(name="plain_bn")(x)
    x = layers.DepthwiseConv2D(3, depth_multiplier=2, padding="same", name="depthwise")(x)
    x = layers.BatchNormalization(scale=False, name="depthwise_bn")(x)
    y = layers.Conv2D(8, 3, dilation_rate=2, padding="same", name="read_twice")(x)
    x = layers.Add(name="add")([layers.BatchNormalization(name="kept_bn")(y), y])
    x = layers.Conv2D(8, 1, activation="relu", name="active")(x)
    x = layers.BatchNormalization(name="after_relu_bn")(x)
    x = layers.Conv2D(8, 1, groups=2, name="grouped")(x)
    x = layers.BatchNormalization(center=False, name="grouped_bn")(x)
    model = keras.Model(inputs, x)
    rng = np.random.default_rng(4)
    for layer in model.layers:
        if isinstance(layer, layers.BatchNormalization):
            layer.set_weights([rng.uniform(0.5, 2, v.shape) for v in layer.get_weights()])
    return model


def gradients(model: Any, pixels: np.ndarray) -> list[np.ndarray]:
    tf = load_tensorflow()
    with tf.GradientTape() as tape:
        outputs = model(pixels, training=True)
        loss = tf.reduce_sum(outputs * np.linspace(-1, 1, outputs.shape[-1]).astype(np.float32))
    found = tape.gradient(loss, model.trainable_variables)
    return [np.asarray(outputs), *(np.asarray(gradient) for gradient in found)]


def calls_of(model: Any) -> list[str]:
    return [layer.name for layer in model.layers if "call" in vars(layer)]


def test_outputs_and_gradients_stay(keras: Any, network: Any) -> None:
    pixels = np.random.default_rng(0).normal(size=(5, 9, 9, 3)).astype(np.float32)
    for layer in network.layers:
        layer.trainable = not isinstance(layer, keras.layers.BatchNormalization)
    plain = gradients(network, pixels)
    with folded(network.layers):
        assert calls_of(network) == [
            "plain", "plain_bn", "depthwise", "depthwise_bn", "grouped", "grouped_bn",
        ]  # fmt: skip
        quick = gradients(network, pixels)
    for one, other in zip(plain, quick, strict=True):
        assert other == pytest.approx(one, rel=1e-4, abs=1e-4 * float(np.abs(one).max()))
    assert calls_of(network) == []
    for one, other in zip(plain, gradients(network, pixels), strict=True):
        assert (one == other).all()


def test_what_is_trained_is_not_folded(network: Any) -> None:
    with folded(network.layers):
        assert calls_of(network) == []


def test_networks_of_the_zoo_are_folded_through_and_through(keras: Any) -> None:
    options = BuildOptions(image_size=32)
    model = build("efficientnet-lite0", weights=Weights.NONE, options=options).keras_model
    norms = [one for one in model.layers if isinstance(one, keras.layers.BatchNormalization)]
    for layer in norms:
        layer.trainable = False
    pixels = np.random.default_rng(0).normal(size=(2, 32, 32, 3)).astype(np.float32)
    plain = np.asarray(model(pixels, training=False))
    with folded(model.layers):
        assert len(calls_of(model)) == 2 * len(norms)
        assert np.asarray(model(pixels, training=False)) == pytest.approx(plain, rel=1e-3)

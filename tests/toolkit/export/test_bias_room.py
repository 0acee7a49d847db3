"""A channel without weights keeps its bias in an int8 file."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from mejiro.export.bias_room import BIAS_LIMIT, WEIGHT_STEPS, least_bound
from mejiro.export.observe import find_ranges
from mejiro.export.quantize import convert_for_quantization, pixel_quantization, quantize
from mejiro.export.recipe import Recipe
from mejiro.tensorflow import load_keras
from mejiro_runtime.card import Format


def dying(keras: Any, weight: float, kind: str) -> Any:
    """Return a network one of whose channels has next to no weights, and a bias of 3."""
    keras.utils.set_random_seed(2)
    layers = keras.layers
    inputs = layers.Input((24, 24, 3))
    if kind == "conv":
        layer = layers.Conv2D(3, 3, name="dying")
    elif kind == "depthwise":
        layer = layers.DepthwiseConv2D(3, name="dying")
    else:
        layer = layers.Dense(3, name="dying")
    x = layer(layers.GlobalAveragePooling2D()(inputs) if kind == "dense" else inputs)
    if kind != "dense":
        x = layers.GlobalAveragePooling2D()(x)
    outputs = layers.Dense(7, activation="softmax", name="scores")(x)
    kernel, bias = layer.get_weights()
    kernel[..., 1, 0 if kind == "depthwise" else slice(None)] *= 1.0
    channel = (..., 1, slice(None)) if kind == "depthwise" else (..., 1)
    kernel[channel] = weight
    bias[1] = 3.0
    layer.set_weights([kernel, bias])
    return keras.Model(inputs, outputs)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("kind", ["conv", "depthwise", "dense"])
@pytest.mark.parametrize("weight", [0.0, 1e-12, 1e-7])
def test_the_bias_of_a_dead_channel_survives(
    tiny: Any, kind: str, weight: float, tmp_path: Any
) -> None:
    model = replace(tiny.model(), keras_model=dying(load_keras(), weight, kind))
    pictures = tiny.pixels()
    pixels = pixel_quantization(model)
    source = convert_for_quantization(model)
    tensors = [
        (one[None].astype(np.float32) - pixels.zero_point) * np.float32(pixels.scale)
        for one in pictures
    ]
    data = quantize(source, Recipe(), find_ranges(source, tensors, Recipe()), pixels=pixels)
    path = tmp_path / "model.tflite"
    path.write_bytes(data)
    found = tiny.run_file(path, Format.TFLITE, pictures)
    assert np.abs(found - tiny.expected(model, pictures)).max() < 0.05


def test_a_bias_fits_at_the_least_bound() -> None:
    bias, scale = 5.9, 1 / 128
    step = least_bound(bias, scale) / WEIGHT_STEPS * scale
    assert bias / step == pytest.approx(BIAS_LIMIT)

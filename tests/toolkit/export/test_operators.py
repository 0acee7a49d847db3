"""Check the int8 files of what the zoo's networks have beside convolutions, ReLU and sums."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest

from mejiro.export import Exporter, export_with
from mejiro.model import FloatModel
from mejiro.tensorflow import load_keras
from mejiro_runtime.card import Format, Precision, Scores


def swish(layers: Any, x: Any) -> Any:
    return layers.Activation("swish")(x)


def hard_swish(layers: Any, x: Any) -> Any:
    return layers.Activation("hard_swish")(x)


def squeeze(layers: Any, x: Any) -> Any:
    """Squeeze-and-excitation as the EfficientNets have it."""
    gate = layers.Reshape((1, 1, 8))(layers.GlobalAveragePooling2D()(x))
    gate = layers.Conv2D(2, 1, activation="swish")(gate)
    return layers.Multiply()([x, layers.Conv2D(8, 1, activation="sigmoid")(gate)])


def hard_squeeze(layers: Any, x: Any) -> Any:
    """Squeeze-and-excitation as MobileNet V3 has it."""
    gate = layers.ReLU()(layers.Conv2D(2, 1)(layers.GlobalAveragePooling2D(keepdims=True)(x)))
    gate = layers.ReLU(6.0)(layers.Conv2D(8, 1)(gate) + 3.0) * (1 / 6)
    return layers.Multiply()([x, gate])


def pooled(layers: Any, x: Any) -> Any:
    return layers.AveragePooling2D(3, strides=1, padding="same")(x)


def branches(layers: Any, x: Any) -> Any:
    """An Inception block: branches of other ranges, side by side."""
    narrow = layers.Conv2D(4, 1, activation="relu")(x * 0.1)
    wide = layers.Conv2D(4, 3, padding="same", activation="relu")(x)
    return layers.Concatenate()([narrow, wide, layers.MaxPooling2D(3, 1, "same")(x)])


def preactivated(layers: Any, x: Any) -> Any:
    """A norm that no convolution stands before, as in ResNet V2."""
    ready = layers.ReLU()(layers.BatchNormalization()(x + layers.Conv2D(8, 1)(x)))
    return layers.MaxPooling2D(1, strides=2)(ready)


PARTS = (swish, hard_swish, squeeze, hard_squeeze, pooled, branches, preactivated)


def classifier(tiny: Any, part: Callable[[Any, Any], Any]) -> FloatModel:
    keras = load_keras()
    keras.utils.set_random_seed(2)
    layers = keras.layers
    inputs = keras.Input((tiny.SIDE, tiny.SIDE, 3))
    x = layers.BatchNormalization()(layers.Conv2D(8, 3, strides=2, use_bias=False)(inputs))
    x = layers.Conv2D(8, 3, name="after")(part(layers, x))
    x = layers.GlobalAveragePooling2D()(layers.ReLU()(x))
    network = keras.Model(inputs, layers.Dense(tiny.CLASSES, activation="softmax")(x))
    rng = np.random.default_rng(4)
    for layer in network.layers:
        if layer.name == "after":
            layer.set_weights([rng.normal(size=weight.shape) / 3 for weight in layer.weights])
        elif isinstance(layer, layers.BatchNormalization):
            layer.set_weights([rng.uniform(0.5, 1.5, weight.shape) for weight in layer.weights])
    return FloatModel("part", network, tiny.input(), tiny.LABELS, Scores.PROBABILITIES)


@pytest.mark.parametrize("part", PARTS)
def test_int8_files_of_both_formats_answer_as_keras_does(tiny, tmp_path, part):
    model = classifier(tiny, part)
    exporter = Exporter(model, calibration=tiny.noise(4))
    pixels = tiny.pixels()
    expected = tiny.expected(model, pixels)
    tflite, onnx_file = (
        export_with(exporter, format=format, precision=Precision.INT8, out=tmp_path)
        for format in Format
    )
    rows = tiny.run(tflite, pixels)
    assert np.ptp(expected, axis=0).max() > 0.02
    assert np.abs(rows - expected).max() < 0.08
    # Hard swish and average pooling may end one step apart in the two engines.
    assert np.abs(rows - tiny.run(onnx_file, pixels)).max() < 0.02
    kinds = Counter(node.op_type for node in onnx.load(onnx_file.path).graph.node)
    assert kinds["Transpose"] <= 1, "one at the entrance, and none on the way"

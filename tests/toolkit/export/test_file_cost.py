"""The multiply-adds of a file are those of the network that it was made from."""

from __future__ import annotations

from pathlib import Path

import pytest

from mejiro.data.calibration import default_calibration
from mejiro.errors import ExportError
from mejiro.export import Exporter, export_with
from mejiro.export.file_cost import multiply_adds
from mejiro.model import FloatModel
from mejiro.tensorflow import load_keras
from mejiro.zoo.count import count_multiply_adds
from mejiro_runtime.card import Format, Precision, Scores
from mejiro_runtime.preprocess import InputSpec, TensorType
from mejiro_runtime.types import Label


def network() -> FloatModel:
    """A network with every kind of layer that counts."""
    keras = load_keras()
    keras.utils.set_random_seed(3)
    layers = keras.layers
    pixels = keras.Input((24, 24, 3))
    x = layers.Conv2D(8, 3, strides=2, padding="same", activation="relu")(pixels)
    x = layers.DepthwiseConv2D(3, padding="same", activation="relu")(x)
    x = layers.Conv2D(12, 1)(x)
    x = layers.GlobalAveragePooling2D()(x)
    model = keras.Model(pixels, layers.Dense(5, activation="softmax")(x))
    spec = InputSpec(24, 24, scale=(1 / 128,), offset=(-127 / 128,), dtype=TensorType.FLOAT32)
    labels = tuple(Label(index, f"class {index}") for index in range(5))
    return FloatModel("counted", model, spec, labels, Scores.PROBABILITIES)


@pytest.mark.parametrize("format", list(Format), ids=lambda format: format.value)
@pytest.mark.parametrize("precision", [Precision.INT8, Precision.FP32], ids=lambda one: one.value)
def test_files_count_as_their_network_does(
    tmp_path: Path, format: Format, precision: Precision
) -> None:
    model = network()
    exporter = Exporter(model, calibration=default_calibration())
    artifact = export_with(exporter, format=format, precision=precision, out=tmp_path)
    assert multiply_adds(artifact.path, format) == count_multiply_adds(model.keras_model)
    assert count_multiply_adds(model.keras_model) == 144 * (27 * 8 + 9 * 8 + 8 * 12) + 12 * 5


def test_a_file_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="cannot be read"):
        multiply_adds(tmp_path / "absent.tflite", Format.TFLITE)

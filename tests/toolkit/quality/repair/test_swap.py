"""Activations are swapped for others in the file, all of them, and the file still runs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mejiro.export.flatbuffer import TFLiteFile
from mejiro.export.quantize import convert_for_quantization
from mejiro.quality.repair.swap import swap_relu6, swap_swish
from mejiro.tensorflow import load_keras


@pytest.mark.parametrize(
    ("swap", "before", "after", "count"),
    [(swap_relu6, "relu6", "relu", 5), (swap_swish, "swish", "hard_silu", 5)],
)
def test_the_file_is_that_of_a_network_with_the_other_activation(
    make_source, make_model, pictures, answers, swap, before, after, count
):
    model = make_model(before)
    other = make_model(after)
    other.keras_model.set_weights(model.keras_model.get_weights())
    amended, swapped = swap(make_source(before))
    assert swapped == count
    np.testing.assert_allclose(
        answers(amended, model, pictures),
        answers(convert_for_quantization(other), other, pictures),
        atol=1e-5,
    )


def test_hard_swish_is_one_operator(make_source):
    amended, _ = swap_swish(make_source("swish"))
    names = [one.name for one in TFLiteFile(amended).operators]
    assert names.count("HARD_SWISH") == 5
    assert "LOGISTIC" not in names


@pytest.mark.parametrize("swap", [swap_relu6, swap_swish])
def test_nothing_to_swap_leaves_the_file(whole_source, swap):
    assert swap(whole_source) == (whole_source, 0)


def test_the_limit_of_a_gate_stays(whole):
    keras = load_keras()
    layers = keras.layers
    pixels = keras.Input(whole.input.shape[1:])
    x = layers.ReLU(6.0)(layers.Conv2D(4, 3)(pixels))
    gate = layers.ReLU(6.0)(layers.Conv2D(4, 1)(x))
    x = layers.GlobalAveragePooling2D()(layers.Multiply()([x, gate]))
    x = layers.Dense(len(whole.labels), activation="softmax")(x)
    source = convert_for_quantization(replace(whole, keras_model=keras.Model(pixels, x)))
    amended, swapped = swap_relu6(source)
    assert swapped == 0
    assert amended == source


def test_a_gate_is_no_swish(make_source):
    assert swap_swish(make_source("sigmoid"))[1] == 0

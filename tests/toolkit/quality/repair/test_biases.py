"""Biases take away the shift of rounded weights, and take over what channels always hold."""

from __future__ import annotations

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

from mejiro.export.flatbuffer import TFLiteFile
from mejiro.export.quantize import convert_for_quantization, pixel_quantization, quantize
from mejiro.export.recipe import Recipe
from mejiro.model import FloatModel
from mejiro.quality.repair.biases import absorb_biases, answer_to, correct_biases
from mejiro.quality.repair.groups import WEIGHTED
from mejiro.quality.repair.looks import Looks


def test_the_shift_of_rounded_weights_is_taken_from_the_biases(whole, whole_source, looks):
    """By as much as the error of the rounded kernel makes of the mean input, layer by layer."""
    moments = looks.moments(whole_source)
    ranges = looks.ranges(whole_source, Recipe())
    quantized = quantize(whole_source, Recipe(), ranges, pixels=pixel_quantization(whole))
    amended, corrected = correct_biases(whole_source, quantized, moments)
    assert corrected == 9
    before, after, rounded = (TFLiteFile(data) for data in (whole_source, amended, quantized))
    weighted = [[one for one in file.operators if one.name in WEIGHTED] for file in (before, after)]
    coarse = [one for one in rounded.operators if one.name in WEIGHTED]
    assert len(coarse) == 9
    for one, other, third in zip(*weighted, coarse, strict=True):
        error = _floats(quantized, rounded, third) - before.values(one.inputs[1])
        moved = after.values(other.inputs[2]) - before.values(one.inputs[2])
        expected = answer_to(one, error, moments[one.inputs[0]].mean)
        assert moved.any()
        np.testing.assert_allclose(moved, -expected, atol=1e-4)


def _floats(data: bytes, file: TFLiteFile, operator) -> np.ndarray:
    interpreter = Interpreter(model_content=data)
    (detail,) = [
        one for one in interpreter.get_tensor_details() if one["index"] == operator.inputs[1]
    ]
    scales = detail["quantization_parameters"]["scales"]
    shape = [1] * len(file.tensor(operator.inputs[1]).shape)
    shape[detail["quantization_parameters"]["quantized_dimension"]] = scales.size
    return file.values(operator.inputs[1]).astype(np.float32) * scales.reshape(shape)


@pytest.mark.parametrize("activation", ["relu", "linear"])
def test_absorbing_changes_nothing_on_the_pictures_that_were_seen(
    make_model, pictures, answers, activation
):
    model = _lifted(make_model(activation, seed=3))
    source = convert_for_quantization(model)
    looks = Looks(model, pictures, lambda text: None)
    moments = looks.moments(source)
    seen = looks.few()
    amended, absorbed = absorb_biases(source, moments)
    assert absorbed >= 2
    np.testing.assert_allclose(
        answers(amended, model, seen), answers(source, model, seen), atol=1e-4
    )
    ranges = [_widths(looks, one) for one in (source, amended)]
    assert all(new <= old + 1e-4 for old, new in zip(*ranges, strict=True))
    assert sum(new < 0.8 * old for old, new in zip(*ranges, strict=True)) >= 1


def _lifted(model: FloatModel) -> FloatModel:
    """Return the model with channels that are always on, in front of a layer without padding."""
    layer = model.keras_model.get_layer("expand_bn")
    gamma, beta, *rest = layer.get_weights()
    layer.set_weights([gamma, beta + np.linspace(0, 60, beta.size), *rest])
    return model


def _widths(looks: Looks, source: bytes) -> list[float]:
    """Return the width of the range of each tensor, which holds 0."""
    found = looks.ranges(source, Recipe())
    return [high - low for low, high in found.values()]


def test_padding_and_sums_keep_theirs(whole_source, looks):
    amended, _ = absorb_biases(whole_source, looks.moments(whole_source))
    before, after = TFLiteFile(whole_source), TFLiteFile(amended)
    for one, other in zip(before.operators, after.operators, strict=True):
        name = before.tensor(one.outputs[0]).name
        # Read by a padded kernel, or summed.
        if any(f"/{word}_" in name for word in ("stem", "wide", "back")):
            np.testing.assert_array_equal(
                before.values(one.inputs[2]), after.values(other.inputs[2])
            )

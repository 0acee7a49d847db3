"""Fold normalizations exactly, or not at all."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mejiro.errors import ExportError
from mejiro.export.normalization import (
    exact_quantization,
    exported_input,
    nearest_quantization,
    normalization_matrix,
)
from mejiro_runtime.preprocess import (
    InputSpec,
    Layout,
    Quantization,
    ResizeMode,
    TensorType,
)
from mejiro_runtime.types import PixelOrder


def spec(scale, offset, **fields) -> InputSpec:
    return InputSpec(4, 4, scale=scale, offset=offset, dtype=TensorType.FLOAT32, **fields)


@pytest.mark.parametrize(
    ("scale", "offset", "expected"),
    [
        ((1 / 128,), (-127 / 128,), Quantization(1 / 128, 127)),
        ((1.0,), (0.0,), Quantization(1.0, 0)),
        ((1 / 255,), (0.0,), Quantization(1 / 255, 0)),
        ((1 / 255,) * 3, (-1.0,) * 3, Quantization(1 / 255, 255)),
        ((1 / 127.5,), (-1.0,), None),  # the zero point would be 127.5
        ((1 / 128,), (0.5,), None),  # below 0
        ((1 / 128,), (-2.5,), None),  # above 255
        ((-1 / 128,), (1.0,), None),
        ((0.0,), (1.0,), None),
        ((1 / 128, 1 / 128, 1 / 127), (-127 / 128,), None),
        ((1 / 128,), (-1.0, -1.0, -127 / 128), None),
    ],
)
def test_only_a_whole_zero_point_in_range_is_exact(scale, offset, expected):
    assert exact_quantization(spec(scale, offset)) == expected


@pytest.mark.parametrize(
    ("scale", "offset", "expected"),
    [
        ((1 / 127.5,), (-1.0,), Quantization(1 / 127.5, 127)),
        ((1 / 255,), (-0.5,), Quantization(1 / 255, 127)),
        ((1 / 127.5,) * 3, (-1.0,) * 3, Quantization(1 / 127.5, 127)),
        ((1 / 128,), (-127 / 128,), Quantization(1 / 128, 127)),  # exact
        ((0.9 / 127.5,), (-0.9,), None),  # a tie that the converter may round either way
        ((1 / 127.5,), (-1.01,), None),
        ((-1 / 127.5,), (1.0,), None),
        ((1 / 127.5, 1 / 127.5, 1 / 127), (-1.0,), None),
    ],
)
def test_pixels_from_minus_one_to_one_are_folded_by_half_a_pixel(scale, offset, expected):
    assert nearest_quantization(spec(scale, offset)) == expected


def test_swapped_channels_cannot_be_folded():
    assert exact_quantization(spec((1.0,), (0.0,), order=PixelOrder.BGR)) is None
    assert nearest_quantization(spec((1 / 127.5,), (-1.0,), order=PixelOrder.BGR)) is None


@given(
    scale=st.floats(1e-4, 10),
    zero_point=st.integers(0, 255),
    noise=st.sampled_from([0.0, 0.0, 0.3]),
)
def test_a_folded_normalization_is_the_table_of_the_runtime(scale, zero_point, noise):
    given_spec = spec((scale,), (-(zero_point + noise) * scale,))
    found = exact_quantization(given_spec)
    if noise:
        assert found is None
        return
    assert found == Quantization(scale, zero_point)
    real = (np.arange(256) - found.zero_point) * found.scale
    # As close as float32 can say it.
    np.testing.assert_allclose(given_spec.table()[:, 0], real, rtol=1e-6, atol=scale * 1e-5)


@given(
    scale=st.tuples(*[st.floats(1e-3, 2)] * 3),
    offset=st.tuples(*[st.floats(-3, 3)] * 3),
    order=st.sampled_from([PixelOrder.RGB, PixelOrder.BGR]),
)
def test_the_matrix_does_what_preprocessing_would(scale, offset, order):
    given_spec = spec(scale, offset, order=order)
    matrix, shift = normalization_matrix(given_spec)
    rgb = np.random.default_rng(0).integers(0, 256, (50, 3))
    ordered = rgb if order is PixelOrder.RGB else rgb[:, ::-1]
    expected = given_spec.table()[ordered, np.arange(3)]
    np.testing.assert_allclose(rgb @ matrix + shift, expected, rtol=1e-5, atol=1e-4)


def test_files_take_pixels_and_keep_the_geometry():
    given_spec = spec(
        (0.5,), (1.0,), order=PixelOrder.BGR, resize=ResizeMode.LETTERBOX, pad_value=9
    )
    found = exported_input(given_spec)
    assert found == InputSpec(4, 4, resize=ResizeMode.LETTERBOX, pad_value=9)
    assert exported_input(spec((1.0,), (0.0,), order=PixelOrder.GRAY)).order is PixelOrder.GRAY


@pytest.mark.parametrize(
    "wrong", [InputSpec(4, 4), InputSpec(4, 4, dtype=TensorType.FLOAT32, layout=Layout.NCHW)]
)
def test_a_specification_of_no_float_model_is_refused(wrong):
    with pytest.raises(ExportError, match="float32 NHWC"):
        exported_input(wrong)

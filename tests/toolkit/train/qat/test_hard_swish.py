"""The table of hard swish is what TFLite's kernel gives, also where it is no true rounding."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from mejiro.train.qat.hard_swish import hard_swish_table


def rounded(
    scale_in: float, zero_in: int, scale_out: float, zero_out: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the real result on the output's scale, and that rounded into 0..255."""
    x = (np.arange(256) - zero_in) * scale_in
    place = x * np.clip(x + 3, 0, 6) / 6 / scale_out + zero_out
    return place, np.clip(np.rint(place), 0, 255)


def test_where_the_kernel_rounds_otherwise_so_does_the_table() -> None:
    """Measured on a file: the inputs -31 and 108 give -122 and 95, not -123 and 96."""
    given_ = (0.036566086, -12 + 128, 0.021352334, -110 + 128)
    found = hard_swish_table(*given_).numpy()
    _, expected = rounded(*given_)
    differ = np.flatnonzero(found != expected) - 128
    assert differ.tolist() == [-31, 108]
    assert found[differ + 128].tolist() == [-122 + 128, 95 + 128]


@given(
    span=st.floats(0.5, 60),
    zero=st.integers(0, 255),
    zero_out=st.integers(0, 60),
    wide=st.floats(0.3, 1.2),
)
@settings(deadline=None, max_examples=40)
def test_the_table_is_within_a_step_of_the_real_result(
    span: float, zero: int, zero_out: int, wide: float
) -> None:
    scale_in, scale_out = np.float32(span / 255), np.float32(span * wide / 255)
    found = hard_swish_table(scale_in, zero, scale_out, zero_out).numpy()
    place, _ = rounded(float(scale_in), zero, float(scale_out), zero_out)
    assert np.abs(found - np.clip(place, 0, 255)).max() <= 1.0
    assert found.dtype == np.int64


@pytest.mark.parametrize("zero", [0, 128, 255])
def test_zero_stays_zero(zero: int) -> None:
    assert int(hard_swish_table(0.05, zero, 0.04, 9).numpy()[zero]) == 9

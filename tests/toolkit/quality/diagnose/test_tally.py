"""Sums tell what numpy tells of all values at once."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from mejiro.quality.diagnose.network import Grid
from mejiro.quality.diagnose.tally import Tally


def grid(scale: float = 0.1, zero: int = -28, bits: int = 8) -> Grid:
    low, high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    return Grid(np.array([scale], np.float32), np.array([zero]), 0, low, high)


values = arrays.arrays(
    np.float32,
    (2, 1, 3, 3, 4),
    elements=st.floats(-9, 14, width=32).map(lambda value: np.float32(round(value, 3))),
)


@given(values)
def test_a_rounded_tensor_has_the_error_of_its_rounding(pictures):
    steps = grid()
    tally = Tally(4, steps)
    for picture in pictures:
        codes = np.rint(steps.rounded(picture) / steps.scale[0]) + steps.zero[0]
        tally.add(picture, codes.astype(np.int8))
    rows = pictures.reshape(-1, 4).astype(np.float64)
    np.testing.assert_allclose(tally.error, tally.rounding, rtol=1e-3, atol=1e-9)
    expected = ((steps.rounded(pictures).reshape(-1, 4) - rows) ** 2).mean(axis=0)
    np.testing.assert_allclose(tally.rounding, expected, rtol=1e-3, atol=1e-9)
    np.testing.assert_allclose(tally.signal.mean, rows.mean(axis=0), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(tally.signal.power, (rows**2).mean(axis=0), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(tally.signal.reach, np.abs(rows).max(axis=0))
    low, high = steps.limits
    cut = (rows < low - 0.0501) | (rows > high + 0.0501)
    assert cut.mean() <= tally.saturated + 1e-9


def test_cosine_and_shift():
    floats = np.array([[1.0, 2.0, 3.0, 4.0]], np.float32)
    tally = Tally(4, None)
    tally.add(floats, floats + np.float32(0.5))
    given, made = floats[0], floats[0] + 0.5
    expected = given @ made / np.linalg.norm(given) / np.linalg.norm(made)
    assert tally.cosine == pytest.approx(expected, abs=1e-6)
    assert tally.shift_share == pytest.approx(1.0)
    assert tally.saturated == 0
    assert (tally.used, tally.bulk) == (1.0, 1.0)


@pytest.mark.parametrize("bits", [8, 16])
def test_one_outlier_uses_the_range_and_the_bulk_does_not(bits):
    steps = grid(scale=12.7 / 2 ** (bits - 1), zero=0, bits=bits)
    floats = np.linspace(-1, 1, 5000, dtype=np.float32).reshape(1, 5000, 1)
    floats[0, 0, 0] = 12.5
    codes = np.rint(floats / steps.scale[0]).astype(f"int{bits}")
    tally = Tally(1, steps)
    tally.add(floats, codes)
    assert tally.used > 0.5
    assert tally.bulk == pytest.approx(1 / 12.7, abs=0.01)


def test_what_is_cut_off_counts_and_what_is_rounded_does_not():
    steps = grid(scale=1.0, zero=0)
    floats = np.array([[127.4, 128.0, -128.3, -140.0]], np.float32)
    tally = Tally(4, steps)
    tally.add(floats, np.array([[127, 127, -128, -128]], np.int8))
    assert tally.saturated == 0.5


def test_silence_is_not_divided_by():
    tally = Tally(2, grid())
    tally.add(np.zeros((1, 2), np.float32), np.full((1, 2), -28, np.int8))
    assert (tally.cosine, tally.shift_share) == (1.0, 0.0)

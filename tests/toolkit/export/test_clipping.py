"""Choose ranges from histograms whose best range is known, or can be tried."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mejiro.export.clipping import CLIPPINGS, clip_range
from mejiro.export.histogram import Histogram
from mejiro.export.recipe import Calibration, Method


def histogram_of(values: np.ndarray) -> Histogram:
    histogram = Histogram()
    histogram.add(values.astype(np.float32))
    return histogram


def normal_with_outlier(count: int = 20_000) -> np.ndarray:
    values = np.random.default_rng(5).normal(size=count)
    values[0] = 60.0
    return values


def squared_error(values: np.ndarray, low: float, high: float) -> float:
    """Return what int8 with this range errs, computed from the values themselves."""
    scale = (high - low) / 255
    zero = np.rint(-low / scale)
    steps = np.clip(np.rint(values / scale) + zero, 0, 255)
    return float((((steps - zero) * scale - values) ** 2).sum())


def test_every_method_has_a_function():
    assert set(CLIPPINGS) == set(Method)


@given(
    st.lists(st.floats(-100, 100, width=32), min_size=1, max_size=50),
    st.sampled_from(Method),
    st.booleans(),
)
def test_a_range_holds_0_and_lies_within_the_values(numbers, method, symmetric):
    values = np.array(numbers, np.float32)
    low, high = clip_range(histogram_of(values), Calibration(method), symmetric=symmetric)
    assert low <= 0 <= high
    if symmetric:
        assert low == -high
        assert high <= np.abs(values).max() * (1 + 1e-6)
    else:
        assert low >= min(values.min(), 0)
        assert high <= max(values.max(), 0)


def test_min_max_takes_all():
    values = normal_with_outlier()
    found = clip_range(histogram_of(values), Calibration(), symmetric=False)
    assert found == (np.float32(values.min()), 60.0)
    assert clip_range(histogram_of(values), Calibration(), symmetric=True) == (-60.0, 60.0)


@pytest.mark.parametrize("share", [90.0, 99.0, 99.9])
def test_a_percentile_keeps_its_share(share):
    values = np.random.default_rng(6).normal(size=20_000)
    settings = Calibration(Method.PERCENTILE, share)
    histogram = histogram_of(values)
    low, high = clip_range(histogram, settings, symmetric=False)
    cut = (100 - share) / 2
    assert (low, high) == pytest.approx(np.percentile(values, [cut, 100 - cut]), abs=0.02)
    _, reach = clip_range(histogram, settings, symmetric=True)
    assert reach == pytest.approx(np.percentile(np.abs(values), share), abs=0.02)


def test_a_percentile_counts_the_zeros_of_a_relu():
    values = np.concatenate([np.zeros(9_000), np.linspace(0.001, 1, 1_000)])
    settings = Calibration(Method.PERCENTILE, 90.0)
    low, high = clip_range(histogram_of(values), settings, symmetric=False)
    assert low == 0
    assert high == pytest.approx(0.5, abs=0.01)  # of all values 5% are cut off, half of the others


@pytest.mark.parametrize("symmetric", [False, True])
def test_mse_errs_less_than_any_range_of_a_grid(symmetric):
    values = normal_with_outlier()
    low, high = clip_range(histogram_of(values), Calibration(Method.MSE), symmetric=symmetric)
    found = squared_error(values, low, high)
    for share in np.linspace(0.05, 1, 15):
        for other in np.array([share]) if symmetric else np.linspace(0.2, 1, 9):
            wide = 60.0 * share
            bottom = -wide if symmetric else values.min() * other
            assert found <= squared_error(values, float(bottom), wide) * 1.05


def test_entropy_gives_up_lone_outliers_and_keeps_what_fills_its_range():
    rng = np.random.default_rng(7)
    outlier = histogram_of(normal_with_outlier())
    for symmetric in (False, True):
        _, high = clip_range(outlier, Calibration(Method.ENTROPY), symmetric=symmetric)
        assert 2 < high < 30
    flat = histogram_of(rng.uniform(0, 6, 200_000))
    low, high = clip_range(flat, Calibration(Method.ENTROPY), symmetric=False)
    assert low == 0
    assert high > 5.5


def test_a_tensor_of_zeros_has_a_range_all_the_same():
    for method in Method:
        histogram = histogram_of(np.zeros(10))
        assert clip_range(histogram, Calibration(method), symmetric=False) == (0.0, 0.0)

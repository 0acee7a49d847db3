"""Gather values in any order and any portions, and find them all again."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mejiro.errors import CalibrationError
from mejiro.export.histogram import MAX_BINS, Histogram

values = st.lists(
    st.floats(-(2.0**100), 2.0**100, width=32) | st.floats(-8, 8, width=32) | st.just(0.0),
    min_size=1,
    max_size=20,
).map(lambda numbers: np.array(numbers, np.float32))


def gathered(portions: list[np.ndarray]) -> Histogram:
    histogram = Histogram()
    for portion in portions:
        histogram.add(portion)
    return histogram


def state(histogram: Histogram) -> tuple[object, ...]:
    return (
        histogram.low,
        histogram.high,
        histogram.zeros,
        histogram.counts.tolist(),
        histogram.edges.tolist() if histogram.counts.size else [],
    )


@given(st.lists(values, min_size=1, max_size=6), st.randoms(use_true_random=False))
def test_the_order_and_the_portions_do_not_matter(portions, rng):
    together = gathered([np.concatenate(portions)])
    shuffled = list(portions)
    rng.shuffle(shuffled)
    assert state(gathered(shuffled)) == state(together)


@given(st.lists(values, min_size=1, max_size=4))
def test_nothing_is_lost_and_every_value_lies_in_its_bin(portions):
    histogram = gathered(portions)
    everything = np.concatenate(portions).astype(np.float64)
    assert (histogram.low, histogram.high) == (everything.min(), everything.max())
    others = everything[everything != 0]
    assert histogram.zeros == len(everything) - len(others)
    assert histogram.counts.sum() == len(others)
    assert len(histogram.counts) <= MAX_BINS
    if len(others):
        expected, _ = np.histogram(others, np.append(histogram.edges[:-1], np.inf))
        assert histogram.counts.tolist() == expected.tolist()


def test_the_bins_are_narrow_enough_to_tell_256_levels_apart():
    rng = np.random.default_rng(0)
    histogram = gathered([rng.normal(size=1000).astype(np.float32)])
    assert MAX_BINS // 2 - 1 <= len(histogram.counts) <= MAX_BINS


def test_without_counting_only_the_ends_are_kept():
    histogram = Histogram(counting=False)
    histogram.add(np.array([[1.5, -2.0]], np.float32))
    assert (histogram.low, histogram.high) == (-2.0, 1.5)
    assert not histogram.counts.size


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_refused(bad):
    with pytest.raises(CalibrationError, match="not finite"):
        Histogram().add(np.array([1.0, bad], np.float32))

"""Intervals hold what they promise, on distributions whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mejiro_runtime.intervals import (
    frames_needed,
    mean_interval,
    median_ratio,
    percentile_ranks,
    share_interval,
)


def test_the_median_of_ten_lies_between_the_second_and_the_ninth() -> None:
    # Tables of order statistics: 97.9% for n = 10; the third and eighth would give 89%.
    assert percentile_ranks(10, 0.5) == (2, 9)


@pytest.mark.parametrize(("share", "needed"), [(0.5, 6), (0.9, 36), (0.99, 368), (0.999, 3688)])
def test_a_bound_from_above_takes_frames(share: float, needed: int) -> None:
    assert frames_needed(share) == needed
    assert percentile_ranks(needed, share)[1] == needed
    assert percentile_ranks(needed - 1, share)[1] is None


@given(st.integers(1, 5000), st.integers(1, 999).map(lambda n: n / 1000))
def test_ranks_are_in_order_and_around_the_percentile(count: int, share: float) -> None:
    low, high = percentile_ranks(count, share)
    nearest = max(1, int(np.ceil(share * count)))
    assert low is None or 1 <= low <= nearest
    assert high is None or nearest <= high <= count


def test_ranks_cover_the_truth_in_95_of_100_cases() -> None:
    rng, hits = np.random.default_rng(1), 0
    low, high = percentile_ranks(500, 0.9)
    assert low is not None
    assert high is not None
    for _ in range(2000):
        values = np.sort(rng.random(500))
        hits += values[low - 1] <= 0.9 <= values[high - 1]
    assert 0.94 < hits / 2000 < 0.99


@given(st.integers(1, 10_000), st.floats(0, 1))
def test_a_share_lies_within_its_bounds(count: int, part: float) -> None:
    hits = int(part * count)
    low, high = share_interval(hits, count)
    assert 0 <= low <= hits / count <= high <= 1
    assert low < high


def test_a_mean_of_neighbours_that_are_alike_is_less_certain() -> None:
    rng = np.random.default_rng(2)
    alone = rng.normal(100, 10, 2000)
    alike = np.repeat(rng.normal(100, 10, 200), 10)
    narrow, wide = mean_interval(alone), mean_interval(alike)
    assert narrow[0] < alone.mean() < narrow[1]
    assert wide[1] - wide[0] > 2 * (narrow[1] - narrow[0])


def test_a_ratio_is_that_of_rounds() -> None:
    ratio = median_ratio([2, 4, 6, 8], [1, 2, 3, 4])
    assert (ratio.median, ratio.low, ratio.high) == (2, 2, 2)
    assert ratio.slower
    assert not ratio.faster

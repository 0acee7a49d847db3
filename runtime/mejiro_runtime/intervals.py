"""Say how far chance may have moved what was measured."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

RESAMPLES = 2000
CONFIDENCE = 0.95
# Frames that follow each other are alike; they are drawn in blocks of this many.
BLOCK = 10
_TAIL = (1 - CONFIDENCE) / 2


@dataclass(frozen=True)
class Ratio:
    """Hold the duration of one way over that of another: the median over rounds.

    `low` and `high` bound it in 95 of 100 cases.
    """

    median: float
    low: float
    high: float

    @property
    def faster(self) -> bool:
        """Whether the first way is faster, beyond what chance does."""
        return self.high < 1.0

    @property
    def slower(self) -> bool:
        """Whether the first way is slower, beyond what chance does."""
        return self.low > 1.0

    @property
    def differs(self) -> bool:
        """Whether there is a difference at all, beyond what chance does."""
        return self.faster or self.slower

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "median": round(self.median, 4),
            "interval_95": [round(self.low, 4), round(self.high, 4)],
        }


def median_ratio(above: Sequence[float], below: Sequence[float]) -> Ratio:
    """Compare two ways, each with one figure a round, in the same order of rounds.

    The interval is the percentile bootstrap of the median over the rounds (Efron 1979), drawn with
    a fixed seed.
    """
    by_round = np.asarray(above, dtype=np.float64) / np.asarray(below, dtype=np.float64)
    drawn = np.random.default_rng(0).integers(0, by_round.size, (RESAMPLES, by_round.size))
    low, high = np.percentile(np.median(by_round[drawn], axis=1), [2.5, 97.5])
    return Ratio(float(np.median(by_round)), float(low), float(high))


def percentile_ranks(count: int, share: float) -> tuple[int | None, int | None]:
    """Return the ranks, from 1, of the sorted values that bound a percentile in 95 of 100 cases.

    None stands for a bound that `count` values are too few to give. Source: order statistics
    (Conover, Practical Nonparametric Statistics): the rank of a percentile among independent
    values follows the binomial distribution.
    """
    k = np.arange(count + 1)
    log_factorial = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, count + 1)))])
    log_choose = log_factorial[count] - log_factorial - log_factorial[::-1]
    below = np.cumsum(np.exp(log_choose + k * math.log(share) + (count - k) * math.log1p(-share)))
    low = int(np.count_nonzero(below <= _TAIL))
    high = int(np.searchsorted(below, 1 - _TAIL)) + 1
    return (low or None), (high if high <= count else None)


def frames_needed(share: float) -> int:
    """Return how many values it takes to bound the percentile `share` from above."""
    return math.ceil(math.log(_TAIL) / math.log(share))


def share_interval(hits: int, count: int) -> tuple[float, float]:
    """Return the bounds of a share that was found `hits` times in `count` (Wilson 1927)."""
    z = 1.959964
    share, weight = hits / count, z * z / count
    middle = (share + weight / 2) / (1 + weight)
    half = z / (1 + weight) * math.sqrt(share * (1 - share) / count + weight / count / 4)
    # What rounding leaves of an exact 0 or 1 would fail a requirement that holds.
    return (
        0.0 if hits == 0 else middle - half,
        1.0 if hits == count else middle + half,
    )


def mean_interval(values: Sequence[int] | NDArray[np.int64]) -> tuple[float, float]:
    """Return the bounds of the mean of values that stand in the order of time.

    The percentile bootstrap over blocks of `BLOCK` neighbours (Kuensch 1989), with a fixed seed.
    """
    series = np.asarray(values, dtype=np.float64)
    size = min(BLOCK, max(1, series.size // 4))
    blocks = np.lib.stride_tricks.sliding_window_view(series, size).mean(axis=1)
    draws = max(1, series.size // size)
    rng = np.random.default_rng(0)
    means = [float(blocks[rng.integers(0, blocks.size, draws)].mean()) for _ in range(RESAMPLES)]
    low, high = np.percentile(means, [2.5, 97.5])
    return float(low), float(high)

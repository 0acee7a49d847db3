"""Count how often a tensor took which values, over any number of pictures."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mejiro.errors import CalibrationError

MAX_BINS = 4096
_PRECISION_BITS = 24  # float32's


class Histogram:
    """Gather the values of one tensor, a picture at a time.

    The bins are as wide as a power of two and begin at multiples of it. When the values need more
    than `MAX_BINS`, two neighbours become one. So no count is ever split or estimated, and what is
    gathered does not depend on the order of the pictures. Exact zeros, which a ReLU makes by the
    million, are counted apart. With `counting` off only the least and greatest value are kept.
    """

    def __init__(self, *, counting: bool = True) -> None:
        self.low, self.high = math.inf, -math.inf
        self.zeros = 0
        self.counts: NDArray[np.int64] = np.zeros(0, np.int64)
        self._counting = counting
        self._exponent = -1 << 20  # the bins are 2 ** _exponent wide
        self._first = 0  # the first bin begins at _first * width

    @property
    def width(self) -> float:
        """How wide a bin is."""
        return math.ldexp(1.0, self._exponent)

    @property
    def edges(self) -> NDArray[np.float64]:
        """Where the bins begin, and where the last one ends."""
        places = np.arange(self._first, self._first + len(self.counts) + 1, dtype=np.float64)
        scaled: NDArray[np.float64] = places * self.width
        return scaled

    @property
    def middles(self) -> NDArray[np.float64]:
        """The middle of each bin, which stands for the values in it."""
        return (self.edges[:-1] + self.edges[1:]) / 2

    def add(self, values: NDArray[Any]) -> None:
        """Count `values`, float32 of any shape. Raises CalibrationError unless all are finite."""
        flat = values.reshape(-1)
        if not flat.size:
            return
        low, high = float(flat.min()), float(flat.max())
        if not (math.isfinite(low) and math.isfinite(high)):
            raise CalibrationError(
                "the network makes values that are not finite of a calibration picture; "
                "it cannot be quantized"
            )
        self.low, self.high = min(self.low, low), max(self.high, high)
        if self._counting:
            self._count(flat.astype(np.float32, copy=False))

    def _count(self, flat: NDArray[np.float32]) -> None:
        other = flat[flat != 0]
        self.zeros += flat.size - other.size
        if not other.size:
            return
        low, high = float(other.min()), float(other.max())
        if self.counts.size:
            # The ends of the bins stand for what is in them.
            low = min(low, self._first * self.width)
            high = max(high, (self._first + len(self.counts) - 1) * self.width)
        self._coarsen(max(self._exponent, _exponent_for(low, high)))
        # Multiplying by a power of two is exact.
        places = np.floor(other * np.float64(1 / self.width)).astype(np.int64)
        first = int(places.min())
        fresh = np.bincount(places - first)
        if not self.counts.size:
            self._first, self.counts = first, fresh
            return
        begin = min(first, self._first)
        end = max(first + len(fresh), self._first + len(self.counts))
        counts = np.zeros(end - begin, np.int64)
        counts[self._first - begin :][: len(self.counts)] += self.counts
        counts[first - begin :][: len(fresh)] += fresh
        self._first, self.counts = begin, counts

    def _coarsen(self, exponent: int) -> None:
        """Make the bins 2 ** `exponent` wide, which is not less than now."""
        if self.counts.size and exponent > self._exponent:
            step = exponent - self._exponent
            places = np.arange(self._first, self._first + len(self.counts)) >> step
            self._first = int(places[0])
            merged = np.zeros(int(places[-1]) - self._first + 1, np.int64)
            np.add.at(merged, places - self._first, self.counts)
            self.counts = merged
        self._exponent = exponent


def _exponent_for(low: float, high: float) -> int:
    """Return the exponent of the narrowest bins by which `MAX_BINS` reach from `low` to `high`."""
    size = max(abs(low), abs(high))
    exponent = math.frexp(size)[1] - _PRECISION_BITS
    if high > low:
        exponent = max(exponent, math.frexp((high - low) / MAX_BINS)[1] - 1)
    while math.floor(math.ldexp(high, -exponent)) - math.floor(math.ldexp(low, -exponent)) >= (
        MAX_BINS
    ):
        exponent += 1
    return exponent

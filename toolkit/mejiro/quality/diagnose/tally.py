"""Sum up, picture by picture, how a quantized tensor differs from the float one it stands for."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mejiro.quality.diagnose.network import Floats, Grid

Sums = NDArray[np.float64]

BINS = 256
# The share of values that the bulk leaves out, half of it at each end.
_OUTLYING = 0.001


@dataclass
class Moments:
    """Sum up the values of a float tensor by channel, the last axis."""

    channels: int
    values: int = 0
    total: Sums = field(init=False)
    squares: Sums = field(init=False)
    active: Sums = field(init=False)
    lowest: Sums = field(init=False)
    highest: Sums = field(init=False)

    def __post_init__(self) -> None:
        self.total, self.squares, self.active = np.zeros((3, self.channels))
        self.lowest = np.full(self.channels, np.inf)
        self.highest = np.full(self.channels, -np.inf)

    def add(self, rows: Floats) -> None:
        """Take in float32 (values, channels)."""
        self.values += len(rows)
        self.total += rows.sum(axis=0, dtype=np.float64)
        self.squares += _products(rows, rows)
        self.active += np.count_nonzero(rows > 0, axis=0)
        self.lowest = np.minimum(self.lowest, rows.min(axis=0))
        self.highest = np.maximum(self.highest, rows.max(axis=0))

    @property
    def mean(self) -> Sums:
        """The mean value of each channel."""
        return self.total / self.values

    @property
    def power(self) -> Sums:
        """The mean square of each channel."""
        return self.squares / self.values

    @property
    def variance(self) -> Sums:
        """The variance of each channel."""
        return np.maximum(self.power - self.mean**2, 0.0)

    @property
    def active_share(self) -> Sums:
        """The share of each channel's values that an activation lets through."""
        if self.lowest.min() < 0:
            return np.ones(self.channels)
        return self.active / self.values

    @property
    def reach(self) -> Sums:
        """The greatest magnitude of each channel."""
        return np.maximum(np.abs(self.lowest), np.abs(self.highest))


class Tally:
    """Sum up one layer's output: its float values, its error, and how its grid is used.

    `error` is what the file's output differs by, `rounding` what the float output differs by from
    itself on the file's grid; both are mean squares by channel. Without a `grid`, a tensor that
    the file keeps in float, nothing is rounded.
    """

    def __init__(self, channels: int, grid: Grid | None) -> None:
        self.grid = grid
        self.signal = Moments(channels)
        self._error, self._shift, self._rounding, self._together = np.zeros((4, channels))
        self._codes = np.zeros(BINS, np.int64)
        self._cut = 0

    def add(self, floats: Floats, values: NDArray[Any]) -> None:
        """Take in the float tensor and the file's, as it is, of one picture."""
        rows = _rows(floats)
        self.signal.add(rows)
        grid = self.grid
        given = _rows(values.astype(np.float32) if grid is None else grid.to_float(values))
        error = given - rows
        self._error += _products(error, error)
        self._together += _products(error, rows)
        self._shift += error.sum(axis=0, dtype=np.float64)
        if grid is None:
            return
        rounding = grid.rounded(rows) - rows
        self._rounding += _products(rounding, rounding)
        low, high = grid.limits
        half = float(grid.scale[0]) / 2
        self._cut += np.count_nonzero((rows < low - half) | (rows > high + half))
        codes = (values.ravel().astype(np.int64) - grid.low) * BINS // grid.levels
        self._codes += np.bincount(codes, minlength=BINS)

    @property
    def error(self) -> Sums:
        """The mean square error of each channel."""
        return self._error / self.signal.values

    @property
    def rounding(self) -> Sums:
        """The mean square of what rounding the float output takes from each channel."""
        return self._rounding / self.signal.values

    @property
    def shift_share(self) -> float:
        """The share of the error's power that is a constant for each channel."""
        power = self._error.sum()
        constant = (self._shift**2).sum() / self.signal.values
        return float(constant / power) if power > 0 else 0.0

    @property
    def cosine(self) -> float:
        """The cosine between the float values and the file's."""
        signal, together = self.signal.squares.sum(), self._together.sum()
        given = signal + 2 * together + self._error.sum()
        if signal <= 0 or given <= 0:
            return 1.0 if signal == given else 0.0
        return float(np.clip((signal + together) / np.sqrt(signal * given), -1.0, 1.0))

    @property
    def saturated(self) -> float:
        """The share of values that lie beyond the grid's limits by more than half a step."""
        return float(self._cut / (self.signal.values * self.signal.channels))

    @property
    def used(self) -> float:
        """The share of the grid between the least and the greatest value seen."""
        return self._span(0.0)

    @property
    def bulk(self) -> float:
        """The share of the grid that 99.9% of the values need."""
        return self._span(_OUTLYING)

    def _span(self, outlying: float) -> float:
        """Return the share of the grid between the outlying values at both ends."""
        if self.grid is None:
            return 1.0
        reached = np.cumsum(self._codes) / self._codes.sum()
        # A sum of shares is 1 but for its last digits.
        low = int(np.argmax(reached > outlying / 2))
        high = int(np.argmax(reached >= 1 - outlying / 2 - 1e-12))
        return (high - low + 1) / BINS


def _rows(values: Floats) -> Floats:
    """Return a tensor as (values, channels)."""
    return values.reshape(-1, values.shape[-1] if values.ndim > 1 else 1)


def _products(one: Floats, other: Floats) -> Sums:
    return np.asarray(np.einsum("ij,ij->j", one, other), np.float64)

"""Choose the range of a tensor from its histogram: what lies outside of it is clipped.

A narrow range errs by clipping, a wide one by its coarse steps. All ranges hold 0.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mejiro.export.histogram import Histogram
from mejiro.export.recipe import Calibration, Method

Range = tuple[float, float]
Floats = NDArray[np.float64]

_LEVELS = 256
_CANDIDATES = 100
_ROUNDS = 3


def clip_range(histogram: Histogram, calibration: Calibration, *, symmetric: bool) -> Range:
    """Return the least and the greatest value that int8 is to stand for.

    For `symmetric` activations the range reaches as far below 0 as above it.
    """
    low, high = min(histogram.low, 0.0), max(histogram.high, 0.0)
    if histogram.counts.size:
        low, high = CLIPPINGS[calibration.method](histogram, calibration, symmetric)
    if symmetric:
        return -max(-low, high), max(-low, high)
    return low, high


def _min_max(histogram: Histogram, calibration: Calibration, symmetric: bool) -> Range:
    return min(histogram.low, 0.0), max(histogram.high, 0.0)


def _percentile(histogram: Histogram, calibration: Calibration, symmetric: bool) -> Range:
    """Return the range that holds `calibration.share` of the values, as many cut off at each end.

    For symmetric activations that share of the absolute values.
    """
    share = calibration.share / 100
    edges, counts = _with_zeros(histogram)
    if symmetric:
        edges, counts = _folded(edges, counts)
        reach = min(_quantile(edges, counts, share), max(histogram.high, -histogram.low))
        return -reach, reach
    low = _quantile(edges, counts, (1 - share) / 2)
    high = _quantile(edges, counts, (1 + share) / 2)
    return min(max(low, histogram.low), 0.0), max(min(high, histogram.high), 0.0)


def _mse(histogram: Histogram, calibration: Calibration, symmetric: bool) -> Range:
    """Return the range by which quantizing errs the least in the mean square.

    Its ends are searched in turn, each on a grid while the other stays.
    """
    low, high = min(histogram.low, 0.0), max(histogram.high, 0.0)
    shares = np.arange(1, _CANDIDATES + 1) / _CANDIDATES
    if symmetric:
        reaches = shares * max(-low, high)
        best = float(reaches[np.argmin(_errors(histogram, -reaches, reaches))])
        return -best, best
    lows, highs = shares * low, shares * high
    for _ in range(_ROUNDS):
        high = float(highs[np.argmin(_errors(histogram, np.full_like(highs, low), highs))])
        low = float(lows[np.argmin(_errors(histogram, lows, np.full_like(lows, high)))])
    return low, high


def _entropy(histogram: Histogram, calibration: Calibration, symmetric: bool) -> Range:
    """Return the range by which int8 tells the most about the values that are not 0.

    That is the one whose quantized distribution is nearest, in the Kullback-Leibler divergence,
    to the clipped one. See Migacz, "8-bit Inference with TensorRT" (GTC 2017), which does this
    for symmetric ranges; here the range is that of the values where they end before the clipping.
    """
    low, high = min(histogram.low, 0.0), max(histogram.high, 0.0)
    edges, counts = histogram.edges, histogram.counts
    levels = _LEVELS
    if symmetric:
        edges, counts = _folded(edges, counts)
        low, levels = 0.0, _LEVELS // 2
        high = max(high, -min(histogram.low, 0.0))
    best, chosen = np.inf, (low, high)
    for candidate in range(1, _CANDIDATES + 1):
        reach = max(-low, high) * candidate / _CANDIDATES
        window = max(low, -reach), min(high, reach)
        found = _divergence(edges, counts, window, levels)
        if found <= best:  # of equals the widest
            best, chosen = found, window
    return (-chosen[1], chosen[1]) if symmetric else chosen


CLIPPINGS: dict[Method, Callable[[Histogram, Calibration, bool], Range]] = {
    Method.MIN_MAX: _min_max,
    Method.PERCENTILE: _percentile,
    Method.ENTROPY: _entropy,
    Method.MSE: _mse,
}


def _with_zeros(histogram: Histogram) -> tuple[Floats, NDArray[np.int64]]:
    """Return edges and counts with the zeros in the bin that begins at 0."""
    edges, counts = histogram.edges, histogram.counts
    width = histogram.width
    before = round(max(edges[0], 0.0) / width)
    after = round(max(width - edges[-1], 0.0) / width)
    counts = np.concatenate([np.zeros(before, np.int64), counts, np.zeros(after, np.int64)])
    edges = (np.arange(len(counts) + 1) + round(edges[0] / width) - before) * width
    counts[np.searchsorted(edges, 0.0)] += histogram.zeros
    return edges, counts


def _folded(edges: Floats, counts: NDArray[np.int64]) -> tuple[Floats, NDArray[np.int64]]:
    """Return edges and counts of the absolute values."""
    width = edges[1] - edges[0]
    places = np.rint(edges[:-1] / width).astype(np.int64)
    places = np.where(places < 0, -places - 1, places)
    folded = np.zeros(int(places.max()) + 1, np.int64)
    np.add.at(folded, places, counts)
    return np.arange(len(folded) + 1) * width, folded


def _quantile(edges: Floats, counts: NDArray[np.int64], share: float) -> float:
    """Return the value below which `share` of the values lie, those of a bin spread over it."""
    sums = np.concatenate([[0], np.cumsum(counts)])
    wanted = share * sums[-1]
    # Of all places that have so much below them, the innermost.
    place = int(np.searchsorted(sums, wanted, side="left" if share > 0.5 else "right"))
    place = min(max(place, 1), len(counts))
    inside = counts[place - 1]
    part = 1.0 if inside == 0 else (wanted - sums[place - 1]) / inside
    return float(edges[place - 1] + part * (edges[place] - edges[place - 1]))


def _errors(histogram: Histogram, lows: Floats, highs: Floats) -> Any:
    """Return for each range the sum of squares by which its 256 levels miss the values."""
    scales = np.maximum((highs - lows) / (_LEVELS - 1), 1e-12)[:, None]
    zero_points = np.rint(-lows[:, None] / scales)
    values = histogram.middles[None]
    steps = np.clip(np.rint(values / scales) + zero_points, 0, _LEVELS - 1)
    misses = (steps - zero_points) * scales - values
    return (misses**2) @ histogram.counts.astype(np.float64)


def _divergence(edges: Floats, counts: NDArray[np.int64], window: Range, levels: int) -> float:
    """Return the Kullback-Leibler divergence of the quantized distribution from the clipped one."""
    begin = int(np.searchsorted(edges[1:], window[0], side="right"))
    end = int(np.searchsorted(edges[:-1], window[1], side="left"))
    inside = counts[begin:end].astype(np.float64)
    if not inside.any():
        return float("inf")
    clipped = inside.copy()
    clipped[0] += counts[:begin].sum()
    clipped[-1] += counts[end:].sum()
    # The bins of a level share its count, as far as they hold anything.
    middles = (edges[begin:end] + edges[begin + 1 : end + 1]) / 2
    share = (middles - window[0]) / (window[1] - window[0])
    level = np.clip((share * levels).astype(np.int64), 0, levels - 1)
    filled = inside > 0
    sums = np.bincount(level, weights=inside, minlength=levels)
    members = np.bincount(level, weights=filled, minlength=levels)
    spread = np.where(filled, sums[level] / np.maximum(members[level], 1), 0.0)
    present = clipped > 0
    p = clipped[present] / clipped.sum()
    q = np.maximum(spread[present] / spread.sum(), 1e-12)
    return float(np.sum(p * np.log(p / q)))

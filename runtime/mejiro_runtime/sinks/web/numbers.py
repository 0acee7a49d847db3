"""Turn timings into what a page and a monitoring system show: windows, histograms, rates."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any

import numpy as np

from mejiro_runtime.latency import Distribution
from mejiro_runtime.types import Timing

if TYPE_CHECKING:
    from numpy.typing import NDArray

# `waiting` is a frame's age without what its own stages took: in the driver, and in the slot.
STAGES = ("capture", "waiting", "preprocess", "infer", "postprocess", "frame_to_label", "age")
STACK = slice(1, 5)  # waiting to postprocess: together a frame's age
WINDOW = 2048
BINS = 36
RATE_OVER_NS = 3_000_000_000

# Upper bounds in nanoseconds: 1, 2 and 5 of each decade from 0.1 ms to 5 s.
BUCKETS_NS = np.array([n * 10**d for d in range(5, 10) for n in (1, 2, 5)], dtype=np.int64)


class Numbers:
    """Keep the newest WINDOW frames, and counts of all of them; memory does not grow."""

    def __init__(self) -> None:
        self._ring = np.zeros((WINDOW, len(STAGES)), dtype=np.int64)
        self._seen = 0
        self._marks: deque[tuple[int, int]] = deque()
        # Of each stage, the frames that took no longer than each bound, and all; and their sum.
        self.buckets = np.zeros((len(STAGES), len(BUCKETS_NS) + 1), dtype=np.int64)
        self.sums_ns = np.zeros(len(STAGES), dtype=np.int64)

    @property
    def counted(self) -> int:
        """Frames whose timings were taken in."""
        return self._seen

    def add(self, timings: Iterable[Timing]) -> NDArray[np.int64]:
        """Take in timings; return them as rows, one column for each of STAGES."""
        rows = np.array([_row(timing) for timing in timings], dtype=np.int64)
        if not len(rows):
            return np.zeros((0, len(STAGES)), dtype=np.int64)
        kept = rows[-WINDOW:]
        start = self._seen + len(rows) - len(kept)
        self._ring[(start + np.arange(len(kept))) % WINDOW] = kept
        self._seen += len(rows)
        self.sums_ns += rows.sum(axis=0)
        for stage in range(len(STAGES)):
            places = np.searchsorted(BUCKETS_NS, rows[:, stage])
            self.buckets[stage] += np.bincount(places, minlength=len(BUCKETS_NS) + 1)
        return rows

    def rate(self, shown: int, now_ns: int | None = None) -> float | None:
        """Return frames a second over the last seconds, given how many there have been so far."""
        now = perf_counter_ns() if now_ns is None else now_ns
        self._marks.append((now, shown))
        while len(self._marks) > 2 and now - self._marks[1][0] >= RATE_OVER_NS:
            self._marks.popleft()
        begin, before = self._marks[0]
        return None if now == begin else (shown - before) * 1e9 / (now - begin)

    def _window(self) -> NDArray[np.int64]:
        return self._ring[: min(self._seen, WINDOW)]

    def summary(self) -> dict[str, list[float]]:
        """Return p50, p90 and p99 of each stage over the window, in milliseconds."""
        window = self._window()
        if not len(window):
            return {}
        found = {}
        for column, stage in enumerate(STAGES):
            of = Distribution.of(window[:, column])
            found[stage] = [round(ns / 1e6, 3) for ns in (of.p50_ns, of.p90_ns, of.p99_ns)]
        return found

    def histogram(self) -> dict[str, Any] | None:
        """Return counts of frame-to-label times over the window, in BINS bins of equal ratio.

        So the many that are alike and the few that are slow both have room.
        """
        window = self._window()
        if not len(window):
            return None
        values = np.maximum(window[:, STAGES.index("frame_to_label")] / 1e6, 1e-3)
        low, high = float(values.min()), float(values.max()) * 1.02
        counts, _ = np.histogram(values, bins=np.geomspace(low, high, BINS + 1))
        return {"low": round(low, 4), "high": round(high, 4), "counts": counts.tolist()}


def _row(timing: Timing) -> tuple[int, ...]:
    own = timing.frame_to_label_ns
    return (
        timing.capture_ns,
        max(0, timing.age_ns - own),
        timing.preprocess_ns,
        timing.infer_ns,
        timing.postprocess_ns,
        own,
        timing.age_ns,
    )

"""Decide when to change to a faster artifact, and when back: pure logic, without a clock.

A ladder's rungs are the artifacts of a bundle, the slowest first. Heat or load that pushes the
95th percentile over the budget leads one rung down; a rung above that would fit again leads up,
after a time that doubles whenever climbing turned out to be wrong.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

SECOND_NS = 1_000_000_000
WINDOW_NS = 2 * SECOND_NS  # what is judged by
JUDGE_NS = SECOND_NS // 5  # and how often: sorting a window takes its time
MIN_FRAMES, MAX_FRAMES = 8, 2048
DOWN_AFTER_NS = 2 * SECOND_NS  # over budget for so long
UP_AFTER_NS = 15 * SECOND_NS  # and room above for so long
MAX_UP_AFTER_NS = 600 * SECOND_NS
ROOM = 0.8  # of the budget is what the rung above may be expected to take


class Switch(NamedTuple):
    """Say that the ladder went from one rung to another, at which percentile, and why."""

    at_ns: int
    before: int
    after: int
    p95_ns: int
    budget_ns: int
    why: str


class Ladder:
    """Follow frames and say when to change the rung.

    `paces_ns` are what the rungs take, slowest first, as measured beforehand; only their ratios
    count, as heat slows all of them. Times are nanoseconds on one clock.
    """

    def __init__(
        self, paces_ns: Sequence[int], budget_ns: int, *, start: int | None = None
    ) -> None:
        if not paces_ns or min(paces_ns) <= 0 or budget_ns <= 0:
            raise ValueError("a ladder needs rungs and a budget above 0")
        self.paces_ns = tuple(paces_ns)
        self.budget_ns = budget_ns
        self.rung = self._first() if start is None else start
        self.up_after_ns = UP_AFTER_NS
        self._frames: deque[tuple[int, int]] = deque(maxlen=MAX_FRAMES)
        self._over_since: int | None = None
        self._room_since: int | None = None
        self._climbed_at: int | None = None
        self._judged_at = -JUDGE_NS

    def _first(self) -> int:
        """Return the slowest rung that fits with room, else the fastest."""
        last = len(self.paces_ns) - 1
        fits = (i for i, pace in enumerate(self.paces_ns) if pace <= ROOM * self.budget_ns)
        return next(fits, last)

    @property
    def p95_ns(self) -> int | None:
        """The 95th percentile (nearest rank) of the window; None with too few frames in it."""
        if len(self._frames) < MIN_FRAMES:
            return None
        values = sorted(duration for _, duration in self._frames)
        return values[-(-95 * len(values) // 100) - 1]

    def observe(self, now_ns: int, duration_ns: int) -> Switch | None:
        """Take one frame's duration; return a switch if the rung has to change, and change it."""
        self._frames.append((now_ns, duration_ns))
        while now_ns - self._frames[0][0] > WINDOW_NS and len(self._frames) > MIN_FRAMES:
            self._frames.popleft()
        if now_ns - self._judged_at < JUDGE_NS:
            return None
        self._judged_at = now_ns
        p95 = self.p95_ns
        if p95 is None:
            return None
        over = p95 > self.budget_ns
        self._over_since = (self._over_since or now_ns) if over else None
        room = not over and self.rung > 0 and self._expected_above(p95) <= ROOM * self.budget_ns
        self._room_since = (self._room_since or now_ns) if room else None
        if self._over_since is not None and now_ns - self._over_since >= DOWN_AFTER_NS:
            return self._down(now_ns, p95) if self.rung + 1 < len(self.paces_ns) else None
        if self._room_since is not None and now_ns - self._room_since >= self.up_after_ns:
            return self._go(self.rung - 1, now_ns, p95, "there is room again")
        return None

    def _expected_above(self, p95_ns: int) -> float:
        return p95_ns * self.paces_ns[self.rung - 1] / self.paces_ns[self.rung]

    def _down(self, now_ns: int, p95_ns: int) -> Switch:
        if self._climbed_at is not None and now_ns - self._climbed_at <= self.up_after_ns:
            self.up_after_ns = min(2 * self.up_after_ns, MAX_UP_AFTER_NS)
        return self._go(self.rung + 1, now_ns, p95_ns, "p95 is over the budget")

    def _go(self, rung: int, now_ns: int, p95_ns: int, why: str) -> Switch:
        switch = Switch(now_ns, self.rung, rung, p95_ns, self.budget_ns, why)
        if rung < self.rung:
            self._climbed_at = now_ns
        self.rung = rung
        self._frames.clear()
        self._over_since = self._room_since = None
        return switch

"""Time several models by turns: in which order they come, and what precedes each turn."""

from __future__ import annotations

from collections.abc import Sequence
from time import perf_counter_ns

from mejiro_runtime.model import Model
from mejiro_runtime.types import Frame

# An engine's threads slept while others had their turns, and wake where the scheduler finds them
# a place: two on one CPU at first, and up to 50 ms later each on its own.
SETTLE_NS = 80_000_000
SETTLE_FRAMES = 2


def turn_order(count: int, number: int) -> list[int]:
    """Return 0 to `count` - 1, in another order each round: nobody always follows the same one."""
    start = number % count
    order = [*range(start, count), *range(start)]
    return order if number // count % 2 == 0 else order[::-1]


def settle(model: Model, frames: Sequence[Frame]) -> None:
    """Run frames that are not timed until the engine's threads have found their places."""
    done, end = 0, perf_counter_ns() + (SETTLE_NS if model.info.threads > 1 else 0)
    while done < SETTLE_FRAMES or perf_counter_ns() < end:
        model(frames[done % len(frames)])
        done += 1

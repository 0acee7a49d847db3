"""A ladder keeps to its budget and does not swing: by properties, on times of the test's own."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mejiro_runtime.ladder import (
    DOWN_AFTER_NS,
    MAX_UP_AFTER_NS,
    MIN_FRAMES,
    ROOM,
    SECOND_NS,
    UP_AFTER_NS,
    WINDOW_NS,
    Ladder,
    Switch,
)

MS = 1_000_000
PACES = (50 * MS, 20 * MS, 5 * MS)
paces = st.lists(st.integers(1, 200), min_size=1, max_size=5, unique=True).map(
    lambda values: sorted((value * MS for value in values), reverse=True)
)


def drive(
    ladder: Ladder, seconds: float, slowed: Callable[[float], float], *, fps: float = 20
) -> list[Switch]:
    """Run frames for so long; at second t each takes its rung's pace times `slowed(t)`."""
    switches = []
    for number in range(int(seconds * fps)):
        now = int(number / fps * SECOND_NS) + 1
        duration = int(ladder.paces_ns[ladder.rung] * slowed(number / fps))
        if (found := ladder.observe(now, duration)) is not None:
            switches.append(found)
    return switches


def test_it_begins_on_the_slowest_rung_that_fits() -> None:
    assert Ladder(PACES, 100 * MS).rung == 0
    assert Ladder(PACES, 60 * MS).rung == 1
    assert Ladder(PACES, 1 * MS).rung == 2
    assert Ladder(PACES, 100 * MS, start=2).rung == 2


def test_heat_leads_down_and_cold_up_again() -> None:
    ladder = Ladder(PACES, 66 * MS)
    assert ladder.rung == 0
    hot = drive(ladder, 120, lambda t: 2.0 if 10 <= t < 40 else 1.0)
    assert [(one.before, one.after) for one in hot] == [(0, 1), (1, 0)]
    down, up = hot
    assert down.why == "p95 is over the budget"
    assert down.p95_ns > down.budget_ns
    # Within the window and the patience of it.
    assert 10 * SECOND_NS <= down.at_ns <= 10 * SECOND_NS + WINDOW_NS + 2 * DOWN_AFTER_NS
    assert up.at_ns >= 40 * SECOND_NS + UP_AFTER_NS


def test_one_slow_frame_changes_nothing() -> None:
    ladder = Ladder(PACES, 66 * MS)
    assert drive(ladder, 60, lambda t: 9.0 if t == 30 else 1.0) == []


def test_climbing_in_vain_takes_longer_each_time() -> None:
    # What the ratio of paces promises does not come true: above, all is slower than measured.
    ladder = Ladder((30 * MS, 20 * MS), 40 * MS, start=1)
    times = []
    for number in range(20 * 3600):
        now = int(number / 20 * SECOND_NS) + 1
        found = ladder.observe(now, 20 * MS if ladder.rung else 45 * MS)
        if found is not None and found.after == 0:
            times.append(found.at_ns)
    gaps = [after - before for before, after in itertools.pairwise(times)]
    assert len(times) < 15
    assert all(after >= 0.99 * before for before, after in itertools.pairwise(gaps))
    assert gaps[-1] > 10 * gaps[0]
    assert ladder.up_after_ns == MAX_UP_AFTER_NS


def test_the_fastest_rung_is_the_last() -> None:
    ladder = Ladder(PACES, 1 * MS)
    assert drive(ladder, 60, lambda t: 1.0) == []
    assert ladder.rung == 2


def test_too_few_frames_decide_nothing() -> None:
    ladder = Ladder(PACES, 1 * MS, start=0)
    for number in range(MIN_FRAMES - 1):
        assert ladder.observe(number * 10 * SECOND_NS + 1, 999 * MS) is None
    assert ladder.p95_ns is None


@pytest.mark.parametrize(("rungs", "budget"), [((), 5), ((0,), 5), ((5,), 0)])
def test_a_ladder_that_is_none_is_refused(rungs: tuple[int, ...], budget: int) -> None:
    with pytest.raises(ValueError, match="needs rungs"):
        Ladder(rungs, budget)


@given(paces, st.integers(1, 200), st.lists(st.floats(0.1, 10), min_size=1, max_size=20))
def test_each_switch_is_one_rung_and_within_the_ladder(
    rungs: list[int], budget: int, slowed: list[float]
) -> None:
    ladder = Ladder(rungs, budget * MS)
    rung = ladder.rung
    for one in drive(ladder, 5 * len(slowed), lambda t: slowed[int(t / 5)], fps=4):
        assert one.before == rung
        assert abs(one.after - one.before) == 1
        assert 0 <= one.after < len(rungs)
        # Never down within the budget, never up beyond it.
        assert (one.p95_ns > one.budget_ns) == (one.after > one.before)
        rung = one.after
    assert ladder.rung == rung


@given(paces, st.integers(1, 200), st.floats(0.2, 5), st.integers(0, 4))
def test_a_steady_load_ends_on_a_rung_that_fits_if_there_is_one(
    rungs: list[int], budget: int, slowed: float, start: int
) -> None:
    ladder = Ladder(rungs, budget * MS, start=min(start, len(rungs) - 1))
    switches = drive(ladder, 200, lambda t: slowed, fps=10)
    # In one direction only: a steady load gives no reason to turn round.
    assert len({one.after > one.before for one in switches}) <= 1
    assert len(switches) < len(rungs)
    taken = int(rungs[ladder.rung] * slowed)
    assert taken <= budget * MS or ladder.rung == len(rungs) - 1
    if ladder.rung > 0 and taken <= budget * MS:
        above = taken * rungs[ladder.rung - 1] / rungs[ladder.rung]
        assert above > ROOM * budget * MS * 0.999

"""Models that take turns come in changing order, and run untimed before each turn."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mejiro_runtime import turns
from mejiro_runtime.turns import SETTLE_FRAMES, settle, turn_order


@given(st.integers(1, 12), st.integers(0, 100))
def test_everyone_has_a_turn_each_round(count: int, number: int) -> None:
    assert sorted(turn_order(count, number)) == list(range(count))


@given(st.integers(2, 12))
def test_nobody_always_follows_the_same_one(count: int) -> None:
    rounds = [turn_order(count, number) for number in range(2 * count)]
    for one in range(count):
        places = [order.index(one) for order in rounds]
        assert set(places) == set(range(count))
        before = {order[at - 1] for order, at in zip(rounds, places, strict=True) if at}
        assert len(before) == min(2, count - 1)


@pytest.mark.parametrize(("threads", "runs"), [(1, SETTLE_FRAMES), (2, 30)])
def test_threads_find_their_places_before_a_turn(
    monkeypatch: pytest.MonkeyPatch, threads: int, runs: int
) -> None:
    now, seen = [0], []

    class Model:
        info = SimpleNamespace(threads=threads)

        def __call__(self, frame: str) -> None:
            now[0] += 1_000_000
            seen.append(frame)

    monkeypatch.setattr(turns, "perf_counter_ns", lambda: now[0])
    monkeypatch.setattr(turns, "SETTLE_NS", 30_000_000)
    settle(cast("Any", Model()), cast("Any", ["first", "second"]))
    assert len(seen) == runs
    assert seen[:2] == ["first", "second"]

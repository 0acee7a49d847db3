"""Files are timed by turns, and chance is told from a difference."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mejiro.errors import UsageError
from mejiro.race import Conditions, Pace, compare_paces, median_ratio, race
from mejiro_runtime.backends import BackendInfo
from mejiro_runtime.turns import SETTLE_FRAMES
from mejiro_runtime.types import Frame, PixelOrder, Result, Timing


def pace(*label_ns: int) -> Pace:
    return Pace("file", label_ns, label_ns, "engine")


def test_a_clear_difference_is_told_from_chance() -> None:
    rng = np.random.default_rng(0)
    rounds = [1000 + int(noise) for noise in rng.integers(0, 100, 15)]
    half = pace(*(round_ns // 2 for round_ns in rounds))
    found = compare_paces(half, pace(*rounds))
    assert found.median == pytest.approx(0.5, abs=0.01)
    assert found.faster
    assert not found.slower
    shuffled = pace(*rng.permutation(rounds).tolist())
    same = compare_paces(shuffled, pace(*rounds))
    assert not same.faster
    assert not same.slower


def test_a_round_that_was_disturbed_decides_nothing() -> None:
    calm = [100, 101, 99, 100, 102, 100, 98, 100, 101]
    disturbed = [value * (50 if place == 4 else 1) for place, value in enumerate(calm)]
    assert median_ratio(disturbed, calm).median == 1.0


@given(st.lists(st.tuples(st.integers(1, 10**9), st.integers(1, 10**9)), min_size=1, max_size=20))
def test_the_interval_holds_the_median(rounds: list[tuple[int, int]]) -> None:
    above, below = zip(*rounds, strict=True)
    found = median_ratio(above, below)
    assert found.low <= found.median * (1 + 1e-9)
    assert found.median <= found.high * (1 + 1e-9)
    assert not (found.faster and found.slower)


@pytest.mark.parametrize("given", [{"rounds": 0}, {"frames": 0}, {"openings": 0}])
def test_a_race_has_rounds_and_frames(given: dict[str, int]) -> None:
    with pytest.raises(UsageError, match="1 or more"):
        Conditions(**given)


class Runner:
    """Stand in for an open model: it notes that it ran, and takes a time of its own."""

    info = BackendInfo("litert", "an engine", "1", "CPU", 2, "litert")

    def __init__(self, name: str, infer_ns: int, ran: list[str]) -> None:
        self.name, self.infer_ns, self.ran, self.closed = name, infer_ns, ran, False

    def __call__(self, frame: Frame) -> Result:
        assert frame.pixels.shape == (480, 640, 3)
        assert frame.order is PixelOrder.BGR
        self.ran.append(self.name)
        return Result(0, "", (), Timing(9, 2, self.infer_ns, 3, 0))

    def __enter__(self) -> Runner:
        return self

    def __exit__(self, *_: object) -> None:
        self.closed = True


def test_files_take_turns(colour_model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[str] = []
    artifacts = [colour_model(name) for name in ("one", "two", "three")]
    runners = {a.path: Runner(a.card.file, 100 * n, ran) for n, a in enumerate(artifacts, 1)}

    def opened(path: Path, card: Any, **options: Any) -> Runner:
        assert options == {"backend": None, "threads": 2}
        return runners[path]

    monkeypatch.setattr("mejiro_runtime.race.open_model", opened)
    done: list[tuple[int, int]] = []
    conditions = Conditions(rounds=4, frames=2, threads=2)
    paces = race(artifacts, conditions, on_progress=lambda *counts: done.append(counts))
    assert [one.infer_ns for one in paces] == [(100,) * 4, (200,) * 4, (300,) * 4]
    assert [one.median_ns for one in paces] == [105, 205, 305]  # capture does not count
    assert paces[0].engine == "an engine 1, CPU, 2 threads"
    assert done == [(1, 4), (2, 4), (3, 4), (4, 4)]
    each = 3 * (2 + SETTLE_FRAMES)
    rounds = [ran[start : start + each] for start in range(0, len(ran), each)]
    assert len({tuple(one) for one in rounds}) > 2  # the order changes
    assert all(sorted(one) == sorted(rounds[0]) for one in rounds)
    assert all(runner.closed for runner in runners.values())


def test_threads_find_their_places_before_a_turn_counts(
    colour_model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, ran = [0], []

    class Settling(Runner):
        def __call__(self, frame: Frame) -> Result:
            now[0] += 1_000_000
            ran.append(now[0])
            return super().__call__(frame)

    monkeypatch.setattr("mejiro_runtime.turns.perf_counter_ns", lambda: now[0])
    monkeypatch.setattr("mejiro_runtime.turns.SETTLE_NS", 30_000_000)
    artifact = colour_model("one")
    monkeypatch.setattr("mejiro_runtime.race.open_model", lambda *_, **__: Settling("one", 100, []))
    (pace,) = race([artifact], Conditions(rounds=2, frames=4))
    assert len(pace.label_ns) == 2
    assert len(ran) == (1 + 2) * (30 + 4)  # one round warms up


def test_files_are_opened_anew(colour_model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[Runner] = []

    def open_one(path: Path, card: Any, **options: Any) -> Runner:
        opened.append(Runner(card.file, 100 * (1 + len(opened)), []))
        return opened[-1]

    monkeypatch.setattr("mejiro_runtime.race.open_model", open_one)
    done: list[tuple[int, int]] = []
    conditions = Conditions(rounds=2, frames=1, openings=2)
    artifacts = [colour_model("one"), colour_model("two")]
    paces = race(artifacts, conditions, on_progress=lambda *counts: done.append(counts))
    assert [one.infer_ns for one in paces] == [(100, 100, 300, 300), (200, 200, 400, 400)]
    assert done == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert len(opened) == 4
    assert all(runner.closed for runner in opened)


def test_real_files_are_timed(colour_model: Any) -> None:
    paces = race([colour_model("one"), colour_model("two")], Conditions(rounds=2, frames=2))
    assert [one.file for one in paces] == ["one.onnx", "two.onnx"]
    assert all(one.median_ns >= min(one.infer_ns) > 0 for one in paces)
    assert "onnxruntime" in paces[0].engine

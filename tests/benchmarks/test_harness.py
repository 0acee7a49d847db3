"""Test the arithmetic that the figures rest on; the timings themselves decide no test."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture
def harness(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(FOLDER))
    import harness

    return harness


@pytest.fixture
def summary(harness: Any) -> Any:
    import summary

    return summary


def test_a_busy_round_does_not_move_the_ratio(harness: Any) -> None:
    bare = [1.0, 1.1, 0.9, 1.0, 1.2, 1.0, 1.0, 1.0, 1.0]
    ours = [1.5 * value for value in bare]
    ours[3] *= 40
    found = harness.ratio("x", ours, bare)
    assert found.median == pytest.approx(1.5)
    assert found.low <= found.median <= found.high


def test_the_interval_narrows_around_steady_rounds(harness: Any) -> None:
    found = harness.ratio("x", [2.0] * 8, [1.0] * 8, limit=1.9)
    assert (found.low, found.high) == (2.0, 2.0)
    assert found.reached is False
    assert "NO" in str(found)


@pytest.mark.parametrize(
    ("median", "lower", "reached"), [(1.7, False, True), (1.69, False, False), (1.7, True, True)]
)
def test_limits_count_from_their_side(
    harness: Any, median: float, lower: bool, reached: bool
) -> None:
    found = harness.ratio("x", [median], [1.0], limit=1.7, lower_is_better=lower)
    assert found.reached is reached


def test_without_a_limit_nothing_is_reached_or_missed(harness: Any) -> None:
    assert harness.ratio("x", [3.0], [1.0]).reached is None


def test_ways_take_turns_and_none_always_follows_the_same(harness: Any) -> None:
    order: list[str] = []

    def way(name: str) -> Any:
        def run() -> dict[str, float]:
            order.append(name)
            return {"figure": float(len(order))}

        return run

    rounds = harness.take_turns({name: way(name) for name in "abc"}, 6)
    turns = [order[start : start + 3] for start in range(0, 18, 3)]
    assert all(sorted(turn) == ["a", "b", "c"] for turn in turns)
    assert {turn[0] for turn in turns} == {"a", "b", "c"}
    assert [len(rounds[name]["figure"]) for name in "abc"] == [6, 6, 6]


def report(harness: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, quick: bool) -> Path:
    monkeypatch.setattr(harness, "RESULTS", tmp_path)
    monkeypatch.setattr(sys, "argv", ["benchmarks/overhead.py"])
    options = argparse.Namespace(quick=quick, out=None)
    rounds = {"mejiro": {"p50_ms": [3.123456789, 3.0]}, "bare": {"p50_ms": [2.0, 2.0]}}
    one = harness.ratio("a / b", rounds["mejiro"]["p50_ms"], rounds["bare"]["p50_ms"], limit=1.16)
    harness.report(options, [one], settings={"threads": 2}, rounds=rounds, notes=["said"])
    return tmp_path / "overhead.json"


def test_a_result_holds_machine_rounds_and_ratios(
    harness: Any, summary: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = json.loads(report(harness, tmp_path, monkeypatch, quick=False).read_text())
    assert written["machine"]["packages"]["numpy"]
    assert written["rounds"]["mejiro"]["p50_ms"] == [3.1235, 3.0]
    assert written["medians"]["bare"]["p50_ms"] == 2.0
    assert written["ratios"]["a / b"]["reached"] is False
    table = summary.table(tmp_path)
    assert "| overhead | a / b | 1.531 |" in table
    assert "at most 1.16, **missed**" in table
    assert "  - said" in table
    assert "- startup: not measured yet" in table


def test_a_quick_run_records_nothing(
    harness: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not report(harness, tmp_path, monkeypatch, quick=True).exists()


def test_the_page_shows_what_the_results_hold(harness: Any, summary: Any) -> None:
    page = summary.PAGE.read_text(encoding="utf-8")
    assert summary.with_table(page, harness.RESULTS) == page, "run: python benchmarks/summary.py"


def test_photographs_are_frames_of_one_size(harness: Any) -> None:
    frames = harness.photographs()
    assert len(frames) >= 8
    assert {frame.shape for frame in frames} == {(480, 640, 3)}

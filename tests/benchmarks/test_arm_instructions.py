"""Test how counted marks become figures; what is counted is tested with the emulator."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.emulation.counting import Mark

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture
def counting(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(FOLDER))
    import arm_instructions

    return arm_instructions


def softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return (powers / powers.sum(axis=-1, keepdims=True)).astype(np.float32)


def test_marks_are_sorted_by_file_and_stage_less_their_own_cost(counting: Any) -> None:
    stages = counting.STAGES
    marks = [
        Mark(100 * place + stages[stage], count)
        for place in (0, 1)
        for stage, count in (
            ("nothing counted", 9999),
            ("mark", 3),
            ("whole frame", 103 + place),
            ("engine", 53),
        )
    ]
    found = counting.counts_of([*marks, *marks[:4]], ["a", "b"])
    assert found == {
        "a": {"whole frame": [100, 100], "engine": [50, 50]},
        "b": {"whole frame": [101], "engine": [50]},
    }


def test_steps_of_integers_are_their_difference(counting: Any) -> None:
    here = np.array([[0, 255]], dtype=np.uint8)
    assert counting.largest_step(here, np.array([[3, 255]], dtype=np.uint8)) == 3


@pytest.mark.parametrize("most", [0, 1, 4])
def test_steps_of_logits_are_found_in_their_softmax(counting: Any, most: int) -> None:
    rng = np.random.default_rng(3)
    whole = rng.integers(-60, 60, (2, 1, 200))
    other = whole.copy()
    other[1, 0, 17] += most
    other[0, 0, 5] -= most // 2
    answers = (softmax(0.0731 * logits) for logits in (whole, other))
    assert counting.largest_step(*answers) == most


def test_one_value_that_differs_is_not_identical(counting: Any) -> None:
    def run(*values: int) -> Any:
        return counting.Run({}, {"file": np.array(values)}, {})

    assert counting.share_identical([run(1, 2, 3, 4)] * 3, "file") == 1.0
    runs = [run(1, 2, 3, 4), run(1, 2, 3, 4), run(1, 2, 3, 5)]
    assert counting.share_identical(runs, "file") == 0.75


def test_two_runs_are_as_far_apart_as_the_medians_of_their_worst_stage(counting: Any) -> None:
    def run(*counts: int) -> Any:
        return counting.Run({"file": {"engine": list(counts), "whole frame": [7]}}, {}, {})

    assert counting.repeatability(run(100, 100, 900), run(100, 100, 100)) == 0
    assert counting.repeatability(run(102), run(100)) == pytest.approx(0.02)

"""Files are weighed by what they score and cost, and the dominated are named."""

from __future__ import annotations

from typing import Any

import pytest

from mejiro.data.folders import labelled_pictures
from mejiro.errors import UsageError
from mejiro.model import Evaluation
from mejiro.quality.compare import Contender, compare, comparison_of, mark_dominated
from mejiro.race import Conditions, Pace

QUICK = Conditions(rounds=2, frames=2)


def contender(artifact: Any, name: str, top1: float, *label_ns: int) -> Contender:
    evaluation = Evaluation("birds", 50, top1, 1.0, {}, "numpy")
    rounds = label_ns if len(label_ns) > 1 else label_ns * 9
    return Contender(name, artifact, evaluation, Pace(name, rounds, rounds, "engine"), 100)


def verdicts(*contenders: Contender) -> dict[str, str | None]:
    return {one.name: one.dominated_by for one in mark_dominated(contenders)}


def test_one_that_is_better_in_something_and_worse_in_nothing_dominates(colour_model: Any) -> None:
    artifact = colour_model()
    good = contender(artifact, "good", 0.9, 100)
    assert verdicts(good, contender(artifact, "slow", 0.9, 120)) == {"good": None, "slow": "good"}
    assert verdicts(good, contender(artifact, "wrong", 0.8, 100))["wrong"] == "good"
    # Each the best choice for somebody; and equal ones do not rule each other out.
    assert set(verdicts(good, contender(artifact, "fast", 0.8, 50)).values()) == {None}
    assert set(verdicts(good, contender(artifact, "same", 0.9, 100)).values()) == {None}


def test_chance_makes_nothing_faster(colour_model: Any) -> None:
    artifact = colour_model()
    one = contender(artifact, "one", 0.9, 100, 101, 99, 103, 98, 100, 104)
    other = contender(artifact, "other", 0.9, 101, 99, 100, 98, 103, 101, 99)
    assert set(verdicts(one, other).values()) == {None}
    # What is as fast but for chance, and more often right, dominates.
    assert verdicts(one, contender(artifact, "worse", 0.8, *other.pace.label_ns)) == {
        "one": None,
        "worse": "one",
    }


def test_the_best_of_those_that_dominate_is_named(colour_model: Any) -> None:
    artifact = colour_model()
    worst = contender(artifact, "worst", 0.5, 300)
    middle, best = contender(artifact, "mid", 0.6, 200), contender(artifact, "best", 0.7, 200)
    assert verdicts(worst, middle, best) == {"worst": "best", "mid": "best", "best": None}


def test_real_files_are_scored_timed_and_counted(colour_model: Any, colour_pictures: Any) -> None:
    artifacts = [colour_model("right"), colour_model("swapped", order="bgr")]
    folder = colour_pictures()
    pictures = labelled_pictures(folder, artifacts[0].card.labels)
    stages: list[str] = []
    found = compare(artifacts, pictures, data="colours", conditions=QUICK, on_stage=stages.append)
    assert [one.name for one in found] == ["right.onnx", "swapped.onnx"]
    assert found[0].evaluation.top1 > found[1].evaluation.top1
    assert found[0].multiply_adds == 9  # one matrix of 3 x 3
    assert found[0].to_json()["rounds_ns"] == list(found[0].pace.label_ns)
    assert len(stages) == 2
    shown = comparison_of(found, QUICK)
    assert [point.name for point in shown.points] == ["right.onnx", "swapped.onnx"]
    assert shown.pictures == len(pictures)


def test_names_that_come_twice_are_told_apart(
    colour_model: Any, colour_pictures: Any, tmp_path: Any
) -> None:
    artifact = colour_model("same")
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        for path in artifact.path.parent.glob("same.onnx*"):
            (tmp_path / folder / path.name).write_bytes(path.read_bytes())
    twins = [type(artifact).open(tmp_path / folder / "same.onnx") for folder in ("one", "two")]
    pictures = labelled_pictures(colour_pictures(), artifact.card.labels)
    found = compare(twins, pictures, data="colours", conditions=QUICK)
    assert [one.name for one in found] == ["one/same.onnx", "two/same.onnx"]


def test_one_file_is_no_comparison(colour_model: Any) -> None:
    with pytest.raises(UsageError, match="two files or more, found 1"):
        compare([colour_model()], [], data="colours")

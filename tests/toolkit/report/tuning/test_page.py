"""The page of a search: its figures, its words, and studies in which little has happened."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from mejiro.report.tuning import Findings, write_tuning_report
from mejiro.report.tuning.figures import plot_settings
from mejiro.report.tuning.page import tuning_page
from mejiro.report.tuning.tables import best_first, trial_table
from mejiro.report.tuning.words import lead_words, told
from mejiro.tune import State, StudyRecord, TrialRecord

SPACE = {"freeze": "default, backbone", "rate": "1e-05..0.001", "image_size": "96, 128"}
USUAL = {"freeze": "default", "rate": 3e-4, "image_size": 128}


def trial(number: int, state: State, accuracy: float | None, **values: object) -> TrialRecord:
    curve = () if accuracy is None else ((1, accuracy / 2), (2, accuracy))
    return TrialRecord(
        number, state, values, accuracy, None if accuracy is None else 1 - accuracy, curve,  # type: ignore[arg-type]
        seconds=40.0 + number, host="desk", error="no memory" if state is State.FAILED else "",
    )  # fmt: skip


TRIALS = (
    trial(0, State.COMPLETE, 0.80, freeze="default", rate=3e-4, image_size=128),
    trial(1, State.PRUNED, 0.40, freeze="default", rate=1.2e-5, image_size=96),
    trial(2, State.FAILED, None, freeze="default", rate=1e-3, image_size=128),
    trial(3, State.COMPLETE, 0.95, freeze="default", rate=1.5e-4, image_size=96),
    trial(4, State.COMPLETE, 0.70, freeze="backbone", image_size=128),
    trial(5, State.RUNNING, 0.5, freeze="default", rate=2e-4, image_size=96),
)


def findings(*trials: TrialRecord, **changes: object) -> Findings:
    aim = {"the data": "birds (00)", "the model": "tiny", "--depth": "nothing", "--epochs": "8"}
    record = StudyRecord("birds", "tiny", aim, SPACE, 8, trials or TRIALS)
    command = "mejiro train 'my <birds>' --model tiny --rate 0.00015"
    given = {"searched": tuple(SPACE), "usual": USUAL, "val_pictures": 50, "command": command}
    return Findings(record, **{**given, "run": "trials/3", **changes})  # type: ignore[arg-type]


def text_of(page: str) -> str:
    body = re.sub(r"<(style|svg).*?</\1>", "", page, flags=re.DOTALL)
    return " ".join(re.sub(r"<[^>]*>", " ", body).split())


@pytest.fixture(scope="module")
def page() -> str:
    return tuning_page(findings())


def test_the_page_says_what_came_of_it(page: str) -> None:
    text = text_of(page)
    assert "tiny on birds" in text
    assert "4 of 8 trials are finished." in text
    assert "The best is trial 3: freeze default, rate 0.00015, image size 96." in text
    assert "has the values of trial 0, which reached 80.0%: 15.0 points less." in text
    assert "95.0 %" in text
    assert "1 pruned, 1 failed, 1 running" in text
    assert "One validation picture is 2 points" in text
    assert "trials/3" in text
    assert "no memory" in text


def test_the_page_holds_the_command_and_is_its_own(page: str) -> None:
    assert "&lt;birds&gt;" in page
    assert "<birds>" not in page
    assert "<script" not in page
    assert not re.search(r"(?:src|href)=\"(?!data:|#)", page)
    assert page.count("<svg aria-hidden") == 6  # three figures, wide and narrow


def test_the_page_says_what_was_searched_and_shared(page: str) -> None:
    text = text_of(page)
    assert "rate 1e-05..0.001" in text
    assert "epochs 8" in text
    assert "depth" not in text


def test_the_same_study_gives_the_same_page(tmp_path: Path) -> None:
    path = write_tuning_report(tmp_path, findings())
    assert path == tmp_path / "report.html"
    assert path.read_text(encoding="utf-8") == tuning_page(findings())


def test_a_study_that_has_just_begun_has_a_page() -> None:
    running = replace(TRIALS[5], accuracy=None, curve=())
    text = text_of(tuning_page(findings(running, command="", run="")))
    assert "0 of 8 trials are finished." in text
    assert "Train with the best" not in text
    assert "Trial by trial" not in text


def test_a_study_that_only_failed_has_a_page() -> None:
    text = text_of(tuning_page(findings(TRIALS[2], command="", run="")))
    assert "no memory" in text


def test_many_trials_are_folded() -> None:
    many = [replace(TRIALS[0], number=number) for number in range(34)]
    page = tuning_page(findings(*many))
    assert "<summary>4 more</summary>" in page


def test_a_setting_that_no_trial_has_gets_no_panel() -> None:
    figure = plot_settings(findings(TRIALS[4]))
    assert "rate" not in figure.description
    assert "image size" in figure.description


def test_a_search_of_one_setting_is_drawn() -> None:
    figure = plot_settings(findings(searched=("rate",)))
    assert figure.wide.count("<svg") == 1


def test_the_best_come_first() -> None:
    assert [one.number for one in best_first(TRIALS)] == [3, 0, 4, 1, 5, 2]
    table = trial_table(findings(), best_first(TRIALS))
    assert table.rows[0][0].text == "3"
    assert table.rows[2][4].text == "–"  # a frozen backbone has no rate
    assert [row[0].note for row in table.rows] == ["", "", "", "pruned", "running", "no memory"]


def test_equal_accuracies_are_told_apart_by_loss_then_by_age() -> None:
    early, surer = replace(TRIALS[3], number=8), replace(TRIALS[3], number=9, val_loss=0.01)
    late = replace(TRIALS[3], number=10)
    assert [one.number for one in best_first([late, early, surer])] == [9, 8, 10]
    assert findings(late, early, surer).record.best is surer


def test_the_usual_values_may_be_the_best() -> None:
    assert "that a run has without a search" in lead_words(findings(TRIALS[0], TRIALS[4]))
    assert "without a search" not in lead_words(findings(TRIALS[3]))
    equal = replace(TRIALS[3], accuracy=0.8, val_loss=0.1)
    assert "no less accurate, but had the higher loss" in lead_words(findings(TRIALS[0], equal))


def test_a_search_without_the_usual_values_has_nothing_to_compare_with() -> None:
    narrow = findings(usual={"freeze": "default", "rate": 3e-4})
    assert narrow.baseline is None
    assert "without a search" not in lead_words(narrow)
    fixed = findings(searched=("freeze", "rate"))
    assert fixed.baseline is TRIALS[0]


def test_one_line_tells_of_a_trial() -> None:
    record = findings().record
    assert told(TRIALS[3], record) == (
        "trial 3: 95.0%, the best in 43.0 s; freeze default, rate 0.00015, image size 96"
    )
    assert told(TRIALS[1], record).startswith("trial 1: 40.0%, pruned (best 95.0%) in 41.0 s;")


def test_values_stand_in_the_order_of_the_space() -> None:
    found = findings()
    assert found.in_order("freeze") == ["default", "backbone"]
    assert found.in_order("image_size") == [96, 128]
    assert found.limits("rate") == (1e-5, 1e-3)
    assert found.limits("freeze") is None

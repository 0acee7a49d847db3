"""A run changes between the artifacts of its bundle, and tells each change."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mejiro_runtime.commands import climbing
from mejiro_runtime.commands.climbing import Climber, rungs_of
from mejiro_runtime.model import Model
from mejiro_runtime.pipeline import Step
from mejiro_runtime.types import Result, Timing

MS = 1_000_000


@pytest.fixture
def make_model(handmade):
    def make(file: str, top1: float | None = None) -> Model:
        evaluation = None if top1 is None else {"top1": top1}
        return Model(replace(handmade.card(file), evaluation=evaluation), handmade.backend())

    return make


def files(rungs: list[tuple[Model, int]]) -> list[str]:
    return [model.card.file for model, _ in rungs]


def test_rungs_go_from_slow_to_fast_without_what_is_beaten(make_model) -> None:
    found = [
        (make_model("int8.tflite", 0.74), 3 * MS),
        (make_model("fp32.tflite", 0.75), 9 * MS),
        (make_model("int8.onnx", 0.74), 6 * MS),  # slower than the first, and no better
        (make_model("other.onnx"), 4 * MS),  # nothing is known of it
    ]
    assert files(rungs_of(found)) == ["fp32.tflite", "other.onnx", "int8.tflite"]


def test_an_artifact_that_was_asked_for_is_the_first_rung(make_model) -> None:
    found = [
        (make_model("int8.tflite", 0.74), 3 * MS),
        (make_model("fp32.tflite", 0.75), 9 * MS),
        (make_model("int8.onnx", 0.74), 6 * MS),
    ]
    assert files(rungs_of(found, top=found[2][0])) == ["int8.onnx", "int8.tflite"]


@pytest.mark.parametrize("as_json", [False, True])
def test_a_switch_exchanges_the_model_and_is_told(
    make_model, capsys, monkeypatch, as_json: bool
) -> None:
    models = [make_model("fp32.tflite"), make_model("int8.tflite")]
    climber = Climber(models, [30 * MS, 10 * MS], 20.0)
    assert climber.model is models[0]
    now = iter(range(1, 10**15, 100 * MS))
    monkeypatch.setattr(climbing, "perf_counter_ns", lambda: next(now))
    pipeline = SimpleNamespace(model=models[0])
    changed: list[Model] = []
    run: Any = SimpleNamespace(change_model=changed.append, notes=[])
    step = Step(Result(0, "", (), Timing(0, 0, 80 * MS, 0, 0)), sink_ns=5 * MS)
    for _ in range(60):
        climber.follow(step, pipeline, run, json=as_json)
    assert changed == [models[1]]
    assert pipeline.model is models[1]
    out, err = capsys.readouterr()
    assert err == (
        "ladder: int8.tflite instead of fp32.tflite: p95 is over the budget "
        "(85.0 ms, budget 50.0 ms)\n"
    )
    assert run.notes == [err[len("ladder: ") : -1] + "."]
    if as_json:
        switch = json.loads(out)["switch"]
        assert (switch["before"], switch["after"]) == ("fp32.tflite", "int8.tflite")
    else:
        assert out == ""
    told = climber.told()["ladder"]
    assert told["switches"] == len(told["newest"]) == 1
    assert [rung["artifact"] for rung in told["rungs"]] == ["fp32.tflite", "int8.tflite"]


def test_run_keeps_its_frames_a_second(bundle, say, monkeypatch) -> None:
    paces = {"colours.tflite": 9 * MS, "colours.onnx": 1 * MS}
    monkeypatch.setattr(climbing, "_pace_ns", lambda model, pace: paces[model.card.file])
    options = ("run", bundle, "--source", "synthetic:40x30", "--frames", "3", "--json")
    code, out, err = say(*options, "--keep-fps", "10")
    assert (code, err) == (0, "")
    summary = json.loads(out.splitlines()[-1])["summary"]
    assert summary["artifact"] == "colours.tflite"  # the slowest that fits
    assert [one["artifact"] for one in summary["ladder"]["rungs"]] == list(paces)
    code, out, err = say(*options, "--keep-fps", "200")
    summary = json.loads(out.splitlines()[-1])["summary"]
    assert summary["artifact"] == "colours.onnx"
    assert summary["ladder"]["switches"] == 0


def test_an_artifact_that_was_asked_for_may_leave_no_ladder(bundle, say, monkeypatch) -> None:
    paces = {"colours.tflite": 9 * MS, "colours.onnx": 1 * MS}
    monkeypatch.setattr(climbing, "_pace_ns", lambda model, pace: paces[model.card.file])
    code, _, err = say("run", bundle, "--source", "synthetic:40x30", "--frames", "3",
                       "--keep-fps", "10", "--artifact", "colours.onnx")  # fmt: skip
    assert code == 0
    assert err == "ladder: the bundle has no faster artifact to change to\n"


def test_paces_are_those_that_were_tuned(bundle, say, quick_tune) -> None:
    assert say("tune", bundle)[0] == 0
    code, out, err = say("run", bundle, "--source", "synthetic:40x30", "--frames", "3", "--json",
                         "--keep-fps", "10")  # fmt: skip
    assert code == 0
    assert err.startswith("tuned: ")
    kept = json.loads(Path(f"{bundle}.tuned.json").read_text(encoding="utf-8"))
    tuned = {pace["artifact"]: pace["median_ns"] for pace in kept["paces"]}
    rungs = json.loads(out.splitlines()[-1])["summary"]["ladder"]["rungs"]
    assert {one["artifact"]: one["pace_ns"] for one in rungs} == tuned


@pytest.mark.parametrize("fps", ["0", "-5", "nan", "1e9"])
def test_what_cannot_be_kept_is_refused(bundle, say, fps: str) -> None:
    code, _, err = say("run", bundle, "--source", "synthetic:40x30", f"--keep-fps={fps}")
    assert code == 2
    assert "--keep-fps is above 0" in err

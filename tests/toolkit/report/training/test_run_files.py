"""Check that a run's folder is read as it was written, and that anything else is one line."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mejiro.data.notes import DatasetNotes
from mejiro.errors import DataError, MejiroError
from mejiro.report.training.run_files import (
    is_run_folder,
    read_history,
    read_predictions,
    read_run_files,
    read_split,
)
from mejiro_runtime.errors import SpecError

MakeRun = Callable[..., Path]


def test_all_that_a_run_left_is_read(make_run: MakeRun) -> None:
    notes = DatasetNotes(unreadable=("daisy/x.jpg",), duplicates=(("a.jpg", "b.jpg"),))
    run = read_run_files(make_run(notes=notes))
    assert (run.model, [label.name for label in run.labels]) == (
        "tiny",
        ["daisy", "rose", "tulip"],
    )
    assert run.split.data == "flowers"
    assert (len(run.split.train), len(run.split.val)) == (15, 12)
    assert [epoch.phase for epoch in run.history] == ["frozen"] * 2 + ["fine-tuning"] * 2
    assert run.history[2].val_accuracy == 0.9
    assert run.predictions.paths == tuple(picture.path for picture in run.split.val)
    assert list(run.notes) == notes.lines()
    assert run.exports is None


def test_a_run_folder_is_told_from_others(make_run: MakeRun, tmp_path: Path) -> None:
    run = make_run()
    assert is_run_folder(run)
    assert not is_run_folder(run / "model")
    assert not is_run_folder(tmp_path / "nowhere")


@pytest.mark.parametrize(
    "name", ["model/model.json", "history.csv", "split.json", "predictions.npz", "dataset.json"]
)
def test_what_is_missing_is_named(make_run: MakeRun, name: str) -> None:
    run = make_run()
    (run / name).unlink()
    with pytest.raises(DataError, match=f"has no {name}, so it is no finished training run"):
        read_run_files(run)


@pytest.mark.parametrize(
    "name",
    ["model/model.json", "settings.json", "split.json", "predictions.npz", "dataset.json"],
)
@given(junk=st.binary(max_size=60))
def test_junk_is_refused_in_one_line(
    name: str, junk: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("run")
    (folder / "model").mkdir()
    (folder / name).write_bytes(junk)
    with pytest.raises(MejiroError) as caught:
        read_predictions(folder / name) if name.endswith("npz") else read_run_files(folder)
    assert "\n" not in str(caught.value)


def test_paths_that_are_not_whole_begin_at_the_root(make_run: MakeRun) -> None:
    run = make_run()
    value = json.loads((run / "split.json").read_text())
    whole = value["val"][0]["path"]
    value |= {"root": str(Path(whole).parent.parent)}
    value["val"][0]["path"] = "/".join(Path(whole).parts[-2:])
    (run / "split.json").write_text(json.dumps(value))
    assert read_split(run).val[0].path == Path(whole)


def test_a_split_without_hashes_is_refused(make_run: MakeRun) -> None:
    run = make_run()
    value = json.loads((run / "split.json").read_text())
    value["train"][0]["sha256"] = "12"
    (run / "split.json").write_text(json.dumps(value))
    with pytest.raises(SpecError, match="'12' is no SHA-256"):
        read_split(run)


def test_what_was_not_measured_is_no_number(tmp_path: Path) -> None:
    path = tmp_path / "history.csv"
    path.write_text(
        "phase,epoch,seconds,rate,loss,accuracy,val_loss,val_accuracy\nall,1,2.5,0.1,nan,inf,,0.5\n"
    )
    (epoch,) = read_history(path)
    assert (epoch.seconds, epoch.val_accuracy) == (2.5, 0.5)
    assert all(math.isnan(value) for value in (epoch.loss, epoch.accuracy, epoch.val_loss))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has no epochs"),
        ("phase,epoch\nall,1\n", "no column seconds, rate, loss"),
        (
            "phase,seconds,rate,loss,accuracy,val_loss,val_accuracy\na,fast,1,1,1,1,1\n",
            "'fast' where a number",
        ),
    ],
)
def test_a_history_that_is_none_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "history.csv").write_text(text)
    with pytest.raises(DataError, match=message):
        read_history(tmp_path / "history.csv")


def test_predictions_hold_no_code(tmp_path: Path) -> None:
    path = tmp_path / "predictions.npz"
    hostile = np.array([{"a": 1}], dtype=object)
    np.savez(path, probabilities=hostile, truth=np.zeros(1, int), paths=np.array(["a"]))
    with pytest.raises(DataError, match="cannot be read"):
        read_predictions(path)


def test_predictions_have_a_truth_and_a_path_each(tmp_path: Path) -> None:
    path = tmp_path / "predictions.npz"
    np.savez(path, probabilities=np.ones((2, 2)) / 2, truth=np.zeros(2, int), paths=np.array(["a"]))
    with pytest.raises(DataError, match="2 answers, 2 truths and 1 paths"):
        read_predictions(path)

"""Test which pictures a model is trained on further."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from mejiro.data.dataset import read_dataset
from mejiro.errors import DataError, UsageError
from mejiro.model import FloatModel
from mejiro.quality.lessons import read_lessons
from mejiro.train.events import Events
from mejiro_runtime.card import Scores
from mejiro_runtime.files import write_json
from mejiro_runtime.preprocess import InputSpec, TensorType
from mejiro_runtime.types import Label

NAMES = ("blue", "green", "red")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    rng = np.random.default_rng(4)
    for name in NAMES:
        (tmp_path / "data" / name).mkdir(parents=True)
        for index in range(6):
            pixels = rng.integers(0, 256, (10, 12, 3)).astype(np.uint8)
            assert cv2.imwrite(str(tmp_path / "data" / name / f"{index}.png"), pixels)
    return tmp_path / "data"


def _model(*names: str) -> FloatModel:
    """Return what is asked of a model here: its input and its labels."""
    spec = InputSpec(8, 8, dtype=TensorType.FLOAT32)
    labels = tuple(Label(index, name) for index, name in enumerate(names))
    return FloatModel("m", None, spec, labels, Scores.PROBABILITIES)


def _run(folder: Path, data: Path, share: float) -> Path:
    """Write what `read_lessons` reads of a run that split `data`."""
    dataset = read_dataset(str(data), val=share)
    (folder / "model").mkdir(parents=True)
    (folder / "model" / "model.json").write_text("{}")

    def rows(pictures):
        return [
            {"path": dataset.place(p), "sha256": p.sha256, "label": p.label_index} for p in pictures
        ]

    write_json(
        folder / "split.json",
        {
            "data": dataset.name,
            "root": str(dataset.root),
            "train": rows(dataset.train),
            "val": rows(dataset.val),
        },
    )
    return folder


def test_without_pictures_there_is_nothing(tmp_path: Path) -> None:
    assert read_lessons(_model(*NAMES), "lite0", None, tmp_path) is None
    with pytest.raises(UsageError, match="--val"):
        read_lessons(_model(*NAMES), "lite0", None, tmp_path, val=0.5)
    with pytest.raises(DataError):
        read_lessons(_model(*NAMES), "lite0", tmp_path / "absent", tmp_path)


def test_classes_have_the_models_places(data: Path, tmp_path: Path) -> None:
    found = read_lessons(_model("other", "red", "blue", "green"), "lite0", data, tmp_path, val=0.3)
    assert found is not None
    assert found.train_truth is not None
    assert set(found.train_truth) == {1, 2, 3}
    assert found.train.shape[1:] == (8, 8, 3)
    plain = read_dataset(str(data), val=0.3)
    places = {0: 2, 1: 3, 2: 1}
    assert [places[one.label_index] for one in plain.train] == list(found.train_truth)


def test_unknown_classes_make_no_labels(data: Path, tmp_path: Path) -> None:
    notes: list[str] = []
    found = read_lessons(_model("a", "b"), "x", data, tmp_path, events=Events(note=notes.append))
    assert found is not None
    assert found.train_truth is None
    assert len(found.train) + len(found.val) == 18
    assert "knows no class 'blue'" in notes[0]


def test_a_runs_validation_pictures_stay_held_back(data: Path, tmp_path: Path) -> None:
    run = _run(tmp_path / "run", data, 0.5)
    own = read_lessons(_model(*NAMES), str(run), None, tmp_path / "one")
    # Another share would hold back others.
    again = read_lessons(_model(*NAMES), str(run), data, tmp_path / "two", val=0.1)
    assert own is not None
    assert again is not None
    np.testing.assert_array_equal(own.val, again.val)
    np.testing.assert_array_equal(own.train, again.train)
    np.testing.assert_array_equal(own.val_truth, again.val_truth)


def test_a_runs_pictures_that_changed_are_left_out(data: Path, tmp_path: Path) -> None:
    run = _run(tmp_path / "run", data, 0.5)
    notes: list[str] = []
    (data / "red" / "0.png").write_bytes((data / "blue" / "0.png").read_bytes())
    events = Events(note=notes.append)
    found = read_lessons(_model(*NAMES), str(run), None, tmp_path / "cache", events=events)
    assert found is not None
    assert len(found.train) + len(found.val) == 17
    assert "left out 1 of the run's pictures" in notes[0]
    for path in data.rglob("*.png"):
        path.unlink()
    with pytest.raises(DataError, match="no longer where they were"):
        read_lessons(_model(*NAMES), str(run), None, tmp_path / "other")

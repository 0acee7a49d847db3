"""`mejiro convert --repair` prints what each step gave, and fails in one line if none will do."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest

from mejiro.cli import main
from mejiro.model import FloatModel
from mejiro.tensorflow import load_keras
from mejiro.zoo import save_float_model
from mejiro_runtime.card import Scores
from mejiro_runtime.preprocess import InputSpec, TensorType
from mejiro_runtime.types import Label


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Return a folder with pictures by class, and a network."""
    place = tmp_path_factory.mktemp("repair")
    rng = np.random.default_rng(3)
    for name in ("red", "blue"):
        (place / "pictures" / name).mkdir(parents=True)
        for index in range(4):
            pixels = rng.integers(0, 256, (16, 16, 3)).astype(np.uint8)
            assert cv2.imwrite(str(place / "pictures" / name / f"{index}.png"), pixels)
    keras = load_keras()
    keras.utils.set_random_seed(1)
    pixels = keras.Input((16, 16, 3))
    seen = keras.layers.Conv2D(4, 3, activation="relu", name="look")(pixels)
    means = keras.layers.GlobalAveragePooling2D(name="mean")(seen)
    scores = keras.layers.Dense(2, activation="softmax", name="tell")(means)
    model = FloatModel(
        name="colours",
        keras_model=keras.Model(pixels, scores),
        input=InputSpec(16, 16, scale=(1 / 128,), offset=(-127 / 128,), dtype=TensorType.FLOAT32),
        labels=(Label(0, "red"), Label(1, "blue")),
        scores=Scores.PROBABILITIES,
    )
    save_float_model(model, place / "network")
    return place


def words(place, out, *more):
    pictures = str(place / "pictures")
    return [
        *("convert", str(place / "network"), "--out", str(out), "--calibration", pictures),
        *("--format", "tflite", *more),
    ]


def repairing(place, *more):
    return ("--evaluate", str(place / "pictures"), "--repair", *more)


def test_a_file_within_its_budgets_is_left_as_it_is(place, tmp_path, capsys):
    assert main(words(place, tmp_path, *repairing(place, "--max-drop", "100"))) == 0
    printed = capsys.readouterr()
    assert "meets both budgets: kept" in printed.out
    assert "not needed: calibration, equalization" in printed.out
    assert str(tmp_path / "repair.json") in printed.err
    assert (tmp_path / "colours-int8.tflite").exists()


def test_a_conversion_without_repair_leaves_no_record_of_one_that_was(place, tmp_path):
    assert main(words(place, tmp_path, *repairing(place, "--max-drop", "100"))) == 0
    assert main(words(place, tmp_path)) == 0
    assert (tmp_path / "colours-int8.tflite").exists()
    assert not (tmp_path / "repair.json").exists()


def test_when_nothing_will_do_the_best_is_written_and_it_fails(place, tmp_path, capsys):
    limits = ("--max-drop", "100", "--max-slower", "0.000001")
    assert main(words(place, tmp_path, *repairing(place, *limits), "--json")) == 1
    printed = capsys.readouterr()
    value = json.loads(printed.out)
    assert [card["file"] for card in value["artifacts"]] == ["colours-int8.tflite"]
    assert not value["repair"]["met"]
    steps = dict.fromkeys(one["step"] for one in value["repair"]["attempts"])
    assert list(steps)[:3] == ["plain", "calibration", "equalization"]
    assert list(steps)[-1] == "training for int8"
    assert value["repair"] == json.loads((tmp_path / "repair.json").read_text())
    assert printed.err.splitlines()[-1].startswith("mejiro: error: no repair meets both budgets")
    assert (tmp_path / "colours-int8.tflite").exists()


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        (("--max-slower", "1.2"), "give both, or neither"),
        (("--repair",), "give --evaluate DIR and --max-drop POINTS"),
        (("--repair", "--max-drop", "1"), "give --evaluate DIR"),
        (("--repair", "--evaluate", "pictures"), "--max-drop POINTS"),
        (
            ("--repair", "--evaluate", "pictures", "--max-drop", "1", "--precision", "fp16"),
            "add --precision int8",
        ),
        (
            ("--repair", "--evaluate", "pictures", "--max-drop", "1", "--full-integer"),
            "leave --full-integer out",
        ),
    ],
)
def test_options_that_do_not_go_together_are_refused(place, tmp_path, capsys, more, expected):
    assert main(words(place, tmp_path / "out", *more)) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert expected in line
    assert not (tmp_path / "out").exists()

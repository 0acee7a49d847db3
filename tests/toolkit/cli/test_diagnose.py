"""`mejiro diagnose` prints a table, writes a page, and refuses in one line."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest

from mejiro.cli import main
from mejiro.data.calibration import calibration_from_folder
from mejiro.export import Exporter, export_with
from mejiro.model import FloatModel
from mejiro.tensorflow import load_keras
from mejiro.zoo import save_float_model
from mejiro_runtime.card import Format, Precision, Scores
from mejiro_runtime.preprocess import InputSpec, TensorType
from mejiro_runtime.types import Label


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Return a folder with pictures, a network, and its int8 files."""
    place = tmp_path_factory.mktemp("diagnose")
    rng = np.random.default_rng(3)
    for name in ("red", "blue"):
        (place / "pictures" / name).mkdir(parents=True)
        for index in range(3):
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
    exporter = Exporter(model, calibration=calibration_from_folder(place / "pictures"))
    for format in Format:
        export_with(exporter, format=format, precision=Precision.INT8, out=place)
    return place


def run(place, *more, file="colours-int8.tflite", data="pictures"):
    words = ["diagnose", str(place / file), "--against", str(place / "network")]
    return main([*words, "--data", str(place / data), *more])


def test_it_prints_the_layers_and_writes_the_page(place, tmp_path, capsys):
    assert run(place, "--out", str(tmp_path / "why"), "--alone", "1") == 0
    printed = capsys.readouterr().out
    assert "colours-int8.tflite against colours, on 6 pictures of pictures" in printed
    assert "look" in printed
    assert "tell" in printed
    assert sorted(path.name for path in (tmp_path / "why").iterdir()) == [
        "diagnosis.html",
        "diagnosis.json",
    ]


def test_it_gives_json(place, capsys):
    assert run(place, "--json", "--count", "2", "--score-count", "0") == 0
    value = json.loads(capsys.readouterr().out)
    assert value["pictures"] == 2
    assert value["scored"] is None
    assert {layer["name"] for layer in value["layers"]} >= {"look", "mean", "tell"}


def test_pictures_without_labels_are_said_to_be(place, capsys):
    assert run(place, data="pictures/red") == 0
    assert "name no classes" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "given", "words"),
    [
        (("--alone", "some"), {}, "--alone takes a number"),
        ((), {"file": "colours-int8.onnx"}, "diagnose the .tflite"),
        ((), {"data": "network"}, "holds no pictures"),
        ((), {"data": "absent"}, "is not a folder"),
    ],
)
def test_it_refuses_in_one_line(place, capsys, more, given, words):
    assert run(place, *more, **given) != 0
    captured = capsys.readouterr()
    assert words in captured.err
    assert captured.err.count("\n") == 1
    assert "Traceback" not in captured.err


def test_out_must_be_a_folder(place, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert run(place, "--out", str(tmp_path / "file")) != 0
    assert "name a folder" in capsys.readouterr().err

"""A training run is repaired with its own pictures, and its report is written anew."""

from __future__ import annotations

import json

import pytest

from mejiro.cli import main


@pytest.mark.slow
def test_a_run_brings_the_pictures_to_train_on(colour_run, colour_pictures, tmp_path, capsys):
    pictures = colour_pictures(each=5)
    run, out = colour_run(pictures), tmp_path / "out"
    words = ["convert", str(run), "--out", str(out), "--evaluate", str(pictures)]
    limits = ["--max-drop", "100", "--max-slower", "0.000001"]
    assert main([*words, "--format", "tflite", "--repair", *limits]) == 1
    assert "no repair meets both budgets" in capsys.readouterr().err
    record = json.loads((out / "repair.json").read_text())
    last = record["attempts"][-1]
    assert last["step"] == "training for int8"
    assert last["done"] == ["trained for int8, 4 epochs on 12 pictures"]
    assert record["pictures"] == 3
    kept = json.loads((out / "colours-int8.tflite.json").read_text())
    scores = {one["file"]: one for one in json.loads((run / "exports.json").read_text())["scores"]}
    assert scores["colours-int8.tflite"]["evaluation"] == kept["evaluation"]

"""What a run was converted to is scored on the run's own validation pictures, found by content."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from mejiro.cli import main
from mejiro.data.folders import labelled_pictures
from mejiro.errors import DataError
from mejiro.model import FloatModel
from mejiro.quality import run_scores as module
from mejiro.quality.convert import Conversion, Scoring, convert
from mejiro.quality.run_scores import keep_scores, select_validation
from mejiro.report.training.exports import Exports
from mejiro_runtime.card import Format, Precision

MakeColourRun = Callable[[Path], Path]
WritePictures = Callable[..., Path]


def test_the_validation_pictures_are_found_by_content_wherever_they_lie(
    colours: FloatModel, colour_pictures: WritePictures, colour_run: MakeColourRun, tmp_path: Path
) -> None:
    pictures = colour_pictures(each=3)
    run = colour_run(pictures)
    # Apart in train/ and val/, renamed, in folders of other names, and one of them twice.
    moved = tmp_path / "moved"
    for colour in ("red", "green", "blue"):
        (moved / "train" / f"more {colour}").mkdir(parents=True)
        (moved / "val" / f"more {colour}").mkdir(parents=True)
        shutil.copy(pictures / colour / "0.png", moved / "train" / f"more {colour}" / "a.png")
        shutil.copy(pictures / colour / "2.png", moved / "val" / f"more {colour}" / "b.png")
    shutil.copy(pictures / "red" / "2.png", moved / "train" / "more red" / "again.png")
    found = select_validation(run, moved, colours.labels)
    assert found.validation
    assert [(one.path.parts[-3:], one.label_index) for one in found.pictures] == [
        (("val", "more blue", "b.png"), 2),
        (("val", "more green", "b.png"), 1),
        (("val", "more red", "b.png"), 0),
    ]
    assert found.words == (
        "Scored on the run's 3 validation pictures, found in moved by their hashes."
    )


def test_those_that_are_not_there_are_counted(
    colours: FloatModel, colour_pictures: WritePictures, colour_run: MakeColourRun
) -> None:
    pictures = colour_pictures(each=3)
    run = colour_run(pictures)
    (pictures / "red" / "2.png").unlink()
    found = select_validation(run, pictures, colours.labels)
    assert len(found.pictures) == 2
    assert "on 2 of the run's 3 validation pictures" in found.words
    assert "the other 1 are not there" in found.words


def test_without_one_of_them_all_pictures_are_taken_and_it_is_said(
    colours: FloatModel, colour_pictures: WritePictures, colour_run: MakeColourRun
) -> None:
    pictures = colour_pictures(each=3)
    run = colour_run(pictures)
    for colour in ("red", "green", "blue"):
        (pictures / colour / "2.png").unlink()
    (pictures / "red" / "new.png").write_bytes((pictures / "red" / "0.png").read_bytes() + b"x")
    found = select_validation(run, pictures, colours.labels)
    assert not found.validation
    assert {one.path for one in found.pictures} == {
        one.path for one in labelled_pictures(pictures, colours.labels)
    }
    assert found.words == (
        "Scored on all 7 pictures of pictures, none of which is a validation picture of the run; "
        "6 of them were trained on, so the figures run high."
    )


def test_a_set_that_comes_by_name_is_looked_up(
    colours: FloatModel,
    colour_pictures: WritePictures,
    colour_run: MakeColourRun,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pictures = colour_pictures(each=2)
    run = colour_run(pictures)
    monkeypatch.setattr(module, "cifar_folder", {"cifar10": pictures}.__getitem__)
    found = select_validation(run, Path("cifar10"), colours.labels)
    assert (found.data, len(found.pictures), found.validation) == ("cifar10", 3, True)


def test_a_folder_without_pictures_is_refused(
    colours: FloatModel, colour_pictures: WritePictures, colour_run: MakeColourRun, tmp_path: Path
) -> None:
    run = colour_run(colour_pictures(each=2))
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no class folders"):
        select_validation(run, tmp_path / "empty", colours.labels)


def test_scores_are_kept_and_the_report_shows_them(
    colours: FloatModel, colour_pictures: WritePictures, colour_run: MakeColourRun, tmp_path: Path
) -> None:
    pictures = colour_pictures(each=3)
    run = colour_run(pictures)
    chosen = select_validation(run, pictures, colours.labels)
    result = convert(
        colours,
        [(Format.ONNX, Precision.FP32)],
        tmp_path / "out",
        scoring=Scoring(chosen.pictures, chosen.data, with_network=True),
    )
    exports = keep_scores(run, result, chosen)
    assert Exports.from_json(json.loads((run / "exports.json").read_text())) == exports
    assert [(score.name, score.file, score.kept) for score in exports.scores] == [
        ("float Keras", "model.keras", True),
        ("float TFLite", "colours-fp32.tflite", False),
        ("float ONNX", "colours-fp32.onnx", True),
    ]
    assert [score.evaluation.top1 for score in exports.scores] == [1.0] * 3
    assert exports.scores[0].size_bytes == (run / "model" / "model.keras").stat().st_size
    assert "colours-fp32.onnx" in (run / "report.html").read_text()
    assert json.loads((run / "metrics.json").read_text())["exports"] == exports.to_json()


def test_scores_without_the_network_are_a_mistake_of_the_caller(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not scored with its network"):
        keep_scores(tmp_path, Conversion(artifacts=()), None)


@pytest.mark.slow
def test_a_run_is_converted_and_scored_in_one_command(
    colour_pictures: WritePictures,
    colour_run: MakeColourRun,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    pictures = colour_pictures(each=4)
    run = colour_run(pictures)
    words = ["convert", str(run), "--out", str(tmp_path / "out"), "--evaluate", str(pictures)]
    assert main([*words, "--max-drop", "0"]) == 0
    caught = capsys.readouterr()
    assert "calibrated with 9 of the run's 9 training pictures" in caught.err
    assert "Scored on the run's 3 validation pictures, found in pictures" in caught.err
    assert "(the network itself)" in caught.out
    assert f"report: {run / 'report.html'}" in caught.out
    assert "scored on 3 pictures of pictures" in caught.out
    names = [score["name"] for score in json.loads((run / "exports.json").read_text())["scores"]]
    assert names == ["float Keras", "float TFLite", "int8 TFLite", "int8 ONNX"]
    assert "int8 ONNX" in (run / "report.html").read_text()

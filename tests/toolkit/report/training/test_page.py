"""Check that a run's report says what was measured, of two classes or of a hundred."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mejiro.data.notes import DatasetNotes
from mejiro.errors import DataError
from mejiro.model import Evaluation
from mejiro.report.training import write_training_report
from mejiro.report.training.exports import Exports, ExportScore
from mejiro_runtime.files import write_json

MakeRun = Callable[..., Path]
HUNDRED = tuple(f"class {index}" for index in range(100))


def text_of(html: str) -> str:
    """Return a page's text, with single spaces and without the inside of styles and drawings."""
    body = re.sub(r"<(style|title|svg)\b.*?</\1>", " ", html, flags=re.DOTALL)
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", body)).split())


def report(run: Path) -> str:
    return write_training_report(run).read_text(encoding="utf-8")


def exports(run: Path, *, sha256: str = "5" * 64, int8: float = 0.5) -> None:
    def score(name: str, file: str, top1: float, agreement: float | None) -> ExportScore:
        evaluation = Evaluation("flowers", 12, top1, 1.0, {}, "k", "model.keras", agreement)
        return ExportScore(name, file, 5_270_000, evaluation)

    scores = (score("float Keras", "model.keras", 0.75, None), score("int8", "i.onnx", int8, 0.6))
    found = Exports(sha256, "flowers", True, "The 12 pictures.", scores)
    write_json(run / "exports.json", found.to_json())


def test_the_page_shows_what_was_measured(make_run: MakeRun) -> None:
    text = text_of(report(make_run(notes=DatasetNotes(remarks=("Something was found.",)))))
    assert "tiny on flowers" in text
    assert "Trained on 15 pictures of 3 classes, 4 epochs in 9.0 s." in text
    assert "Of 12 validation pictures 9 were answered rightly." in text
    assert "The weights kept are those of epoch 3." in text
    assert "validation accuracy 75.0 % 95% interval 46.8 to 91.1" in text
    assert "always answering the largest class would give 33.3" in text
    assert "Something was found." in text
    assert "seed 7" in text
    assert "keras 9.8.7" in text
    assert "mejiro convert run --out build" in text


@pytest.mark.parametrize("kept", [None, 0, 5])
def test_no_epoch_is_ringed_that_was_not_kept(make_run: MakeRun, kept: int | None) -> None:
    run = make_run(kept=kept)
    text = text_of(report(run))
    assert "The weights kept are" not in text
    assert "The ring" not in text
    assert json.loads((run / "metrics.json").read_text())["kept_epoch"] is None


def test_the_matrix_and_the_classes_are_there(make_run: MakeRun) -> None:
    html = report(make_run())
    assert html.count('<td class="right"') == 3
    assert 'title="daisy taken for rose: 1 picture (25.0%)">1</td>' in html
    text = text_of(html)
    assert "daisy 5 4 75.0 75.0 75.0" in text
    assert "Most often confused" not in text  # three classes show that by themselves


def test_mistakes_are_pictures_and_say_so_when_they_are_gone(make_run: MakeRun) -> None:
    run = make_run()
    html = report(run)
    assert html.count("data:image/jpeg") == 3
    assert "All 3 wrong answers, the surest first" in text_of(html)
    pictures = run.parent / "pictures"
    shutil.rmtree(pictures / "tulip")
    text = text_of(report(run))
    assert "1 of them cannot be shown: moved or changed since the training." in text
    assert "no longer there" in text
    shutil.rmtree(pictures)
    html = report(run)
    assert "None can be shown: the pictures were moved or changed" in text_of(html)
    assert "no longer there" not in html


def test_a_run_without_mistakes_is_no_error(make_run: MakeRun) -> None:
    text = text_of(report(make_run(wrong=0)))
    assert "There are none: every validation picture was answered rightly." in text
    assert "validation accuracy 100.0 %" in text


def test_a_hundred_classes_are_folded_and_their_pairs_listed(make_run: MakeRun) -> None:
    html = report(make_run(names=HUNDRED, train=1, val=2))
    text = text_of(html)
    assert "The weakest of 100 classes" in text
    assert "<summary>All 100 classes</summary>" in html
    assert "Most often confused" in text
    assert "5 of 100 pairs." in text
    assert 'class="matrix' not in html
    assert "top-5" in text
    assert len(html) < 400_000


def test_one_class_without_validation_pictures_is_told(make_run: MakeRun) -> None:
    run = make_run()
    arrays = dict(np.load(run / "predictions.npz"))
    keep = arrays["truth"] != 2
    np.savez(run / "predictions.npz", **{name: value[keep] for name, value in arrays.items()})
    text = text_of(report(run))
    assert "No validation picture shows tulip: nothing is known of this class" in text
    assert "The split has 12 validation pictures, 8 of which were answered." in text
    assert "tulip 5 0 0.0 – 0.0" in text


def test_a_class_that_is_never_answered_is_told(make_run: MakeRun) -> None:
    run = make_run(names=("ant", "bee"), wrong=0)
    arrays = dict(np.load(run / "predictions.npz"))
    arrays["probabilities"][:] = [0.9, 0.1]
    np.savez(run / "predictions.npz", **arrays)
    assert "Never answered: bee." in text_of(report(run))


def test_a_loss_that_was_not_finite_is_told(make_run: MakeRun) -> None:
    nan = float("nan")
    epochs = [("all", 1.0, 0.1, 0.5, 0.5, 0.5, 0.5), ("all", 1.0, 0.1, nan, nan, nan, nan)]
    run = make_run(epochs=epochs)
    assert "not finite in 1 of 2 epochs, first in epoch 2" in text_of(report(run))


def test_exported_files_stand_beside_float(make_run: MakeRun) -> None:
    run = make_run()
    exports(run)
    html = report(run)
    text = text_of(html)
    assert "What ships" in text
    assert "int8 i.onnx 50.0 −25.0 −3 pictures 60.0 5.27" in text
    assert '<span class="bad">−25.0</span>' in html
    assert "int8 50.0 % 5.27 MB; float Keras 75.0%" in text
    assert "The 12 pictures." in text
    assert "mejiro convert run" not in text


def test_a_picture_or_two_are_no_loss_to_worry_about(make_run: MakeRun) -> None:
    run = make_run()
    exports(run, int8=0.75 - 1 / 12)
    html = report(run)
    assert "−8.3 −1 picture " in text_of(html)
    assert '<span class="bad">−8.3' not in html


def test_scores_of_earlier_weights_are_left_out(make_run: MakeRun) -> None:
    run = make_run()
    exports(run, sha256="6" * 64)
    text = text_of(report(run))
    assert "The run was trained anew since it was converted" in text
    assert "5.27" not in text
    assert json.loads((run / "metrics.json").read_text())["exports"] is None


def test_settings_of_any_depth_are_rows(make_run: MakeRun) -> None:
    settings = {
        "seed": 3,
        "head": {"dropout": 0.2, "hidden": None, "pooling": "avg"},
        "phases": [{"name": "frozen", "epochs": 2, "freeze": {"kind": "backbone"}}, {"epochs": 1}],
        "augmentation": {"zoom": 0.1, "flip": "none", "rotation_degrees": 0.0},
        "build": {"alpha": None},
        "mixed_precision": False,
        "weights": None,
    }
    text = text_of(report(make_run(settings=settings)))
    for row in (
        "head dropout 0.2, pooling avg",
        "phase frozen epochs 2, freeze (kind backbone)",
        "phase 2 epochs 1",
        "augmentation zoom 0.1",
        "build default",
        "mixed precision no",
        "weights none",
    ):
        assert row in text


def test_names_are_escaped_and_the_page_needs_nothing_but_itself(make_run: MakeRun) -> None:
    class Outline(HTMLParser):
        tags: list[str] = []  # noqa: RUF012 - one use

        def handle_starttag(self, tag: str, attrs: Any) -> None:
            self.tags.append(tag)

    html = report(make_run(names=("<script>x", "b & c", "d\"e'f")))
    Outline().feed(html)
    assert "script" not in Outline.tags
    assert "<script>x taken for b & c" in unescape(html)
    places = re.findall(r'\b(?:src|href)="([^"]*)"', html)
    assert places
    assert all(place.startswith(("data:", "#")) for place in places)


def test_the_same_run_gives_the_same_bytes(make_run: MakeRun) -> None:
    run = make_run()
    assert report(run) == report(run)


def test_the_metrics_for_programs(make_run: MakeRun) -> None:
    run = make_run()
    exports(run)
    assert write_training_report(run) == run / "report.html"
    value = json.loads((run / "metrics.json").read_text())
    assert value["schema"] == 1
    assert (value["pictures"], value["epochs"], value["kept_epoch"]) == (
        {"train": 15, "val": 12},
        4,
        3,
    )
    assert value["validation"]["accuracy"] == 0.75
    assert value["validation"]["confusion"]["0"] == {"0": 3, "1": 1}
    assert value["classes"][0] == {"label": "daisy", "train": 5, "val": 4}
    assert len(value["mistakes"]) == 3
    assert value["exports"]["scores"][1]["evaluation"]["top1"] == 0.5


def test_what_was_there_stays_if_the_run_is_broken(make_run: MakeRun) -> None:
    run = make_run()
    before = report(run)
    np.savez(
        run / "predictions.npz",
        probabilities=np.ones((1, 9)) / 9,
        truth=np.zeros(1, int),
        paths=np.array(["a"]),
    )
    with pytest.raises(DataError, match="for 3 labels"):
        write_training_report(run)
    assert (run / "report.html").read_text() == before


def test_names_in_any_script_are_drawn_without_a_warning(
    make_run: MakeRun, recwarn: pytest.WarningsRecorder
) -> None:
    html = report(make_run(names=("ミツバチ", "نحلة", "🐝")))
    assert [str(one.message) for one in recwarn] == []
    assert html.count("ミツバチ") > 5

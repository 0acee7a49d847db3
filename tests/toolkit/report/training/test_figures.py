"""Check that the drawings of a run show what its history and its answers say."""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure as Canvas

from mejiro.report.svg import WIDE
from mejiro.report.training import figures
from mejiro.report.training.balance import ClassSize
from mejiro.report.training.run_files import Epoch
from mejiro.train.metrics import classification_metrics
from mejiro_runtime.types import Label

HISTORY = [
    Epoch("frozen", 1, 1e-3, 0.9, 0.5, 0.8, 0.6),
    Epoch("frozen", 1, 1e-3, 0.7, 0.6, 0.6, 0.7),
    Epoch("fine-tuning", 1, 1e-4, 0.5, 0.8, 0.4, 0.9),
]


def curve(history: list[Epoch], what: str, kept: int | None = None) -> Any:
    axes = Canvas().subplots()
    figures._draw_curve(axes, history, what, WIDE, kept=kept)
    return axes


def test_both_curves_have_every_epoch() -> None:
    lines = {line.get_label(): line for line in curve(HISTORY, "accuracy").lines}
    assert list(lines["training"].get_xdata()) == [1, 2, 3]
    assert lines["training"].get_ydata() == pytest.approx([50, 60, 80])
    assert lines["validation"].get_ydata() == pytest.approx([60, 70, 90])


def test_the_epoch_that_was_kept_is_ringed() -> None:
    rings = [line for line in curve(HISTORY, "loss", kept=1).lines if line.get_markersize() > 10]
    assert [(ring.get_xdata()[0], ring.get_ydata()[0]) for ring in rings] == [(2, 0.6)]


def test_phases_are_divided_once_and_named() -> None:
    axes = curve(HISTORY, "loss")
    upright = [line for line in axes.lines if len(set(line.get_xdata())) == 1]
    assert [line.get_xdata()[0] for line in upright] == [2.5]
    assert [text.get_text() for text in axes.texts] == ["frozen", "fine-tuning"]
    assert curve(HISTORY[:2], "loss").texts[:] == []


def test_an_epoch_that_was_not_finite_leaves_a_gap() -> None:
    broken = [HISTORY[0], Epoch("frozen", 1, 1, *[math.nan] * 4), HISTORY[1]]
    figure = figures.plot_curves(broken, kept=0)
    assert "kept epoch 1" in figure.description
    alone = figures.plot_curves(broken[1:2], kept=None)
    assert "ring" not in alone.caption


@pytest.mark.parametrize("kept", [None, 2])
def test_curves_are_told_in_words(kept: int | None) -> None:
    figure = figures.plot_curves(HISTORY, kept=kept)
    assert "3 epochs. Last validation loss 0.4, accuracy 90.0%" in figure.description
    assert "frozen (2), fine-tuning (1)" in figure.caption
    for image in (figure.wide, figure.narrow):
        assert {"loss", "accuracy, %", "training", "validation"} <= set(
            re.findall(r">([^<>]+)</text>", image)
        )


def answered(confidence: list[float], right: list[bool]) -> Any:
    shares = np.array([[1 - share, share] for share in confidence])
    return classification_metrics(shares, np.array(right, int), [Label(0, "a"), Label(1, "b")])


def test_the_calibration_shows_accuracy_by_confidence() -> None:
    metrics = answered([0.9] * 12 + [0.7] * 4, [True] * 6 + [False] * 6 + [True] * 4)
    axes = Canvas().subplots()
    figures._draw_reliability(axes, metrics, WIDE)
    bars = [(bar.get_height(), bar.get_alpha()) for bar in axes.patches]
    assert bars == [(100, 0.45), (50, 1.0)]
    figure = figures.plot_calibration(metrics)
    assert "67-73%: 100.0% of 4; 87-93%: 50.0% of 12" in figure.description


def test_the_counts_are_all_pictures_right_and_wrong() -> None:
    axes = Canvas().subplots()
    metrics = answered([0.9, 0.9, 0.6], [True, False, True])
    figures._draw_counts(axes, metrics, WIDE)
    heights = {bars.get_label(): sum(bar.get_height() for bar in bars) for bars in axes.containers}
    assert heights == {"wrong": 1, "right": 2}


def test_few_classes_have_a_named_bar_each() -> None:
    sizes = [ClassSize("ant", 5, 2), ClassSize("bee", 3, 0)]
    figure = figures.plot_balance(sizes)
    texts = re.findall(r">([^<>]+)</text>", figure.wide)
    assert {"ant", "bee", "5 + 2", "3 + 0"} <= set(texts)
    assert "ant: 5 + 2" in figure.narrow
    assert "ant: 5 and 2; bee: 3 and 0" in figure.description


def test_many_classes_are_a_profile_and_the_ends_are_told() -> None:
    sizes = [ClassSize(f"class {n}", n + 1, 1) for n in range(300)]
    figure = figures.plot_balance(sizes)
    assert "300 classes. class 299: 300 and 1; class 0: 1 and 1." in figure.description
    assert len(figure.wide) < 80_000

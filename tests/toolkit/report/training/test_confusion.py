"""Check that a confusion matrix shows each pair once, few classes or many."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import numpy as np
import pytest

from mejiro.report.training.confusion import matrix_figure, matrix_table
from mejiro.train.metrics import Metrics, classification_metrics
from mejiro_runtime.types import Label

SVG = "{http://www.w3.org/2000/svg}"


def metrics(classes: int, *, name: str = "class {}", each: int = 4) -> Metrics:
    """Return metrics in which one picture of each class is taken for the next class."""
    truth = np.repeat(np.arange(classes), each)
    answers = truth.copy()
    answers[::each] = (truth[::each] + 1) % classes
    labels = [Label(index, name.format(index)) for index in range(classes)]
    return classification_metrics(np.eye(classes)[answers], truth, labels)


def test_a_table_has_the_counts_and_says_them() -> None:
    table = matrix_table(metrics(3))
    assert [[cell.pictures for cell in row] for row in table.rows] == [
        [3, 1, 0],
        [0, 3, 1],
        [1, 0, 3],
    ]
    assert table.rows[0][0].words == "class 0: 3 pictures right (75.0%)"
    assert table.rows[0][1].words == "class 0 taken for class 1: 1 picture (25.0%)"
    assert [[cell.right for cell in row] for row in table.rows] == np.eye(3, dtype=bool).tolist()
    assert table.rows[0][2].strength == 0 < table.rows[0][1].strength < table.rows[0][0].strength


@pytest.mark.parametrize(("classes", "density"), [(2, "few"), (10, "many"), (20, "dense")])
def test_more_columns_stand_closer(classes: int, density: str) -> None:
    assert matrix_table(metrics(classes)).density == density


@pytest.mark.parametrize("classes", [30, 100])
def test_a_picture_has_a_square_for_each_pair_that_occurred(classes: int) -> None:
    figure = matrix_figure(metrics(classes))
    for image in (figure.wide, figure.narrow):
        root = ElementTree.fromstring(str(image).replace("<svg", f'<svg xmlns="{SVG[1:-1]}"', 1))
        squares = [node for node in root.iter(f"{SVG}rect") if node.find(f"{SVG}title") is not None]
        assert len(squares) == 2 * classes
        places = {(node.get("x"), node.get("y")) for node in squares}
        assert len(places) == 2 * classes
        assert ("1", "0") in places  # class 0, the first row, taken for class 1
    assert f"{3 * classes} of {4 * classes} pictures" in figure.description


def test_names_stand_beside_rows_and_columns_while_they_can_be_read() -> None:
    some, many = matrix_figure(metrics(30)), matrix_figure(metrics(100))
    assert len(re.findall("<text", some.wide)) == 60
    assert "<text" not in some.narrow
    assert "<text" not in many.wide


def test_very_many_classes_are_drawn_in_few_bytes_and_not_too_small() -> None:
    classes = 3000
    found = metrics(classes, each=2)
    figure = matrix_figure(found)
    assert len(figure.narrow) < 50 * 2 * classes
    assert "<title>" not in figure.narrow
    assert "pointer" not in figure.caption
    side = float(re.findall(r"h([\d.]+)v", figure.narrow)[0])
    assert side * 350 / classes == pytest.approx(2.2, rel=0.01)


def test_names_are_escaped() -> None:
    figure = matrix_figure(metrics(30, name="<b>{}</b> & co"))
    assert "<b>" not in figure.wide
    assert "&lt;b&gt;3&lt;/b&gt; &amp; co" in figure.wide

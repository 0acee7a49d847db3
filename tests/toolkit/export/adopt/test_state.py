"""Which output goes back into which input is told by shape and name, or asked for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mejiro.errors import UsageError
from mejiro.export.adopt import Hints, Other, adopt
from mejiro.model import Artifact
from mejiro_runtime.card import Scores, Task
from mejiro_runtime.errors import ModelError
from mejiro_runtime.types import Label

Constant = Callable[..., Path]
MAP = np.zeros((1, 4, 6), np.int64)
LABELS = (Label(0, "background"), Label(1, "cat"))


def take(path: Path, **other: Any) -> Artifact:
    other = {"task": Task.SEGMENTATION, **other}
    return adopt(path, out=path.parent / "out", labels=LABELS, other=Other(**other))


def made(*names: str, width: int = 5) -> dict[str, np.ndarray]:
    return {name: np.zeros((1, width), np.float32) for name in names}


def test_names_that_end_alike_belong_together(constant: Constant) -> None:
    outputs = {**made("out/c"), "map": MAP, **made("out/h")}
    artifact = take(constant(outputs, {"in/h": (1, 5), "in/c": (1, 5)}))
    assert artifact.card.state == (("in/h", "out/h"), ("in/c", "out/c"))
    assert artifact.card.to_json()["schema"] == 3
    assert Artifact.open(artifact.path) == artifact
    found = artifact.card.lineage["findings"]
    assert "state: out/c goes into in/c with the next frame" in found


def test_the_only_one_of_its_shape_belongs_to_it(constant: Constant) -> None:
    outputs = {"map": MAP, **made("x"), **made("y", width=7)}
    artifact = take(constant(outputs, {"a": (1, 7), "b": (1, 5)}))
    assert artifact.card.state == (("a", "y"), ("b", "x"))


def test_what_nothing_tells_is_asked_for(constant: Constant) -> None:
    path = constant({"map": MAP, **made("x", "y")}, {"a": (1, 5), "b": (1, 5)})
    with pytest.raises(UsageError, match="give --state INPUT=OUTPUT, of x, y"):
        take(path)
    links = (("a", "y"), ("b", "x"))
    assert take(path, state=links).card.state == links
    for wrong, said in (
        ((("c", "x"),), "no input c for --state; it has a, b"),
        ((("a", "z"),), "no output z"),
        ((("a", "x"), ("b", "x")), "one output would go into"),
    ):
        with pytest.raises(UsageError, match=said):
            take(path, state=wrong)


def test_an_input_without_an_output_cannot_be_fed(constant: Constant) -> None:
    path = constant({"map": MAP}, {"a": (1, 5)})
    with pytest.raises(ModelError, match="no output like it that could be given back"):
        take(path)


def test_a_recurrent_classifier_needs_its_state_named(constant: Constant) -> None:
    scores = {"scores": np.float32([[0.25, 0.75]])}
    path = constant({**made("after"), **scores}, {"before": (1, 5)})
    with pytest.raises(ModelError, match="has 2 inputs .*only classifiers"):
        take(path, task=Task.CLASSIFICATION)
    artifact = adopt(
        path,
        out=path.parent / "out",
        labels=(Label(0, "cat"), Label(1, "dog")),
        hints=Hints(scores=Scores.PROBABILITIES),
        other=Other(state=(("before", "after"),)),
    )
    assert artifact.card.output.task is Task.CLASSIFICATION
    assert artifact.card.state == (("before", "after"),)

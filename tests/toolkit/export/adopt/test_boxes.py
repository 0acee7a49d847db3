"""What a detector's outputs hold is found from their shapes, names and values, or asked for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mejiro.errors import DataError, UsageError
from mejiro.export.adopt import Activation, Background, BoxHints, Hints, Other, adopt
from mejiro.export.adopt.boxes import read_anchors
from mejiro.model import Artifact
from mejiro_runtime.card import Scores, Task
from mejiro_runtime.errors import MejiroError, ModelError, SpecError
from mejiro_runtime.heads import DetectionSpec, Head
from mejiro_runtime.model import open_model
from mejiro_runtime.preprocess import ResizeMode
from mejiro_runtime.types import Detection, Frame, Label, PixelOrder

Constant = Callable[..., Path]
GRID = {"grids": [{"rows": 2, "columns": 2, "sizes": [[0.5, 0.5]]}]}


def labels(*names: str) -> tuple[Label, ...]:
    return tuple(Label(index, name) for index, name in enumerate(names or ("cat", "dog")))


def take(
    path: Path, *, names: tuple[Label, ...] = labels(), hints: Any = None, **boxes: Any
) -> Artifact:
    other = Other(Task.DETECTION, BoxHints(**boxes))
    return adopt(path, out=path.parent / "out", labels=names, hints=hints, other=other)


def spec_of(artifact: Artifact) -> DetectionSpec:
    assert Artifact.open(artifact.path) == artifact
    assert artifact.card.output.task is Task.DETECTION
    assert artifact.card.output.detection is not None
    return artifact.card.output.detection


def boxes_in(artifact: Artifact) -> list[Detection]:
    with open_model(artifact.path, artifact.card, threads=1) as model:
        frame = Frame(np.zeros((80, 80, 3), np.uint8), PixelOrder.BGR, 0, 0, 0)
        return list(model(frame).boxes or ())


def yolo(values: int, count: int = 5, size: float = 1.0) -> np.ndarray:
    rows = np.zeros((1, values, count), np.float32)
    rows[0, :4, 0] = np.float32([0.5, 0.25, 0.5, 0.5]) * size
    rows[0, 4:, 0] = [0.2, 0.9, 0.9][: values - 4] if values < 7 else [0.9, 0.2, 0.9]
    return rows


@pytest.mark.parametrize("size", [1, 8])
def test_a_yolo_head_is_found_and_letterboxes(constant: Constant, size: int) -> None:
    artifact = take(constant({"made": yolo(6, size=size)}))
    spec = spec_of(artifact)
    assert (spec.head, spec.pixels, spec.roles) == (Head.YOLO, size == 8, (0,))
    assert (artifact.card.input.resize, artifact.card.input.pad_value) == (
        ResizeMode.LETTERBOX,
        114,
    )
    (box,) = boxes_in(artifact)
    assert (box.label.name, box.score, tuple(box.box)) == (
        "dog", pytest.approx(0.9), (20, 0, 60, 40),
    )  # fmt: skip
    found = artifact.card.lineage["findings"]
    assert "frame: by letterbox, ASSUMED; --resize changes it" in found
    assert any("since the values reach" in line for line in found)


def test_a_head_with_objectness_has_one_value_more(constant: Constant) -> None:
    artifact = take(constant({"made": yolo(7).transpose(0, 2, 1)}), threshold=0.7, iou=0.3)
    spec = spec_of(artifact)
    assert (spec.head, spec.threshold, spec.iou) == (Head.YOLO_OBJECTNESS, 0.7, 0.3)
    assert [(box.label.name, round(box.score, 4)) for box in boxes_in(artifact)] == [("dog", 0.81)]


def ssd(*, low: float = 0.0) -> dict[str, np.ndarray]:
    scores = np.full((1, 4, 3), low, np.float32)
    scores[0, :, 0], scores[0, 1] = 0.9 - low, (low, 0.1, 0.8)
    return {"box_encodings": np.zeros((1, 4, 4), np.float32), "class_predictions": scores}


def test_an_ssd_head_has_anchors(constant: Constant) -> None:
    path = constant(ssd())
    names = labels("background", "cat", "dog")
    with pytest.raises(UsageError, match="give --anchors FILE"):
        take(path, names=names)
    artifact = take(path, names=names, anchors=read_anchors(GRID))
    assert spec_of(artifact).head is Head.SSD
    assert artifact.card.output.background == 0
    (box,) = boxes_in(artifact)
    assert (box.label.name, tuple(box.box)) == ("dog", (40, 0, 80, 40))
    one = read_anchors({"anchors": [[0.5, 0.5, 1, 1]]})
    with pytest.raises(ModelError, match="no ssd head of 3 labels and 1 anchors"):
        take(path, names=names, anchors=one)
    none = take(
        path, names=names, anchors=read_anchors(GRID), hints=Hints(background=Background.NONE)
    )
    assert none.card.output.background is None


def test_logits_need_an_activation(constant: Constant) -> None:
    path, anchors = constant(ssd(low=-4.0)), read_anchors(GRID)
    names = labels("background", "cat", "dog")
    with pytest.raises(UsageError, match="--activation sigmoid or --activation softmax"):
        take(path, names=names, anchors=anchors)
    for activation, sigmoid in ((Activation.SIGMOID, True), (Activation.SOFTMAX, False)):
        artifact = take(path, names=names, anchors=anchors, activation=activation)
        assert artifact.card.output.scores is Scores.LOGITS
        assert spec_of(artifact).sigmoid is sigmoid
    with pytest.raises(UsageError, match="take --activation"):
        take(path, names=names, anchors=anchors, hints=Hints(scores=Scores.LOGITS))


def test_four_outputs_are_told_apart_by_name(constant: Constant) -> None:
    outputs = {
        "confidence": np.float32([[0.2, 0.8]]),
        "boxes": np.float32([[[0, 0, 0.5, 0.5], [0.5, 0.5, 1, 1]]]),
        "count": np.float32([2]),
        "class": np.float32([[0, 1]]),
    }
    artifact = take(constant(outputs))
    assert spec_of(artifact).roles == (1, 3, 0, 2)
    assert artifact.card.input.resize is ResizeMode.STRETCH
    assert [(box.label.name, tuple(box.box)) for box in boxes_in(artifact)] == [
        ("dog", (40, 40, 80, 80))
    ]
    unnamed = constant({f"o{n}": array for n, array in enumerate(outputs.values())})
    with pytest.raises(ModelError, match="adopt it with --roles"):
        take(unnamed)
    assert spec_of(take(unnamed, roles=(1, 3, 0, 2))).roles == (1, 3, 0, 2)
    with pytest.raises(UsageError, match="--roles names 9"):
        take(unnamed, roles=(1, 3, 0, 9))


@pytest.mark.parametrize(
    ("outputs", "error", "said"),
    [
        (
            {"made": np.zeros((1, 9, 5), np.float32)},
            DataError,
            "neither 4 nor 5 values more than 2",
        ),
        (
            {name: np.zeros((1, 3), np.float32) for name in "abc"},
            UsageError,
            "does not tell its head; give --head",
        ),
        ({"made": np.full((1, 6, 5), np.nan, np.float32)}, ModelError, "not finite"),
    ],
)
def test_what_cannot_be_told_is_one_line(
    constant: Constant, outputs: Any, error: type[MejiroError], said: str
) -> None:
    path = constant(outputs)
    with pytest.raises(error, match=said):
        take(path)
    assert not (path.parent / "out").exists()


@pytest.mark.parametrize(
    "value",
    [[], {}, {"grids": [{}]}, {"anchors": [[1, 2, 3]]}, {"anchors": 3}, {**GRID, "more": 1}],
)
def test_anchors_that_are_none_are_refused(constant: Constant, value: Any) -> None:
    path = constant(ssd())
    with pytest.raises((SpecError, UsageError)):
        take(path, names=labels("background", "cat", "dog"), anchors=read_anchors(value))

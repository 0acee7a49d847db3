"""What a segmentation's map holds is found from its shape, type and values, or asked for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mejiro.errors import DataError
from mejiro.export.adopt import Background, Hints, Other, adopt
from mejiro.model import Artifact
from mejiro_runtime.card import Scores, Task
from mejiro_runtime.errors import MejiroError, ModelError
from mejiro_runtime.model import open_model
from mejiro_runtime.types import Frame, Label, PixelOrder

Constant = Callable[..., Path]
CLASSES = np.arange(24).reshape(4, 6) % 3
ONE_HOT = np.eye(3, dtype=np.float32)[CLASSES]


def take(path: Path, *names: str, hints: Hints | None = None) -> Artifact:
    labels = tuple(Label(index, name) for index, name in enumerate(names))
    other = Other(Task.SEGMENTATION)
    return adopt(path, out=path.parent / "out", labels=labels, hints=hints, other=other)


def seen(artifact: Artifact) -> np.ndarray:
    with open_model(artifact.path, artifact.card, threads=1) as model:
        frame = Frame(np.zeros((16, 24, 3), np.uint8), PixelOrder.BGR, 0, 0, 0)
        mask = model(frame).mask
    assert mask is not None
    return mask.classes


@pytest.mark.parametrize(
    ("raw", "indices"),
    [
        (ONE_HOT[None] * 7 - 3, False),
        (ONE_HOT.transpose(2, 0, 1)[None].copy(), False),
        (CLASSES[None].astype(np.int64), True),
        (CLASSES[None, None].astype(np.int32), True),
        (CLASSES[None, ..., None].astype(np.float32), True),
    ],
)
def test_every_form_of_map_is_found(constant: Constant, raw: Any, indices: bool) -> None:
    artifact = take(constant({"map": raw}), "background", "cat", "dog")
    assert Artifact.open(artifact.path) == artifact
    output = artifact.card.output
    assert (output.task, output.background, output.indices) == (Task.SEGMENTATION, 0, indices)
    assert (seen(artifact) == CLASSES).all()


def test_a_background_is_one_only_where_it_is_called_so(constant: Constant) -> None:
    path = constant({"map": CLASSES[None]})
    assert take(path, "sky", "cat", "dog").card.output.background is None
    first = Hints(background=Background.FIRST)
    assert take(path, "sky", "cat", "dog", hints=first).card.output.background == 0
    none = Hints(background=Background.NONE)
    assert take(path, "background", "cat", "dog", hints=none).card.output.background is None


def test_a_single_score_is_of_the_second_label(constant: Constant) -> None:
    scores = np.where(CLASSES == 1, 2.5, -2.5).astype(np.float32)[None]
    artifact = take(constant({"map": scores}), "background", "person")
    assert artifact.card.output.scores is Scores.LOGITS
    assert (seen(artifact) == (CLASSES == 1)).all()
    shares = np.where(CLASSES == 1, 0.75, 0.25).astype(np.float32)[None]
    path = constant({"map": shares})
    # The graph ends in a sum, which such a file's own last operator would not be.
    assert take(path, "background", "person").card.output.scores is Scores.LOGITS
    artifact = take(path, "background", "person", hints=Hints(scores=Scores.PROBABILITIES))
    assert (seen(artifact) == (CLASSES == 1)).all()


@pytest.mark.parametrize(
    ("raw", "names", "error", "said"),
    [
        (ONE_HOT[None], ("cat", "dog"), DataError, "found 2 labels"),
        (CLASSES[None], ("cat", "dog"), DataError, "gave class 2 when tried, found 2 labels"),
        (ONE_HOT[None, ..., 0] / 2, ("a", "b", "c"), DataError, "one score for each place"),
        (ONE_HOT[0], ("a", "b", "c"), ModelError, "no map of a picture"),
        (np.zeros((2, 4, 6), np.float32), ("a", "b"), ModelError, "no map of a picture"),
    ],
)
def test_a_map_that_does_not_fit_is_one_line(
    constant: Constant, raw: Any, names: Any, error: type[MejiroError], said: str
) -> None:
    path = constant({"map": raw})
    with pytest.raises(error, match=said):
        take(path, *names)
    assert not (path.parent / "out").exists()

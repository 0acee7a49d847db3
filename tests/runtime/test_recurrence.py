"""A recurrent model is given back what it gave, from zeros on, and a new stream starts anew."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mejiro_runtime.card import Format, OutputSpec, Scores, read_card
from mejiro_runtime.errors import ModelError
from mejiro_runtime.model import Model, open_model
from mejiro_runtime.preprocess import Quantization, TensorInfo
from mejiro_runtime.types import Frame

STEP = Quantization(0.5, 3)


class Counting:
    """Simulate an engine that counts its frames in its state, and gives that as a score."""

    def __init__(self, handmade: Any, *, picture: int = 0) -> None:
        whole = handmade.backend()
        self.info, self._picture = whole.info, picture
        self.inputs: tuple[TensorInfo, ...] = (TensorInfo("before", (1, 2), "uint8", STEP),)
        self.inputs = (*self.inputs[:picture], whole.inputs[0], *self.inputs[picture:])
        self.outputs = (
            TensorInfo("after", (1, 2), "uint8", STEP),
            TensorInfo("scores", (1, 3), "float32"),
        )
        self.given: list[np.ndarray] = []
        self.closed = 0

    def infer(self, *tensors: Any) -> tuple[Any, ...]:
        before = tensors[1 - self._picture]
        self.given.append(before.copy())
        count = float((before[0, 0] - 3) * 0.5)
        scores = np.float32([[0, count, 0.25]])
        return before + np.uint8(2), scores

    def close(self) -> None:
        self.closed += 1


def counting_card(handmade: Any) -> Any:
    output = OutputSpec(scores=Scores.PROBABILITIES)
    return replace(handmade.card(), output=output, state=(("before", "after"),))


def seen(model: Model, frame: Frame) -> float:
    scores = {answer.label.index: answer.score for answer in model(frame).top}
    return scores[1]


@pytest.mark.parametrize("picture", [0, 1])
def test_what_it_gives_is_given_back(handmade, picture: int) -> None:
    backend = Counting(handmade, picture=picture)
    model = Model(counting_card(handmade), backend)
    frames = [
        handmade.frame("red", index=index)._replace(name=f"v.mp4#{index}") for index in range(4)
    ]
    assert [seen(model, frame) for frame in frames] == [0, 1, 2, 3]
    assert backend.given[0].tolist() == [[3, 3]]  # what stands for zero
    model.reset()
    assert seen(model, frames[0]) == 0
    assert len(model.outputs(model.preprocess(frames[0]))) == 1  # state is nobody's answer


def test_another_stream_starts_from_zero(handmade) -> None:
    model = Model(counting_card(handmade), Counting(handmade))
    frame = handmade.frame("red")
    named = [
        ("camera0", 0, 0), ("camera0", 1, 1), ("camera0", 5, 2),  # frames in between were dropped
        ("camera0", 0, 0),  # the camera was opened again
        ("a.mp4#1", 1, 0), ("a.mp4#2", 2, 1), ("b.mp4#3", 3, 0),
        ("one.jpg", 4, 0), ("two.jpg", 5, 0),
    ]  # fmt: skip
    for name, index, wanted in named:
        assert seen(model, frame._replace(name=name, index=index)) == wanted, name


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"state": (("before", "nothing"),)}, "no output 'nothing'"),
        ({"state": (("other", "after"),)}, "has 2 inputs"),
        ({"state": ()}, "has 2 inputs"),
        ({"state": (("before", "scores"),)}, "they must be alike"),
    ],
)
def test_a_state_that_the_file_has_not_is_refused(handmade, changes: Any, said: str) -> None:
    with pytest.raises(ModelError, match=said):
        Model(replace(counting_card(handmade), **changes), Counting(handmade))


@pytest.mark.parametrize(
    "wrong",
    [
        {"quantization": Quantization(0.25, 3)},
        {"quantization": Quantization(0.5, 4)},
        {"quantization": None},
        {"shape": (1, 3)},
        {"dtype": "int8"},
    ],
)
def test_a_state_that_would_mean_something_else_is_refused(handmade, wrong: Any) -> None:
    backend = Counting(handmade)
    backend.outputs = (backend.outputs[0]._replace(**wrong), backend.outputs[1])
    with pytest.raises(ModelError, match="they must be alike"):
        Model(counting_card(handmade), backend)


def test_a_real_file_remembers(model_fixtures: Path, real_format: Format, handmade) -> None:
    if real_format is not Format.TFLITE:
        pytest.skip("there is one recurrent file, and it is a .tflite")
    path = model_fixtures / "tasks" / "recurrent.tflite"
    with open_model(path, read_card(path), threads=1) as model:
        frames = [handmade.frame("red", index=index)._replace(name="camera0") for index in range(3)]
        scores = [model(frame).top[0].score for frame in frames]
        assert scores[0] < scores[1] < scores[2]  # each adds to what was seen before
        assert model(frames[0]).top[0].score == pytest.approx(scores[0], abs=1e-6)

"""Candidates are timed where a connection leads, and what comes back is not taken on trust."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from mejiro.errors import PruneError
from mejiro.model import FloatModel
from mejiro.prune.clock import RemoteClock, read_paces
from mejiro.race import Conditions, Pace
from mejiro_runtime.__main__ import main as run_on_device
from mejiro_runtime.card import Precision, Scores, read_card
from mejiro_runtime.preprocess import InputSpec, TensorType
from mejiro_runtime.types import Label

SIDE = 12
CONDITIONS = Conditions(rounds=3, frames=2, openings=2)
NAMES = ("candidate-0.tflite", "candidate-1.tflite")


def answer(names: Sequence[str] = NAMES, rounds: int = 6, **more: Any) -> dict[str, Any]:
    paces = [Pace(name, (9,) * rounds, (5,) * rounds, "an engine").to_json() for name in names]
    return {"device": {"board": "a board"}, "paces": paces, **more}


@pytest.fixture
def model(keras: Any, stir: Callable[[Any], Any]) -> FloatModel:
    layers = keras.layers
    inputs = keras.Input((SIDE, SIDE, 3), name="pixels")
    x = layers.Conv2D(4, 3, padding="same", activation="relu")(inputs)
    x = layers.GlobalAveragePooling2D()(x)
    network = stir(keras.Model(inputs, layers.Dense(4)(x)))
    spec = InputSpec(SIDE, SIDE, dtype=TensorType.FLOAT32)
    return FloatModel("tiny", network, spec, tuple(Label(i, f"c{i}") for i in range(4)),
                      Scores.LOGITS)  # fmt: skip


def test_files_and_their_cards_go_where_the_clock_is(model: FloatModel) -> None:
    told: list[str] = []
    given: list[tuple[tuple[str, ...], Conditions]] = []

    def run(files: Sequence[Path], conditions: Conditions) -> Any:
        for file in files:
            assert read_card(file).file == file.name  # the card still speaks of this very file
        given.append((tuple(file.name for file in files), conditions))
        return answer()

    clock = RemoteClock(run, "ssh://pi@kitchen", Precision.FP32, CONDITIONS, told.append)
    paces = clock([model, model], threads=1)
    assert [pace.infer_ns for pace in paces] == [(5,) * 6, (5,) * 6]
    assert given == [(NAMES, Conditions(rounds=3, frames=2, openings=2, threads=1))]
    assert told[-1] == "timing the candidates in turns on ssh://pi@kitchen"


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (None, "the answer of kitchen must be a JSON object"),
        ({"paces": []}, "has no 'device'"),
        (answer(more=1), "unknown fields: 'more'"),
        (answer(NAMES[:1]), "kitchen timed other files"),
        (answer(NAMES[::-1]), "kitchen timed other files"),
        (answer(rounds=5), "timed other than the 6 rounds"),
        ({"device": {}, "paces": [3]}, "must be a JSON object, found int"),
    ],
)
def test_an_answer_that_is_none_is_refused_in_one_line(value: Any, said: str) -> None:
    with pytest.raises(PruneError, match=said) as told:
        read_paces(value, NAMES, CONDITIONS, "kitchen")
    assert "\n" not in str(told.value)


def test_a_right_answer_is_read() -> None:
    assert [pace.file for pace in read_paces(answer(), NAMES, CONDITIONS, "kitchen")] == [*NAMES]


def test_what_the_device_command_prints_is_what_the_clock_reads(
    model: FloatModel, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(files: Sequence[Path], conditions: Conditions) -> Any:
        words = ["race", *map(str, files), *conditions.words(), "--json"]
        assert run_on_device(words) == 0
        return json.loads(capsys.readouterr().out)

    clock = RemoteClock(run, "this machine", Precision.FP32, Conditions(rounds=1, frames=2))
    paces = clock([model, model], threads=1)
    assert [pace.file for pace in paces] == [*NAMES]
    assert all(0 < pace.infer_ns[0] < pace.label_ns[0] for pace in paces)
    assert "1 thread" in paces[0].engine

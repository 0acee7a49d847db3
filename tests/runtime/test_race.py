"""Files take turns on a device, and what they took travels as JSON."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mejiro_runtime.command_line import build_parser
from mejiro_runtime.errors import SpecError, UsageError
from mejiro_runtime.files import write_json
from mejiro_runtime.race import Conditions, Pace

TIMES = st.lists(
    st.tuples(st.integers(1, 2**63 - 1), st.integers(1, 2**63 - 1)), min_size=1, max_size=5
)


@given(TIMES)
def test_a_pace_is_the_same_after_json(rounds) -> None:
    label, infer = zip(*rounds, strict=True)
    pace = Pace("a.tflite", label, infer, "an engine")
    assert Pace.from_json(json.loads(json.dumps(pace.to_json()))) == pace


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"label_ns": []}, "'label_ns' must be whole nanoseconds"),
        ({"infer_ns": [1.5]}, "'infer_ns' must be whole nanoseconds"),
        ({"infer_ns": [True]}, "'infer_ns' must be whole nanoseconds"),
        ({"infer_ns": [0]}, "'infer_ns' must be whole nanoseconds"),
        ({"infer_ns": [1, 2]}, "1 rounds to the label, 2 of the engine"),
        ({"engine": "a\nb"}, "control characters"),
        ({"more": 1}, "unknown fields"),
    ],
)
def test_what_is_no_pace_is_refused(change, said: str) -> None:
    value = {"file": "a", "label_ns": [2], "infer_ns": [1], "engine": "e", **change}
    with pytest.raises(SpecError, match=said):
        Pace.from_json(value)


def test_conditions_are_words_that_the_command_takes() -> None:
    conditions = Conditions(3, 4, 2, "litert:builtin", 5)
    options = build_parser("race").parse_args(["race", "a.tflite", *conditions.words()])
    assert (options.rounds, options.frames, options.openings) == (3, 4, 5)
    assert (options.threads, options.backend) == (2, "litert:builtin")
    assert "--threads" not in Conditions().words()
    assert build_parser("race").parse_args(["race", "a"]).rounds == Conditions().rounds
    with pytest.raises(UsageError, match="1 or more rounds"):
        Conditions(0)


@pytest.fixture
def files(tmp_path: Path, handmade) -> list[str]:
    paths = []
    for name in ("a.tflite", "b.tflite"):
        (tmp_path / name).write_bytes(b"simulated")
        write_json(tmp_path / f"{name}.json", handmade.card(name).to_json())
        paths.append(str(tmp_path / name))
    return paths


def test_the_command_gives_every_round(files, simulated_engine, say) -> None:
    quick = ["--rounds", "2", "--frames", "3", "--openings", "2", "--threads", "1"]
    code, out, _ = say("race", *files, *quick, "--json")
    assert code == 0
    (line,) = out.splitlines()
    found = json.loads(line)
    assert found["device"]["cpus"]
    paces = [Pace.from_json(value) for value in found["paces"]]
    assert [pace.file for pace in paces] == ["a.tflite", "b.tflite"]
    assert [len(pace.label_ns) for pace in paces] == [4, 4]
    code, out, _ = say("race", *files, *quick)
    assert code == 0
    assert out.count("ms from frame to label, on simulated 1.0") == 2


def test_a_file_without_a_card_is_refused(tmp_path: Path, say) -> None:
    (tmp_path / "c.tflite").write_bytes(b"x")
    code, _, err = say("race", str(tmp_path / "c.tflite"))
    assert code == 1
    assert "has no card c.tflite.json beside it" in err

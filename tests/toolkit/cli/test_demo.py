"""Check what `mejiro demo` prints, from results made by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mejiro.cli import demo as command
from mejiro.cli import main
from mejiro.demo import DemoOptions, Narrator


class Result:
    """Stand for a result whose JSON alone is asked for."""

    def __init__(self, narrator: Narrator) -> None:
        self.elapsed_ns = dict.fromkeys(narrator.elapsed_ns, 1500000000)

    def to_json(self) -> dict[str, Any]:
        return {"schema": 1}


@pytest.fixture
def called(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Path, DemoOptions]]:
    """Return what the demonstration was called with; it ends at once."""
    calls: list[tuple[Path, DemoOptions]] = []

    def run(out: Path, *, options: DemoOptions, narrator: Narrator) -> Result:
        calls.append((out, options))
        with narrator.stage("convert"):
            narrator.advance(1, 2)
        return Result(narrator)

    monkeypatch.setattr(command, "run_demo", run)
    return calls


def test_options_reach_the_demonstration(
    called: list[tuple[Path, DemoOptions]], capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["demo", "--out", "here", "--model", "net", "--data", "pictures", "--frames", "99"]
    assert main([*words, "--no-environment", "--json"]) == 0
    assert called == [(Path("here"), DemoOptions("net", Path("pictures"), 99, environment=False))]
    printed = capsys.readouterr()
    assert json.loads(printed.out) == {"schema": 1}
    assert printed.err.splitlines()[0].endswith(" s  convert")
    assert printed.err.splitlines()[1] == "    1.5 s  together"


def test_defaults_are_those_of_make_demo(called: list[tuple[Path, DemoOptions]]) -> None:
    assert main(["demo", "--json"]) == 0
    assert called == [(Path("mejiro-demo"), DemoOptions())]


def test_too_few_frames_are_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "--frames", "3"]) == 2
    assert "found 3" in capsys.readouterr().err

"""`mejiro compare` sets reports of devices side by side."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mejiro.cli import main


def report(board: str, p50_ns: int) -> dict[str, Any]:
    stage = {"p50_ns": p50_ns, "p95_ns": 2 * p50_ns, "p99_ns": 3 * p50_ns}
    return {
        "artifact": "birds-int8.tflite",
        "backend": {"engine": "e", "version": "1", "accelerator": "CPU", "threads": 1},
        "device": {"board": board},
        "source": "synthetic 640x480",
        "frames": 200,
        "frames_per_second": 61.5,
        "stages": {"infer": stage, "frame_to_label": stage},
        "peak_memory_bytes": 70_000_000,
        "telemetry": {"temperature_celsius": 55.5},
    }


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    paths = []
    for name, board, p50_ns in (("a", "Raspberry Pi 5", 5_000_000), ("b", "Pi 4", 12_340_000)):
        paths.append(tmp_path / f"{name}.json")
        paths[-1].write_text(json.dumps(report(board, p50_ns)))
    return [str(path) for path in paths]


def test_devices_are_compared_by_stage(files, capsys) -> None:
    assert main(["compare", *files]) == 0
    out = capsys.readouterr().out
    for text in ("5.00 / 10.00 / 15.00", "12.34 / 24.68 / 37.02", "Raspberry Pi 5", "61.5",
                 "70 MB", "55.5 °C", "e 1, CPU, 1 thread", "p50 / p95 / p99 in ms"):  # fmt: skip
        assert text in out
    assert main(["compare", *files, "--json"]) == 0
    assert [one["board"] for one in json.loads(capsys.readouterr().out)] == [
        "Raspberry Pi 5",
        "Pi 4",
    ]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["{0}"], "two or more reports"),
        (["{0}", "{1}", "--data", "x"], "leave --data and --out out"),
        (["x.tflite"], "give some with --data"),
        (["{0}", "absent.json"], "absent.json is no report of a bench"),
    ],
)
def test_what_cannot_be_compared_is_refused_in_one_line(files, capsys, words, said) -> None:
    assert main(["compare", *(word.format(*files) for word in words)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line

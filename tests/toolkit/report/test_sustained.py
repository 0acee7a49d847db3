"""A sustained run is drawn from its JSON, with what was measured and nothing else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from mejiro.cli import cli
from mejiro.report.sustained import plot_sustained, read_sustained
from mejiro_runtime.errors import SpecError
from mejiro_runtime.sustained import Window, describe


def written(folder: Path, **sensors: Any) -> Path:
    """Return the file of a run whose sixth minute is slower, as the runtime writes it."""
    windows = [
        Window(60.0 * i, 60.0 * (i + 1), 900, 3_000_000 + 10 * i, (5 + i // 5) * 1_000_000,
               2_500_000, 2_600_000, **sensors)
        for i in range(10)
    ]  # fmt: skip
    value = {
        "artifact": "lite0-int8.tflite",
        "device": {"board": None, "cpu": "Some <CPU> & $x$"},
        "stages": {},
        "sustained": {
            "seconds": 600,
            "verdict": describe(windows),
            "windows": [window.to_json() for window in windows],
        },
    }
    path = folder / "run.json"
    path.write_text(json.dumps(value), encoding="utf-8")
    return path


def test_a_run_is_read_and_drawn(tmp_path: Path) -> None:
    path = written(tmp_path, temperature_celsius=61.0, clock_hz=1.5e9, throttled=("throttled",))
    run = read_sustained(path)
    assert run.title == "lite0-int8.tflite on Some <CPU> & $x$"
    assert run.windows[5].p95_ms == 6
    assert run.windows[5].clock_ghz == 1.5
    assert run.windows[5].throttled
    plot_sustained(run, tmp_path / "run.svg")
    drawn = (tmp_path / "run.svg").read_text(encoding="utf-8")
    for text in ("p95", "p50", "temperature", "clock", "°C", "GHz", "minutes"):
        assert f">{text}</text>" in drawn
    assert "Some &lt;CPU&gt; &amp; $x$" in drawn
    plot_sustained(run, tmp_path / "again.svg")
    assert (tmp_path / "again.svg").read_bytes() == (tmp_path / "run.svg").read_bytes()


def test_a_run_that_was_brought_home_is_the_same(tmp_path: Path) -> None:
    path = written(tmp_path, temperature_celsius=61.0)
    alone = read_sustained(path)
    brought = {"device": "ssh://pi@kitchen", "probe": {}, "report": json.loads(path.read_text())}
    path.write_text(json.dumps(brought), encoding="utf-8")
    assert read_sustained(path) == alone


def test_what_no_sensor_told_has_no_row(tmp_path: Path) -> None:
    plot_sustained(read_sustained(written(tmp_path)), tmp_path / "run.svg")
    drawn = (tmp_path / "run.svg").read_text(encoding="utf-8")
    assert ">p95</text>" in drawn
    assert "GHz" not in drawn
    assert ">temperature</text>" not in drawn


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda value: value.pop("sustained"), "holds no sustained run; write one with"),
        (lambda value: value["sustained"].update(windows=[]), "has 0 windows"),
        (lambda value: value["sustained"].update(windows=[3]), "window 0 must be a JSON object"),
        (lambda value: value["sustained"]["windows"][2].update(p95_ns="x"), "'p95_ns' must be"),
        (lambda value: value.update(artifact=5), "'artifact' must be"),
    ],
)
def test_a_file_that_is_none_is_refused(tmp_path: Path, change, reason: str) -> None:
    path = written(tmp_path)
    value = json.loads(path.read_text(encoding="utf-8"))
    change(value)
    path.write_text(json.dumps(value), encoding="utf-8")
    with pytest.raises(SpecError) as caught:
        read_sustained(path)
    assert reason in str(caught.value)


def test_a_drawing_of_another_kind_is_refused_and_nothing_written(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="none of .svg, .png, .pdf"):
        plot_sustained(read_sustained(written(tmp_path)), tmp_path / "run.txt")
    assert not (tmp_path / "run.txt").exists()


def test_the_command_draws_and_says_the_verdict(tmp_path: Path) -> None:
    out = tmp_path / "run.png"
    done = CliRunner().invoke(cli, ["plot-bench", str(written(tmp_path)), "--out", str(out)])
    assert done.exit_code == 0
    assert done.stdout.startswith("after minute 5 p95 rose 1.2 ×")
    assert out.read_bytes().startswith(b"\x89PNG")

"""Check what a demonstration prints: every figure once, and nothing cut off."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from mejiro.cli import demo as command
from mejiro.demo import DemoResult

MakeResult = Callable[..., DemoResult]


def printed(result: DemoResult, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Return the lines that a result is printed as."""
    command._print(result, Path("here"))
    return [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]


def test_the_summary_holds_the_figures(
    make_result: MakeResult, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = printed(make_result(), capsys)
    assert "MB as float p50 ms p90 ms p99 ms frames/s overhead" in lines
    assert "int8 TFLite 5.27 99.0% 3.27 3.37 3.57 333 × 1.12" in lines
    assert "fp32 TFLite 18.6 – 9.27 9.37 9.57 111 × 1.12" in lines
    assert "int8 ONNX 0.21 3.00 0.06 2.95 42.0" in lines
    assert "int8 ONNX: test-engine 9.8.7, TEST, 2 threads" in lines
    assert any("96 crops of 8 photographs; agreement, not accuracy" in line for line in lines)
    assert "Cat 3/4 tabby 75%, <b>thing</b> & more 25%" in lines
    assert any(line.startswith("Coins no class") for line in lines)
    assert "report: here/report.html" in lines
    assert "try it: here/venv/bin/mejiro-run run here/bundle --source camera:0" in lines
    assert not any(line.startswith("note:") for line in lines)


def test_accuracy_is_printed_where_it_was_measured(
    make_result: MakeResult, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = printed(make_result(scored=True), capsys)
    assert "MB top-1 p50 ms p90 ms p99 ms frames/s overhead" in lines
    assert "int8 TFLite 5.27 88.5% 3.27 3.37 3.57 333 × 1.12" in lines
    assert "fp32 TFLite 18.6 89.0% 9.27 9.37 9.57 111 × 1.12" in lines
    assert "top-1 on 200 pictures of my pictures" in lines


def test_what_was_not_shown_is_said(
    make_result: MakeResult, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = printed(make_result(own=False), capsys)
    assert any(line.startswith("note: The bundle ran in the environment") for line in lines)
    assert not any(line.startswith("try it:") for line in lines)

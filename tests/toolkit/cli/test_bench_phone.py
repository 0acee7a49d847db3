"""`mejiro device bench android` runs a benchmark_model, and `mejiro compare` reads its report."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.phone.adbd import Adbd
from tests.phone.benchmark_model import write_program
from tests.phone.fixtures import adb_server, phone, start_phone
from tests.site_stand_in import REPORT

__all__ = ["adb_server", "phone", "start_phone"]

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def words(tmp_path: Path) -> list[str]:
    program = write_program(tmp_path / "benchmark_model")
    (tmp_path / "birds-int8.tflite").write_bytes(b"model")
    given = ["--binary", str(program), "--bundle", str(tmp_path / "birds-int8.tflite")]
    return ["device", "bench", "android", *given]


@pytest.mark.requires_tool("adb")
def test_a_report_is_written_and_compared(
    phone: Adbd, words: list[str], run: Run, tmp_path: Path
) -> None:
    engine, page = tmp_path / "engine.json", tmp_path / "page.json"
    page.write_text(json.dumps(REPORT))
    code, out, _ = run(*words, "--threads", "4", "--out", str(engine))
    assert code == 0
    assert out == (
        f"{engine}: Google Pixel 8, birds-int8.tflite on XNNPack (58 of 60 operators): "
        "mean 8.41 ms, p50 8.39 ms, p95 9.63 ms\n"
    )
    code, out, err = run("compare", str(engine), str(page))
    assert code == 0
    row = next(line for line in out.splitlines() if line.startswith("engine "))
    assert "– / – / –" in row
    assert "8.39 / 9.63 / –" in row
    assert "engine: the engine alone, 8.41 ms on average" in out
    assert "LiteRT.js 2.5.3, wasm, 1 thread" in out
    assert err == "engine is of the engine alone, on random input\n"


@pytest.mark.requires_tool("adb")
def test_without_out_the_report_is_printed(phone: Adbd, words: list[str], run: Run) -> None:
    code, out, _ = run(*words)
    assert code == 0
    report = json.loads(out)
    assert (report["kind"], report["backend"]["threads"]) == ("engine", 1)
    code, _, err = run(*words, "--backend", "gpu")
    assert code == 1
    assert "did not run on gpu" in err


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["android"], "give it with --binary PATH"),
        (["android", "--source", "camera:0"], "--source means nothing to benchmark_model"),
        (["android", "--sustained", "10m"], "--sustained means nothing"),
        (["local:x", "--binary", "x"], "--binary is for the URL 'android'"),
        (["local:x", "--serial", "x"], "--serial is for the URL 'android'"),
    ],
)
def test_options_of_the_other_kind_are_refused(more: list[str], said: str, run: Run) -> None:
    code, _, err = run("device", "bench", *more)
    assert code == 2
    assert said in err
    assert len(err.splitlines()) == 1

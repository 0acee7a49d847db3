"""A phone with Termux is known by its programs, and tells its name and its battery or nothing."""

from __future__ import annotations

import contextlib
import platform
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from mejiro_runtime import android, telemetry

Termux = Callable[..., Path]


@pytest.fixture
def termux(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Termux:
    """Return a function that makes this machine a Termux with programs of these texts."""
    programs = tmp_path / "usr" / "bin"
    programs.mkdir(parents=True)

    def make(**scripts: str) -> Path:
        for name, text in {"termux_info": "", **scripts}.items():
            path = programs / name.replace("_", "-")
            path.write_text(f"#!/bin/sh\n{text}\n")
            path.chmod(0o755)
        monkeypatch.setenv("PREFIX", str(programs.parent))
        monkeypatch.setenv("PATH", str(programs), prepend=":")
        return programs.parent

    return make


def test_no_other_system_is_a_phone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PREFIX", str(tmp_path))
    assert android.prefix() is None
    assert android.phone() is None
    assert android.battery() is None


def test_python_lies_among_termuxs_programs(
    termux: Termux, monkeypatch: pytest.MonkeyPatch
) -> None:
    prefix = termux()
    monkeypatch.delenv("PREFIX")
    monkeypatch.setattr(sys, "base_prefix", str(prefix))
    assert android.prefix() == prefix


def test_an_older_python_asks_androids_program(
    termux: Termux, monkeypatch: pytest.MonkeyPatch
) -> None:
    termux(getprop='case $1 in *model) echo "Phone 1" ;; *) echo Stand-in ;; esac')
    assert android.phone() == "Stand-in Phone 1"
    monkeypatch.setattr(telemetry, "_first_line", lambda *paths: None)
    assert telemetry.board() == "Stand-in Phone 1"


def test_a_newer_python_knows_by_itself(termux: Termux, monkeypatch: pytest.MonkeyPatch) -> None:
    termux(getprop="exit 1")
    told = SimpleNamespace(manufacturer="Stand-in", model="Phone 2", release="15")
    monkeypatch.setattr(sys, "platform", "android")
    monkeypatch.setattr(platform, "android_ver", lambda: told, raising=False)
    assert android.phone() == "Stand-in Phone 2"


def test_what_is_missing_comes_from_termux_there_and_from_pip_elsewhere(termux: Termux) -> None:
    assert android.to_install("onnx", "python-onnxruntime") == "pip install 'mejiro-runtime[onnx]'"
    termux()
    assert android.to_install("onnx", "python-onnxruntime") == "pkg install python-onnxruntime"


def test_the_battery_is_told_as_far_as_it_is_understood(termux: Termux) -> None:
    told = '{"temperature": 31.5, "percentage": NaN, "plugged": "a\\u001b[31m", "health": "?"}'
    termux(termux_battery_status=f"cat <<'E'\n{told}\nE")
    assert android.battery() == {"temperature_celsius": 31.5}


@pytest.mark.parametrize("script", ["echo {", "echo []", "echo '{}'", "exit 3", ""])
def test_a_battery_that_tells_nothing_is_none(termux: Termux, script: str) -> None:
    termux(termux_battery_status=script)
    assert android.battery() is None


def test_what_waits_for_ever_is_given_up_with_all_that_it_started(
    termux: Termux, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    number = tmp_path / "number"
    termux(termux_battery_status=f"sleep 1000 & echo $! > {number}; wait")
    monkeypatch.setattr(android, "PROGRAM_TIMEOUT_S", 0.5)
    assert android.battery() is None
    status = Path("/proc", number.read_text().strip(), "stat")
    end_s = time.monotonic() + 20
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        while " Z " not in status.read_text():
            assert time.monotonic() < end_s
            time.sleep(0.02)

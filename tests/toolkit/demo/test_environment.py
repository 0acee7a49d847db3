"""Check how the slim environment is made: with what, from where, and that a failure leaves none."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

from mejiro.demo import environment
from mejiro.demo.environment import (
    PACKAGES,
    EnvironmentFailed,
    clean_variables,
    installed_versions,
    make_environment,
    present_environment,
)
from mejiro.errors import MissingPackage

# Writes down what it is asked for, and fails as often as its file says.
FAKE_UV = """#!{python}
import pathlib, sys
folder = pathlib.Path({folder!r})
with (folder / "calls").open("a") as calls:
    calls.write(" ".join(sys.argv[1:]) + "\\n")
pins = pathlib.Path(sys.argv[sys.argv.index("--constraint") + 1]).read_text()
(folder / "pins").write_text(pins)
(folder / "cwd").write_text(str(pathlib.Path.cwd()))
left = int((folder / "failures").read_text())
if left:
    (folder / "failures").write_text(str(left - 1))
    print("warning: trying again", file=sys.stderr)
    sys.exit("error: no route\\n  to host " + "x" * 400)
"""


@pytest.fixture
def fake_uv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder whose file `failures` says how often the `uv` on PATH fails."""
    folder = tmp_path / "fake"
    folder.mkdir()
    program = folder / "uv"
    program.write_text(FAKE_UV.format(python=sys.executable, folder=str(folder)))
    program.chmod(0o755)
    (folder / "failures").write_text("0")
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return folder


def test_the_present_environment_is_not_called_its_own() -> None:
    found = present_environment()
    assert found.python == Path(sys.executable)
    assert found.to_json() == {
        "own": False,
        "installer": None,
        "packages": None,
        "size_bytes": None,
    }


def test_versions_are_those_that_are_installed_here() -> None:
    pins = dict(pin.split("==") for pin in installed_versions())
    for name in PACKAGES:
        assert pins[name] == metadata.version(name)
    assert not {"mejiro", "mejiro-runtime"} & set(pins)


def test_an_absent_engine_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "PACKAGES", ("no-such-engine",))
    with pytest.raises(MissingPackage, match="no-such-engine, which is not installed"):
        installed_versions()


def test_uv_s_cache_is_tried_before_the_network(fake_uv: Path, tmp_path: Path) -> None:
    made = make_environment(tmp_path / "venv", tmp_path / "runtime.whl")
    (call,) = (fake_uv / "calls").read_text().splitlines()
    words = call.split()
    assert words[:3] == ["pip", "install", "--quiet"]
    assert words[-1] == "--offline"
    assert set(PACKAGES) | {str(tmp_path / "runtime.whl")} <= set(words)
    assert f"numpy=={metadata.version('numpy')}" in (fake_uv / "pins").read_text().splitlines()
    # The settings of the project that it is called from would bind it.
    assert Path((fake_uv / "cwd").read_text()) != Path.cwd()
    assert made.own
    assert made.installer == "uv"
    assert made.packages == {}
    done = subprocess.run(
        [made.python, "-I", "-c", "import sys; print(sys.prefix)"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert Path(done.stdout.strip()) == tmp_path / "venv"


def test_the_network_is_asked_for_what_the_cache_lacks(fake_uv: Path, tmp_path: Path) -> None:
    (fake_uv / "failures").write_text("1")
    make_environment(tmp_path / "venv", tmp_path / "runtime.whl")
    first, second = (fake_uv / "calls").read_text().splitlines()
    assert first.endswith(" --offline")
    pins = re.compile(r"--constraint \S+")
    assert pins.sub("", second) == pins.sub("", first.removesuffix(" --offline"))


def test_a_failed_installation_leaves_nothing_and_says_what_to_do(
    fake_uv: Path, tmp_path: Path
) -> None:
    (fake_uv / "failures").write_text("2")
    with pytest.raises(EnvironmentFailed) as caught:
        make_environment(tmp_path / "venv", tmp_path / "runtime.whl")
    message = str(caught.value)
    assert "could not be installed (error: no route to host xxx" in message
    assert message.endswith(
        "x...); connect to a network, or pass --no-environment to run the bundle in the present "
        "environment"
    )
    assert len(message) < 600
    assert not (tmp_path / "venv").exists()


def test_without_uv_and_pip_both_are_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingPackage, match="needs uv or pip"):
        make_environment(tmp_path / "venv", tmp_path / "runtime.whl")
    assert not (tmp_path / "venv").exists()


def test_pip_is_used_where_there_is_no_uv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[list[str]] = []
    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    monkeypatch.setattr(environment, "_failure_of", lambda command, folder: called.append(command))
    made = make_environment(tmp_path / "venv", tmp_path / "runtime.whl")
    (command,) = called
    assert made.installer == "pip"
    assert command[:5] == [sys.executable, "-m", "pip", "--python", str(made.python)]
    assert command[5] == "install"


def test_variables_that_lead_python_elsewhere_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", "/elsewhere")
    monkeypatch.setenv("PYTHONHOME", "/elsewhere")
    monkeypatch.setenv("VIRTUAL_ENV", "/elsewhere")
    monkeypatch.setenv("MEJIRO_CACHE", "/cache")
    found = clean_variables()
    assert not {"PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV"} & set(found)
    assert found["MEJIRO_CACHE"] == "/cache"
    assert found["PATH"] == os.environ["PATH"]

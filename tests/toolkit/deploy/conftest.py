"""Give the tests of deploys a device in a folder, and bundles that need no download."""

from __future__ import annotations

import importlib
import stat
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mejiro.deploy import Connection, uninstall
from mejiro.errors import DeployError
from mejiro_agent.programs import SERVICE_MARK, STEP_MARK, kill_marked
from mejiro_agent.root import Root, make_folders

BENCHMARKS = Path(__file__).resolve().parents[3] / "benchmarks"

WriteBundle = Callable[..., Path]
WriteProgram = Callable[[str, str], Path]


def _from_benchmarks(name: str) -> Any:
    sys.path.insert(0, str(BENCHMARKS))
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(str(BENCHMARKS))


@pytest.fixture
def write_bundle(tmp_path: Path) -> WriteBundle:
    """Return a function that writes a stand-in bundle by name."""
    stand_in = _from_benchmarks("deploy_stand_in")

    def write(name: str = "bundle", **options: Any) -> Path:
        written: Path = stand_in.write_stand_in(tmp_path / name, **options)
        return written

    return write


@pytest.fixture
def release_of() -> Callable[[Path], str]:
    """Return the function that tells which release a bundle becomes."""
    found: Callable[[Path], str] = _from_benchmarks("deploy_stand_in").release_of
    return found


@pytest.fixture
def deploy_kill() -> Any:
    """Return the benchmark that kills deploys."""
    return _from_benchmarks("deploy_kill")


@pytest.fixture
def device(tmp_path: Path) -> Iterator[Root]:
    """Return the root of a device in a folder of its own; what runs there ends with the test."""
    root = Root.at(str(tmp_path / "device"))
    yield root
    try:
        if root.folder.exists():
            with Connection(f"local:{root.folder}") as connection:
                uninstall(connection)
    except DeployError:
        pass  # the test damaged it on purpose
    finally:
        for mark in (STEP_MARK, SERVICE_MARK, f"{SERVICE_MARK}_RUN"):
            kill_marked(root, mark)


@pytest.fixture
def url(device: Root) -> str:
    """Return the URL of the device in a folder."""
    return f"local:{device.folder}"


@pytest.fixture
def root(tmp_path: Path) -> Root:
    """Return a root with its folders, on which nothing runs."""
    found = Root.at(str(tmp_path / "root"))
    make_folders(found)
    return found


@pytest.fixture
def write_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> WriteProgram:
    """Return a function that puts a shell script on PATH, before all else."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder), prepend=":")

    def write(name: str, script: str) -> Path:
        program = folder / name
        program.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        return program

    return write

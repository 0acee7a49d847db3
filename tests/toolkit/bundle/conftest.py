"""Make an index of tiny wheels, and a target that is this machine: no test needs a network."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from mejiro.bundle.archive import write_zip
from mejiro.targets import Architecture, TargetBackend, TargetProfile, TargetSystem

PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
TAG = f"cp{PYTHON.replace('.', '')}"
MachineOf = Callable[..., TargetProfile]
WriteWheel = Callable[..., Path]


def make_wheel(
    folder: Path,
    name: str,
    version: str,
    *,
    requires: Sequence[str] = (),
    tag: str = "py3-none-any",
    files: Mapping[str, bytes] | None = None,
) -> Path:
    """Write a wheel that pip installs: by default of one module that knows its version."""
    stem = name.replace("-", "_")
    members = dict(files or {f"{stem}.py": f'__version__ = "{version}"\n'.encode()})
    lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
    lines += [f"Requires-Dist: {one}" for one in requires]
    info = f"{stem}-{version}.dist-info"
    members[f"{info}/METADATA"] = "\n".join([*lines, ""]).encode()
    members[f"{info}/WHEEL"] = (
        f"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: {tag}\n".encode()
    )
    members[f"{info}/RECORD"] = "".join(
        f"{one},,\n" for one in [*members, f"{info}/RECORD"]
    ).encode()
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{stem}-{version}-{tag}.whl"
    write_zip(path, members)
    return path


@pytest.fixture(scope="session")
def pip_files() -> dict[str, bytes]:
    """Return the files of the pip that is installed here, to pack them into a wheel again."""
    root = Path(str(importlib.metadata.distribution("pip").locate_file("pip")))
    return {
        f"pip/{path.relative_to(root).as_posix()}": path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    }


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pip_files: dict[str, bytes]) -> Path:
    """Return a folder that is the only place pip knows, with what a bundle for a device takes.

    The cache is empty. `pip` is the installed one under the version that Mejiro asks for.
    """
    folder = tmp_path / "index"
    make_wheel(folder, "numpy", "1.26.4")
    make_wheel(folder, "numpy", "9.0")
    make_wheel(folder, "onnxruntime", "9.1", requires=["numpy>=1.20", "protobuf"])
    make_wheel(folder, "protobuf", "7.36.2")
    make_wheel(folder, "protobuf", "8.0")
    make_wheel(folder, "pip", "25.3", files=pip_files)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", folder.as_uri())
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("MEJIRO_CACHE", str(tmp_path / "cache"))
    return folder


@pytest.fixture(scope="session")
def warm_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a cache that tests share: the same tiny wheels need not be resolved by each."""
    return tmp_path_factory.mktemp("warm-cache")


def this_machine(
    *,
    backends: Sequence[TargetBackend] = (TargetBackend("onnxruntime", "onnxruntime==9.1"),),
    packages: Sequence[str] = ("numpy==1.26.4",),
    more: Sequence[TargetSystem] = (),
) -> TargetProfile:
    """Return a profile of this machine, whatever it is, with these engines and packages."""
    glibc = (os.confstr("CS_GNU_LIBC_VERSION") or "glibc 2.17").split()[1]
    system = TargetSystem("here", "This system", PYTHON, glibc, tuple(backends), tuple(packages))
    return TargetProfile(
        "this-machine", "This machine", Architecture(platform.machine()), (system, *more)
    )


@pytest.fixture(scope="session")
def machine() -> MachineOf:
    """Return what makes a profile of this machine."""
    return this_machine


@pytest.fixture(scope="session")
def write_wheel() -> WriteWheel:
    """Return what writes a tiny wheel."""
    return make_wheel

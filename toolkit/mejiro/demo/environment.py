"""Make a slim environment that stands for a device: the runtime, numpy, and two engines."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import venv
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from mejiro.errors import MejiroError, MissingPackage

# What a bundle of both formats needs to run on pictures and videos, beside the runtime itself.
PACKAGES = ("ai-edge-litert", "numpy", "onnxruntime", "opencv-python-headless")
MAX_QUOTED = 300
_ERROR = re.compile(r"\berror\b|×", re.IGNORECASE)
_OWN = frozenset({"mejiro", "mejiro-runtime"})
_LIST_PACKAGES = (
    "import json, importlib.metadata as m; "
    "print(json.dumps({d.metadata['Name']: d.version for d in m.distributions()}))"
)


class EnvironmentFailed(MejiroError):
    """Report that the runtime's own environment could not be made."""


@dataclass(frozen=True)
class Environment:
    """Hold the Python that runs a bundle. `own` says that it has an environment to itself.

    `packages` maps what is installed beside that Python to its version; `size_bytes` is what all
    of it takes on disk; both are only known of one that was made here.
    """

    python: Path
    own: bool
    installer: str | None = None
    packages: dict[str, str] | None = None
    size_bytes: int | None = None

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values, without the paths of this machine."""
        return {
            "own": self.own,
            "installer": self.installer,
            "packages": self.packages,
            "size_bytes": self.size_bytes,
        }


def present_environment() -> Environment:
    """Return the environment that this program runs in."""
    return Environment(python=Path(sys.executable), own=False)


def clean_variables() -> dict[str, str]:
    """Return the process's environment variables without those that lead Python elsewhere."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("PYTHON") and name not in {"VIRTUAL_ENV", "__PYVENV_LAUNCHER__"}
    }


def make_environment(folder: Path, wheel: Path) -> Environment:
    """Install the runtime's `wheel` and `PACKAGES` into a new environment in `folder`.

    The versions are those of the present environment, so that figures are comparable and an
    installer's cache may serve. uv is used where it is present, else pip. Raises
    EnvironmentFailed if the installation fails, MissingPackage if there is nothing to install
    with; `folder` is then gone again.
    """
    install, installer = _installer()
    try:
        with tempfile.TemporaryDirectory() as scratch:
            pins = Path(scratch) / "constraints.txt"
            pins.write_text("".join(f"{pin}\n" for pin in installed_versions()), encoding="utf-8")
            # Without pip in it: what installs stays outside, as on a device that is set up once.
            venv.create(folder, with_pip=False, symlinks=True)
            python = folder / "bin" / "python"
            install(python.absolute(), [str(wheel.absolute()), *PACKAGES], pins)
        return Environment(
            python=python,
            own=True,
            installer=installer,
            packages=_packages(python),
            size_bytes=_size_bytes(folder),
        )
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def installed_versions() -> list[str]:
    """Return ``name==version`` of all packages of the present environment but Mejiro's own.

    Raises MissingPackage if one of `PACKAGES` is not among them.
    """
    found = {
        name.lower().replace("_", "-"): distribution.version
        for distribution in metadata.distributions()
        if (name := distribution.metadata["Name"])
    }
    for name in PACKAGES:
        if name not in found:
            raise MissingPackage(name, purpose="the demo", install="pip install mejiro")
    return [f"{name}=={version}" for name, version in sorted(found.items()) if name not in _OWN]


def _installer() -> tuple[Callable[[Path, Sequence[str], Path], None], str]:
    """Return the function that installs, and the name of the program behind it."""
    if shutil.which("uv"):
        return _install_with_uv, "uv"
    if importlib.util.find_spec("pip"):
        return _install_with_pip, "pip"
    raise MissingPackage(
        "uv or pip",
        purpose="the demo's own environment",
        install="python -m ensurepip",
    )


def _install_with_uv(python: Path, what: Sequence[str], pins: Path) -> None:
    command = ["uv", "pip", "install", "--quiet", "--python", str(python)]
    command += ["--constraint", str(pins), *what]
    # What was installed once is in uv's cache, which then needs no network and no second.
    if _failure_of([*command, "--offline"], pins.parent):
        _run(command, pins.parent)


def _install_with_pip(python: Path, what: Sequence[str], pins: Path) -> None:
    command = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet"]
    command += ["--disable-pip-version-check", "--no-input", "--constraint", str(pins), *what]
    _run(command, pins.parent)


def _run(command: list[str], folder: Path) -> None:
    if failure := _failure_of(command, folder):
        raise EnvironmentFailed(
            f"the demo's own environment could not be installed ({failure}); connect to a "
            "network, or pass --no-environment to run the bundle in the present environment"
        )


def _failure_of(command: list[str], folder: Path) -> str | None:
    """Run `command`; return None, or what it says if it fails.

    It is started in `folder`, which holds no settings: uv obeys those of the project around it.
    """
    done = subprocess.run(
        command, cwd=folder, env=clean_variables(), capture_output=True, text=True, check=False
    )
    if done.returncode == 0:
        return None
    lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
    # Before the error stand warnings, one for each of pip's attempts.
    first = next((place for place, line in enumerate(lines) if _ERROR.search(line)), 0)
    said = " ".join(lines[first:]) or f"exit code {done.returncode}"
    return said if len(said) <= MAX_QUOTED else said[:MAX_QUOTED] + "..."


def _packages(python: Path) -> dict[str, str]:
    done = subprocess.run(
        [str(python), "-I", "-c", _LIST_PACKAGES],
        env=clean_variables(),
        capture_output=True,
        text=True,
        check=True,
    )
    return dict(sorted(json.loads(done.stdout).items()))


def _size_bytes(folder: Path) -> int:
    return sum(
        path.lstat().st_size
        for path in folder.rglob("*")
        if path.is_file() and not path.is_symlink()
    )

"""Test the runtime as devices have it: from its wheel, with one engine, and little else.

Each session is one kind of device. `make test` runs them all with the host's interpreter, which
also builds the wheel and the tiny models that the tests use; the devices never see TensorFlow.
"""

from __future__ import annotations

import functools
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import nox

nox.needs_version = ">=2024.10.9"
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.download_python = "never"
nox.options.error_on_missing_interpreters = False
nox.options.reuse_venv = "yes"

ROOT = Path(__file__).resolve().parent
BUILT = ROOT / ".nox" / "built"
TEST_TOOLS = ("hypothesis", "pytest", "pytest-randomly", "pytest-xdist")
TESTS = ("tests/runtime", "tests/packaging/test_bare_import.py")


@dataclass(frozen=True)
class Device:
    """Describe one environment: a Python, the runtime's extras, and packages held at a version.

    Whatever `pins` does not name comes from constraints.txt.
    """

    python: str
    extras: tuple[str, ...] = ()
    pins: tuple[str, ...] = ()


DEVICES = {
    "litert": Device("3.11", ("litert", "camera")),
    "tflite": Device(
        "3.11",
        ("tflite", "camera"),
        ("numpy==1.26.4", "opencv-python-headless==4.11.0.86", "tflite-runtime==2.14.0"),
    ),
    "onnx": Device("3.11", ("onnx",)),
    "numpy": Device("3.11"),
    # The lowest versions that runtime/pyproject.toml promises.
    "oldest": Device(
        "3.10",
        ("litert", "onnx", "camera"),
        (
            "ai-edge-litert==1.2.0",
            "numpy==1.23.5",
            "onnxruntime==1.18.0",
            "opencv-python-headless==4.7.0.72",
        ),
    ),
    "newest": Device("3.13", ("litert", "onnx", "camera")),
}


def find_python(version: str) -> str:
    """Return a path to an interpreter that really runs, or `version`, which nox then misses.

    pyenv puts a `python3.13` on PATH that refuses to run unless 3.13 is the selected version, so
    the versions it keeps are looked at too.
    """
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    kept = sorted(pyenv.glob(f"{version}.*/bin/python"), key=_patch_number, reverse=True)
    on_path = shutil.which(f"python{version}")
    for candidate in [sys.executable, *([on_path] if on_path else []), *map(str, kept)]:
        probe = [candidate, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
        try:
            found = subprocess.run(probe, capture_output=True, text=True, timeout=60, check=True)
        except (OSError, subprocess.SubprocessError):
            continue
        if found.stdout.strip() == version:
            return candidate
    return version


def _patch_number(interpreter: Path) -> int:
    digits = re.match(r"\d+\.\d+\.(\d+)", interpreter.parent.parent.name)
    return int(digits[1]) if digits else -1


@functools.cache
def build_wheel() -> Path:
    """Build the runtime's wheel with the host's interpreter, once for all sessions."""
    shutil.rmtree(BUILT / "wheel", ignore_errors=True)
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "runtime"]
    out = ["--outdir", str(BUILT / "wheel")]
    subprocess.run([*build, *out], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    (wheel,) = (BUILT / "wheel").glob("*.whl")
    return wheel


@functools.cache
def make_fixtures() -> Path:
    """Make the tiny models and bundle with the host's packages, once for all sessions."""
    shutil.rmtree(BUILT / "fixtures", ignore_errors=True)
    script = [sys.executable, "tests/make_fixtures.py", str(BUILT / "fixtures")]
    subprocess.run(script, cwd=ROOT, check=True)
    return BUILT / "fixtures"


def install(session: nox.Session, device: Device, wheel: Path) -> None:
    """Fill the environment, anew if what belongs in it has changed, and lay the wheel into it."""
    names = {re.split(r"[=<>~ ]", pin)[0] for pin in device.pins}
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    constraints = [line for line in lines if line.split("==")[0] not in names] + [*device.pins]
    extras = f"[{','.join(device.extras)}]" if device.extras else ""
    metadata = (ROOT / "runtime" / "pyproject.toml").read_text(encoding="utf-8")
    wanted = "\n".join([metadata, extras, *TEST_TOOLS, *constraints])

    folder = Path(session.virtualenv.location)
    installed, listed = folder / "installed.txt", folder / "constraints.txt"
    held = installed.read_text(encoding="utf-8") if installed.is_file() else ""
    if held == wanted:
        session.install("--force-reinstall", "--no-deps", str(wheel))
        return
    if held:
        # What was needed before may be what must be absent now.
        shutil.rmtree(folder)
        session.virtualenv.create()
    installed.write_text("unfinished", encoding="utf-8")
    listed.write_text("\n".join(constraints) + "\n", encoding="utf-8")
    runtime = f"mejiro-runtime{extras} @ {wheel.as_uri()}"
    session.install("-c", str(listed), runtime, *TEST_TOOLS)
    installed.write_text(wanted, encoding="utf-8")


def check_device(session: nox.Session, device: Device) -> None:
    """Run the runtime's tests against the installed wheel."""
    install(session, device, build_wheel())
    environment = {"MEJIRO_TEST_FIXTURES": str(make_fixtures())}
    session.run("pytest", "-q", "-n", "auto", *TESTS, *session.posargs, env=environment)


def _register(name: str, device: Device) -> None:
    @nox.session(name=name, python=find_python(device.python))
    def session(session: nox.Session) -> None:
        check_device(session, device)


for _name, _device in DEVICES.items():
    _register(_name, _device)

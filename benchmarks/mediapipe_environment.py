"""Install MediaPipe into an environment of its own, and talk to it: it cannot share one with us.

MediaPipe brings its own OpenCV and its own engine. Where it cannot be installed the benchmarks say
so and leave the comparison out.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from harness import CACHE, FOLDER

REQUIREMENT = "mediapipe==1.2.2"
INSTALL_TIMEOUT_S = 900


class Unavailable(Exception):
    """Say why MediaPipe cannot be measured here."""


def python() -> Path:
    """Return the interpreter of MediaPipe's environment, made at the first call."""
    folder = CACHE / REQUIREMENT.replace("==", "-")
    interpreter, finished = folder / "bin" / "python", folder / "installed"
    if finished.is_file():
        return interpreter
    print(f"installing {REQUIREMENT} into {folder.relative_to(CACHE.parent.parent)}")
    shutil.rmtree(folder, ignore_errors=True)
    uv = shutil.which("uv")
    if uv:
        make = [uv, "venv", "--quiet", "--python", sys.executable, str(folder)]
        install = [uv, "pip", "install", "--quiet", "--python", str(interpreter), REQUIREMENT]
    else:
        make = [sys.executable, "-m", "venv", str(folder)]
        install = [str(interpreter), "-m", "pip", "install", "--quiet", REQUIREMENT]
    for command in (make, install):
        _run(command)
    finished.touch()
    return interpreter


def _run(command: Sequence[str]) -> None:
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=INSTALL_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unavailable(f"{REQUIREMENT} cannot be installed: {error}") from error
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise Unavailable(f"{REQUIREMENT} cannot be installed: {lines[-1]}")


class Worker:
    """Hold a running program of `programs`; `about` says what it is, and maybe what it sees."""

    def __init__(self, model: Path, frames: Path, program: str = "mediapipe_worker.py") -> None:
        self._process = subprocess.Popen(
            [str(python()), str(FOLDER / "programs" / program), str(model), str(frames)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self.about: dict[str, Any] = self._read()

    def round(self) -> list[int]:
        """Return the nanoseconds of each frame, one after another."""
        if self._process.stdin is None:
            raise Unavailable("MediaPipe's process has no standard input")
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        durations: list[int] = self._read()
        return durations

    def _read(self) -> Any:
        line = self._process.stdout.readline() if self._process.stdout else ""
        if not line:
            code = self._process.wait()
            raise Unavailable(f"{REQUIREMENT} does not run here: exit code {code}")
        return json.loads(line)

    def __enter__(self) -> Worker:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._process.stdin:
            self._process.stdin.close()
        self._process.wait(timeout=60)
        if self._process.stdout:
            self._process.stdout.close()

"""Measure how long a program takes from its start to its first label, and how much memory.

One photograph of 640x480, one TFLite file, two threads; every program is started anew each round,
with its files in the page cache. Compared are

* mejiro: `mejiro-run run BUNDLE --source PICTURE`, which checks every byte of the bundle first;
* bare: programs/bare_start.py, the shortest script of numpy, OpenCV and LiteRT;
* mediapipe: programs/mediapipe_start.py, in an environment of its own.

The engine has been tried before (its verdict is cached), as on every start but a device's first.
Memory is the peak of the resident set that the kernel reports of the ended process.

    python benchmarks/startup.py [--quick] [--bundle DIR] [--out FILE]
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

import cv2
import harness
import mediapipe_environment as mediapipe

from mejiro_runtime.bundle import open_bundle
from mejiro_runtime.card import Format

THREADS = 2
ROUNDS, QUICK_ROUNDS = 40, 6
FIGURES = ("first_label_ms", "end_ms", "cpu_ms", "peak_memory_mb")


class Launcher:
    """Hold a running programs/launch.py."""

    def __init__(self, environment: dict[str, str]) -> None:
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed in __exit__
        self._process = subprocess.Popen(
            [sys.executable, str(harness.FOLDER / "programs" / "launch.py")],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
        )

    def start(self, command: list[str]) -> dict[str, Any]:
        """Run `command` and return what launch.py tells of it; SystemExit if it fails."""
        if self._process.stdin is None or self._process.stdout is None:
            raise SystemExit("the launcher has no pipes")
        self._process.stdin.write(json.dumps(command) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        told: dict[str, Any] = json.loads(answer) if answer else {"code": "none", "line": ""}
        if told["code"] != 0 or not told["line"]:
            self._errors.seek(0)
            lines = self._errors.read().decode("utf-8", "replace").strip().splitlines()
            said = f": {lines[-1]}" if lines else ""
            raise SystemExit(f"{' '.join(command[:3])} ended with code {told['code']}{said}")
        return told

    def __enter__(self) -> Launcher:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._process.stdin and self._process.stdout:
            self._process.stdin.close()
            self._process.wait(timeout=60)
            self._process.stdout.close()
        self._errors.close()


def commands(bundle: Path, picture: Path) -> tuple[dict[str, list[str]], dict[str, Any], list[str]]:
    """Return way -> command, what the results should say of them, and notes."""
    opened = open_bundle(bundle)
    card = next((c for c in opened.manifest.artifacts if c.format is Format.TFLITE), None)
    if card is None:
        raise SystemExit(f"{bundle} has no TFLite file, the one format that all compared run")
    model, labels = str(opened.model_path(card)), str(bundle / opened.manifest.labels)
    programs = harness.FOLDER / "programs"
    run = [str(harness.script("mejiro-run")), "run", str(bundle), "--source", str(picture)]
    bare = [sys.executable, str(programs / "bare_start.py"), model, labels, str(picture)]
    ways = {
        "mejiro": [*run, "--artifact", card.file, "--threads", str(THREADS)],
        "bare": [*bare, str(THREADS)],
    }
    size = sum(entry.size_bytes for entry in opened.manifest.files.values())
    settings = {"artifact": card.file, "bundle_mb": round(size / 1e6, 2), "threads": THREADS}
    try:
        interpreter = str(mediapipe.python())
    except mediapipe.Unavailable as error:
        return ways, settings, [f"{error}; the comparison with MediaPipe is left out"]
    program = str(programs / "mediapipe_start.py")
    ways["mediapipe"] = [interpreter, program, model, labels, str(picture)]
    return ways, {**settings, "mediapipe": mediapipe.REQUIREMENT}, []


def ratios_of(rounds: harness.Rounds) -> list[harness.Ratio]:
    ours, bare = rounds["mejiro"], rounds["bare"]
    figure, memory = "first_label_ms", "peak_memory_mb"
    found = [
        harness.ratio(
            "start to first label, mejiro / bare", ours[figure], bare[figure], limit=1.25
        ),
        harness.ratio("peak memory, mejiro / bare", ours[memory], bare[memory], limit=1.2),
        harness.ratio("start to end, mejiro / bare", ours["end_ms"], bare["end_ms"]),
        harness.ratio("CPU time, mejiro / bare", ours["cpu_ms"], bare["cpu_ms"]),
    ]
    if "mediapipe" in rounds:
        other = rounds["mediapipe"]
        found += [
            harness.ratio("start to first label, mejiro / mediapipe", ours[figure], other[figure]),
            harness.ratio("peak memory, mejiro / mediapipe", ours[memory], other[memory]),
        ]
    return found


def main() -> None:
    options = harness.parse_arguments(__doc__)
    bundle = harness.bundle_folder(options)
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        picture = folder / "picture.jpg"
        cv2.imwrite(str(picture), harness.photographs()[0])
        environment = {**os.environ, "MEJIRO_CACHE": str(folder / "cache")}
        # Installed packages have their bytecode beside them; a shell that forbids writing it would
        # have ours compiled at each start.
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        launcher = stack.enter_context(Launcher(environment))
        ways, settings, notes = commands(bundle, picture)
        # The first start tries the engine and compiles bytecode; the second is like all others.
        settings["first_line"] = {
            name: [launcher.start(command)["line"] for _ in range(2)][1]
            for name, command in ways.items()
        }

        def measured(command: list[str]) -> Callable[[], dict[str, float]]:
            def run() -> dict[str, float]:
                told = launcher.start(command)
                return {figure: told[figure] for figure in FIGURES}

            return run

        rounds = harness.take_turns(
            {name: measured(command) for name, command in ways.items()},
            QUICK_ROUNDS if options.quick else ROUNDS,
        )
    harness.report(options, ratios_of(rounds), settings=settings, rounds=rounds, notes=notes)


if __name__ == "__main__":
    main()

"""Run a bundle with `mejiro-run`, in a process of its own, and read its reports."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mejiro.demo.environment import Environment, clean_variables
from mejiro.errors import MejiroError, QualityError

BENCH_SOURCE = "synthetic:640x480"
EXIT_INTERRUPTED = 130


class RunFailed(MejiroError):
    """Report that the runtime failed on a bundle that was just written."""


@dataclass(frozen=True)
class Run:
    """Hold one run over a source: a JSON object for each frame, and the summary."""

    frames: tuple[dict[str, Any], ...]
    summary: dict[str, Any]

    def frame_to_label_ns(self) -> list[int]:
        """Return what each frame took from pixels to label."""
        return [
            frame["preprocess_ns"] + frame["infer_ns"] + frame["postprocess_ns"]
            for frame in self.frames
        ]


@dataclass(frozen=True)
class Device:
    """Stand for the device that `bundle` was copied to; `environment` holds its runtime."""

    environment: Environment
    bundle: Path

    def verify(self) -> dict[str, Any]:
        """Return the verdict on all artifacts; raises QualityError unless all passed."""
        # Exit code 1 with a report says that something differs.
        code, text = self._call("verify", "--json", allowed=frozenset({0, 1}))
        verdict: dict[str, Any] = json.loads(text)
        if code or verdict["not_verified"]:
            wrong = [entry for entry in verdict["artifacts"] if not entry["passed"]]
            named = ", ".join(str(entry["artifact"]) for entry in wrong)
            named = named or ", ".join(verdict["not_verified"])
            raise QualityError(
                f"{named} gives other answers in the demo's environment than when it was "
                f"bundled; run `mejiro-run verify {self.bundle}` to see where"
            )
        return verdict

    def bench(self, artifact: str, *, frames: int) -> dict[str, Any]:
        """Return the latency report of one artifact on synthetic frames of 640x480 pixels."""
        report: dict[str, Any] = json.loads(
            self._call(
                "bench", "--json", "--artifact", artifact,
                "--source", BENCH_SOURCE, "--frames", str(frames),
            )[1]
        )  # fmt: skip
        return report

    def run(self, artifact: str, source: Path, *, top: int) -> Run:
        """Return what one artifact saw in each frame of a video, or each picture of a folder."""
        _, text = self._call(
            "run", "--json", "--artifact", artifact, "--source", str(source), "--top", str(top)
        )
        *frames, last = (json.loads(line) for line in text.splitlines())
        return Run(frames=tuple(frames), summary=last["summary"])

    def _call(
        self, command: str, *arguments: str, allowed: frozenset[int] = frozenset({0})
    ) -> tuple[int, str]:
        """Run one command on the bundle; return its exit code, one of `allowed`, and its output."""
        # -I: neither the folder it is started in nor the user's own packages take part.
        words = [str(self.environment.python), "-I", "-m", "mejiro_runtime"]
        done = subprocess.run(
            [*words, command, str(self.bundle), *arguments],
            env=clean_variables(),
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode == EXIT_INTERRUPTED:
            raise KeyboardInterrupt
        # A report is on standard output; an error leaves that empty.
        if done.returncode not in allowed or not done.stdout:
            lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
            raise RunFailed(f"`mejiro-run {command}` failed in the demo's environment: {lines[-1]}")
        return done.returncode, done.stdout

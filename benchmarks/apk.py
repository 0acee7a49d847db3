"""Measure how long an Android package takes to be made, and how large it is.

`mejiro bundle BUNDLE --out FILE --target android-apk`, started anew each round, with a PATH on
which there is no Java and no tool of an SDK: the site is written, packed, signed and verified.

    python benchmarks/apk.py [--quick] [--bundle DIR] [--out FILE]
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import harness

from mejiro.apk import open_apk
from mejiro.site import SITE_NAME

ROUNDS, QUICK_ROUNDS = 10, 2
NOT_NEEDED = ("java", "aapt", "aapt2", "apksigner", "zipalign")


class Maker:
    """Make packages of one bundle in a folder that goes away."""

    def __init__(self, bundle: Path, folder: Path) -> None:
        self.out = folder / "app.apk"
        empty = folder / "bin"
        empty.mkdir()
        self._environment = {
            **os.environ,
            "PATH": str(empty),
            "XDG_CONFIG_HOME": str(folder / "config"),
        }
        for name in NOT_NEEDED:
            if shutil.which(name, path=self._environment["PATH"]):
                raise SystemExit(f"{name} is on the PATH, and should not be")
        self._mejiro = str(harness.script("mejiro"))
        self._command = ["bundle", str(bundle), "--out", str(self.out), "--replace"]
        self._run("keys", "new", "android")

    def make(self, target: str) -> dict[str, float]:
        """Make the package once, in a process of its own; return seconds."""
        start = time.perf_counter_ns()
        self._run(*self._command, "--target", target)
        return {"seconds": (time.perf_counter_ns() - start) / 1e9}

    def _run(self, *words: str) -> None:
        command = [self._mejiro, *words]
        done = subprocess.run(
            command, env=self._environment, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise SystemExit(done.stderr.strip())


def main() -> None:
    options = harness.parse_arguments(__doc__)
    bundle = harness.bundle_folder(options)
    count = QUICK_ROUNDS if options.quick else ROUNDS
    with tempfile.TemporaryDirectory() as temporary:
        maker = Maker(bundle, Path(temporary))
        rounds = harness.take_turns({"apk": lambda: maker.make("android-apk")}, count)
        apk = open_apk(maker.out)
    seconds = rounds["apk"]["seconds"]
    ratios = [
        harness.ratio("package of a bundle made, s", seconds, [1.0] * count, limit=10),
        harness.ratio("package with its model, MB", [apk.size_bytes / 1e6], [1.0]),
    ]
    settings = {
        "bundle": bundle.name,
        "what": f"a site with its {SITE_NAME} is written, packed, signed (v2, v3) and verified",
        "absent": list(NOT_NEEDED),
    }
    harness.report(options, ratios, settings=settings, rounds=rounds)


if __name__ == "__main__":
    main()

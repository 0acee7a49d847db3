"""Fill a folder with Python packages for the device: pip unpacks its wheels, and runs none."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.emulation.needs import Unavailable
from tests.emulation.root import compile_python, locked

PROJECT = Path(__file__).resolve().parents[2]
RUNTIME = PROJECT / "runtime"
# What a device runs frames with; the versions are those of constraints.txt.
ENGINES = ("ai-edge-litert", "numpy", "onnxruntime", "opencv-python-headless")
# Where the device sees the two.
SITE, SOURCES = "/opt/site", "/opt/mejiro"
# pip takes these words for exactly these tags, none for an older one.
PLATFORMS = (
    "manylinux_2_34_aarch64",
    "manylinux_2_31_aarch64",
    "manylinux_2_28_aarch64",
    "manylinux_2_27_aarch64",
    "manylinux_2_26_aarch64",
    "manylinux_2_17_aarch64",
    "manylinux2014_aarch64",
)


def make_site(cache: Path, python: str, packages: Sequence[str] = ENGINES) -> Path:
    """Return a folder of `packages` and what they need, for Python `python` on arm64.

    Versions are those of constraints.txt, but for packages that state their own (`numpy==1.26.4`).
    It is made once for each set of versions; raises Unavailable where a wheel cannot be had.
    """
    pinned = {package.partition("==")[0] for package in packages if "==" in package}
    lines = (PROJECT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    constraints = [line for line in lines if line.partition("==")[0] not in pinned]
    recipe = [*constraints, python, *packages, *PLATFORMS]
    digest = hashlib.sha256("\n".join(recipe).encode()).hexdigest()[:12]
    site = cache / f"site-{digest}"
    with locked(site):
        if not site.is_dir():
            beside = site.with_name(site.name + ".part")
            shutil.rmtree(beside, ignore_errors=True)
            listed = site.with_name(site.name + ".constraints")
            listed.write_text("\n".join(constraints), encoding="utf-8")
            _install(beside, python, packages, listed)
            compile_python(beside, python, SITE)
            beside.rename(site)
    return site


def _install(folder: Path, python: str, packages: Sequence[str], constraints: Path) -> None:
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-compile"]
    command += ["--disable-pip-version-check", "--only-binary=:all:", "--implementation", "cp"]
    command += ["--python-version", python, "--target", str(folder), "-c", str(constraints)]
    command += [f"--platform={platform}" for platform in PLATFORMS]
    done = subprocess.run([*command, *packages], capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip() or "pip said nothing").splitlines()[-1]
        raise Unavailable(f"packages for arm64 cannot be had: {last}")


def python_path() -> str:
    """Return PYTHONPATH for a device that has both folders."""
    return f"{SOURCES}:{SITE}"

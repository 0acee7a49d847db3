"""A bundle goes to an emulated Raspberry Pi without a network, and cannot break what ran there."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from tests.emulation.device import Device
from tests.end_to_end.test_demo import COLOURS, WRITE_COLOUR_MODEL

pytestmark = [pytest.mark.slow, pytest.mark.emulated]

CURRENT = "mejiro/current"


def mejiro(*words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    """Run `mejiro`, which has to end with `code`."""
    done = subprocess.run(
        [sys.executable, "-m", "mejiro", *words], capture_output=True, text=True, check=False
    )
    assert done.returncode == code, done.stderr
    return done


def seen(lines: str) -> list[tuple[str, str, float]]:
    """Return name, label and score of each frame that `mejiro-run run --json` told of."""
    frames = [json.loads(line) for line in lines.splitlines()]
    tops = [(frame["name"], frame["top"][0]) for frame in frames if "summary" not in frame]
    return [(Path(name).name, top["label"], top["score"]) for name, top in tops]


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """Return two bundles that differ in their golden frames, and a folder of pictures."""
    folder = tmp_path_factory.mktemp("deploy")
    program = [sys.executable, "-c", WRITE_COLOUR_MODEL, str(folder / "colours")]
    subprocess.run(program, check=True, capture_output=True)
    pictures = folder / "pictures"
    pictures.mkdir()
    for name, colour in COLOURS.items():
        cv2.imwrite(str(pictures / f"{name}.png"), np.full((48, 64, 3), colour, np.uint8))
    mejiro("convert", str(folder / "colours"), "--format", "tflite", "--out", str(folder / "build"))
    artifact = next((folder / "build").glob("*.tflite"))
    words = ["bundle", str(artifact), "--target", "raspberry-pi-5", "--name", "colours"]
    mejiro(*words, "--out", str(folder / "first"))
    mejiro(*words, "--golden", str(pictures), "--out", str(folder / "second"), "--offline")
    return folder / "first", folder / "second", pictures


def status(url: list[str]) -> dict[str, Any]:
    """Return what `mejiro device status` tells."""
    value: dict[str, Any] = json.loads(mejiro("device", "status", *url, "--json").stdout)
    return value


def test_a_release_runs_and_a_broken_one_changes_nothing(
    bundles: tuple[Path, Path, Path], pi: Device
) -> None:
    first, second, pictures = bundles
    url = [f"ssh://{pi.name}", "--ssh-config", str(pi.ssh_config)]
    words = ["--service", "--source", "synthetic:64x48@2", "--no-tune", "--json"]
    done = json.loads(mejiro("deploy", str(first), *url, *words).stdout)
    assert done["uploaded_files"] == len(json.loads((first / "manifest.json").read_text())["files"])
    runs = status(url)
    assert (runs["release"], runs["running"]) == (done["release"], True)

    # The device says of pictures what this machine says, to the last digit.
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        tar.add(pictures, "pictures")
    pi.run(["tar", "-x"], stdin=archive.getvalue())
    run = ["run", "--source", "pictures", "--json"]
    there = pi.read([f"{CURRENT}/env/bin/mejiro-run", run[0], f"{CURRENT}/bundle", *run[1:]])
    here = subprocess.run(
        [sys.executable, "-m", "mejiro_runtime", run[0], str(first), *run[1:]],
        cwd=pictures.parent, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert [label for _, label, _ in seen(there)] == sorted(COLOURS)
    assert seen(there) == seen(here)

    # What differs is uploaded; what fails on trial is taken back, and the old one runs.
    broken = mejiro(
        "deploy", str(second), *url, *words[:-1], "--require", "frame_to_label.p50<1us", code=1
    )
    assert f"rolled back to {done['release']}, which runs again" in broken.stderr
    assert "Traceback" not in broken.stderr
    runs = status(url)
    assert (runs["release"], runs["running"], runs["on_trial"]) == (done["release"], True, False)

    mejiro("device", "uninstall", *url, "--yes")
    assert pi.run(f"test -e {CURRENT}", check=False).returncode == 1

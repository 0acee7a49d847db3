"""The same frames and files give the same numbers on every Pi, and on the host where promised."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.emulation.boards import BOARDS
from tests.emulation.device import Device, Options
from tests.emulation.fixtures import PROGRAMS, DeviceMaker
from tests.emulation.packages import python_path

pytestmark = [pytest.mark.emulated, pytest.mark.slow]

LOCAL_PROGRAMS = Path(__file__).with_name("programs")
FIXTURES = "/opt/fixtures"
# The first has integers at both ends, so that a step of its output is a step of an integer.
MODELS = ("full-integer/colours-int8.tflite", "models/colours-int8.onnx")
Answers = dict[str, np.ndarray]


def on_device(device: Device, program: str, *words: str) -> str:
    """Return what one of the programs prints on the device."""
    command = ["env", f"PYTHONPATH={python_path()}", "python3", f"{PROGRAMS}/{program}", *words]
    return device.read(command)


def on_host(program: str, *words: str) -> str:
    """Return what it prints here."""
    command = [sys.executable, str(LOCAL_PROGRAMS / program), *words]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def _given(folder: str) -> list[str]:
    return [f"{folder}/{name}" for name in ("bundle/golden/frames.npz", *MODELS)]


def _read(path: Path) -> Answers:
    with np.load(path) as arrays:
        return {model: arrays[f"arr_{index}"] for index, model in enumerate(MODELS)}


def test_int8_answers_are_the_same_on_every_board_and_a_step_from_the_host(
    device_maker: DeviceMaker, equipment: dict[str, Path], model_fixtures: Path, tmp_path: Path
) -> None:
    found = {}
    for board in BOARDS:
        device = device_maker(Options(board, binds={**equipment, FIXTURES: model_fixtures}))
        on_device(device, "answers.py", "answers.npz", *_given(FIXTURES))
        (tmp_path / "answers.npz").write_bytes(device.run("cat answers.npz").stdout)
        found[board] = _read(tmp_path / "answers.npz")
        device.reset()
    for board in BOARDS:
        for model in MODELS:
            np.testing.assert_array_equal(found[board][model], found["pi3"][model])
    on_host("answers.py", str(tmp_path / "host.npz"), *_given(str(model_fixtures)))
    here, there = _read(tmp_path / "host.npz")[MODELS[0]], found["pi3"][MODELS[0]]
    assert here.dtype == there.dtype == np.uint8
    assert np.abs(here.astype(int) - there.astype(int)).max() <= 1


@pytest.mark.parametrize("kernel", ["opencv", "numpy"])
def test_input_tensors_are_the_same_as_on_the_host(
    kernel: str, device_maker: DeviceMaker, equipment: dict[str, Path]
) -> None:
    device = device_maker(Options("pi4", binds=equipment))
    there = json.loads(on_device(device, "tensors.py", kernel))
    here = json.loads(on_host("tensors.py", kernel))
    assert len(here) == 80
    assert [name for name in here if here[name] != there.get(name)] == []
    device.reset()


def test_the_host_is_no_arm_machine() -> None:
    """Else the comparisons above say nothing."""
    assert os.uname().machine == "x86_64"

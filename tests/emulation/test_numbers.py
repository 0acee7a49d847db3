"""The same frames and files give the same numbers on every Pi, and on the host where promised."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from tests.emulation.boards import BOARDS
from tests.emulation.device import Device, Options
from tests.emulation.fixtures import PROGRAMS, DeviceMaker
from tests.emulation.packages import python_path

pytestmark = [pytest.mark.emulated, pytest.mark.slow]

LOCAL_PROGRAMS = Path(__file__).with_name("programs")
BUNDLE = "/opt/bundle"
Answers = dict[str, np.ndarray]


def on_device(device: Device, program: str, *words: str) -> str:
    """Return what one of the programs prints on the device."""
    command = ["env", f"PYTHONPATH={python_path()}", "python3", f"{PROGRAMS}/{program}", *words]
    return device.read(command)


def on_host(program: str, *words: str) -> str:
    """Return what it prints here."""
    command = [sys.executable, str(LOCAL_PROGRAMS / program), *words]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.fixture(scope="module")
def answers_of(
    device_maker: DeviceMaker,
    equipment: dict[str, Path],
    model_fixtures: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[[str], Answers]:
    """Return what a board answers to the bundle's golden frames, or the host, by format."""
    folder, bundle = tmp_path_factory.mktemp("answers"), model_fixtures / "bundle"

    @cache
    def answers(board: str) -> Answers:
        out = folder / f"{board}.npz"
        if board == "host":
            on_host("answers.py", str(bundle), str(out))
        else:
            device = device_maker(Options(board, binds={**equipment, BUNDLE: bundle}))
            on_device(device, "answers.py", BUNDLE, "answers.npz")
            out.write_bytes(device.run("cat answers.npz").stdout)
            device.reset()
        with np.load(out) as arrays:
            return dict(arrays)

    return answers


def test_int8_answers_are_the_same_on_every_board(answers_of: Callable[[str], Answers]) -> None:
    first, *others = (answers_of(board) for board in BOARDS)
    assert set(first) == {"tflite", "onnx"}
    for other in others:
        for format, outputs in first.items():
            np.testing.assert_array_equal(outputs, other[format])


def test_litert_is_one_step_from_the_host_at_most(answers_of: Callable[[str], Answers]) -> None:
    here, there = (answers_of(where)["tflite"] for where in ("host", "pi5"))
    assert here.dtype == there.dtype
    assert np.issubdtype(here.dtype, np.integer)
    assert np.abs(here.astype(int) - there.astype(int)).max() <= 1


@pytest.mark.parametrize("kernel", ["opencv", "numpy"])
def test_input_tensors_are_the_same_as_on_the_host(
    kernel: str, device_maker: DeviceMaker, equipment: dict[str, Path]
) -> None:
    device = device_maker(Options("pi4", binds=equipment))
    there = json.loads(on_device(device, "tensors.py", kernel))
    here = json.loads(on_host("tensors.py", kernel))
    assert len(here) == 100
    assert [name for name in here if here[name] != there.get(name)] == []
    device.reset()


def test_the_host_is_no_arm_machine() -> None:
    """Else the comparisons above say nothing."""
    assert os.uname().machine == "x86_64"

"""Counts of instructions repeat, and know what lies between two marks."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.emulation.counting import Mark, build_plugin, count_instructions
from tests.emulation.device import DeviceError
from tests.emulation.fixtures import CACHE, skip_or_fail
from tests.emulation.inside import written
from tests.emulation.needs import Unavailable

pytestmark = [pytest.mark.emulated, pytest.mark.slow, pytest.mark.usefixtures("plugin")]

# The first rounds warm what Python makes of a loop.
LOOPS = (1, 10, 1000, 2000, 3000)
MARKED = f"""
import ctypes
system_call = ctypes.CDLL(None).syscall
for times in {LOOPS}:
    for _ in range(times):
        pass
    system_call(141, 0x51, times)
open('/opt/note', 'w').write('done')
"""


@pytest.fixture(scope="module")
def plugin(device_root: Path) -> None:
    """Build the plugin, or skip."""
    try:
        build_plugin(CACHE)
    except Unavailable as error:
        skip_or_fail(error)


def marks_of(code: str, state: Path) -> list[Mark]:
    command = ["/usr/bin/python3", "-c", code]
    return count_instructions(
        command, board="pi4", cache=CACHE, state=state, binds={}, environment={}
    )


def test_twice_the_work_is_counted_the_same_each_time(tmp_path: Path) -> None:
    once, again = (marks_of(MARKED, tmp_path / name) for name in ("once", "again"))
    assert [mark.number for mark in once] == [mark.number for mark in again] == list(LOOPS)
    counted = {mark.number: mark.instructions for mark in once}
    repeated = {mark.number: mark.instructions for mark in again}
    a_thousand = counted[2000] - counted[1000]
    assert a_thousand > 5000
    assert counted[3000] - counted[2000] == pytest.approx(a_thousand, rel=0.02)
    assert repeated[3000] == pytest.approx(counted[3000], rel=1e-3)
    assert (written(tmp_path / "once") / "opt" / "note").read_text(encoding="utf-8") == "done"


def test_a_program_that_fails_is_told(tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match="ended with 3"):
        marks_of("raise SystemExit(3)", tmp_path)

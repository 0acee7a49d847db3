"""A function in a process of its own: its answer, its words, its errors, its end."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

from mejiro.errors import MejiroError, UsageError
from mejiro.train.events import Events
from mejiro.tune.process import run_apart

TASKS = """
import os, signal, time
from mejiro.errors import DataError, MissingPackage, UsageError

class ResourceExhaustedError(Exception):
    pass

def add(one, other, *, events):
    events.stage("adding")
    events.progress(1, 2)
    events.note("done")
    return one + other, os.getpid()

def fail(kind, *, events):
    if kind == "data":
        raise DataError("no pictures")
    if kind == "usage":
        raise UsageError("wrong word")
    if kind == "package":
        raise MissingPackage("x", purpose="this", install="pip install x")
    if kind == "memory":
        raise ResourceExhaustedError("OOM when allocating tensor\\nand more")
    if kind == "disk":
        raise OSError(28, "No space left on device", "here")
    if kind == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if kind == "left":
        os._exit(3)
    raise ZeroDivisionError(kind)

def wait(path, *, events):
    open(path, "w").write(str(os.getpid()))
    while True:
        time.sleep(0.05)
        events.progress(0, 1)
"""


@pytest.fixture
def tasks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Return a module that the other process can import as well."""
    (tmp_path / "tasks_apart.py").write_text(TASKS, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    return import_module("tasks_apart")


@pytest.fixture(autouse=True)
def _forget(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(__import__("sys").modules, "tasks_apart", raising=False)


def test_the_answer_and_what_is_told_come_back(tasks: ModuleType) -> None:
    told: list[object] = []
    events = Events(
        stage=told.append, progress=lambda done, total: told.append((done, total)), note=told.append
    )
    answer, pid = run_apart(tasks.add, 1, 2, events=events)
    assert answer == 3
    assert pid != os.getpid()
    assert told == ["adding", (1, 2), "done"]


@pytest.mark.parametrize(
    ("kind", "error", "words"),
    [
        ("data", MejiroError, "^no pictures$"),
        ("usage", UsageError, "^wrong word$"),
        ("package", MejiroError, "pip install x"),
        ("memory", MejiroError, "^there was not enough memory"),
        ("disk", MejiroError, "No space left on device"),
        ("killed", MejiroError, "SIGKILL; perhaps there was not enough memory"),
        ("left", MejiroError, "^its process ended with code 3$"),
    ],
)
def test_an_end_without_an_answer_is_told_in_one_line(
    tasks: ModuleType, kind: str, error: type[MejiroError], words: str
) -> None:
    with pytest.raises(error, match=words) as caught:
        run_apart(tasks.fail, kind, events=Events())
    assert "\n" not in str(caught.value)


def test_a_defect_is_shown_and_told(tasks: ModuleType, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(MejiroError, match="ended with code 1"):
        run_apart(tasks.fail, "defect", events=Events())
    assert "ZeroDivisionError: defect" in capfd.readouterr().err


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


@pytest.mark.parametrize("raised", [ValueError, KeyboardInterrupt])
def test_what_a_listener_raises_ends_the_process(
    tasks: ModuleType, tmp_path: Path, raised: type[BaseException]
) -> None:
    def stop(done: int, total: int) -> None:
        raise raised

    path = tmp_path / "pid"
    with pytest.raises(raised):
        run_apart(tasks.wait, str(path), events=Events(progress=stop))
    assert gone(int(path.read_text(encoding="ascii")))


def test_ctrl_c_is_heard_here_and_not_there(
    tasks: ModuleType, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "pid"
    before = signal.getsignal(signal.SIGINT)
    sent = []

    def interrupt(done: int, total: int) -> None:
        pid = int(path.read_text(encoding="ascii"))
        if not sent:
            os.kill(pid, signal.SIGINT)
            sent.append(time.monotonic())
        elif time.monotonic() - sent[0] > 0.3:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        run_apart(tasks.wait, str(path), events=Events(progress=interrupt))
    assert signal.getsignal(signal.SIGINT) is before
    assert gone(int(path.read_text(encoding="ascii")))
    assert capfd.readouterr().err == ""


def test_whoever_is_waited_for_by_nobody_ends(tasks: ModuleType, tmp_path: Path) -> None:
    """A process whose parent was killed finds out when it tells the next thing."""
    import subprocess
    import sys

    path = tmp_path / "pid"
    program = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import tasks_apart\n"
        "from mejiro.train.events import Events\n"
        "from mejiro.tune.process import run_apart\n"
        f"run_apart(tasks_apart.wait, {str(path)!r}, events=Events())\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", program])
    until(lambda: path.exists() and path.read_text(encoding="ascii") != "")
    parent.kill()
    parent.wait()
    until(lambda: gone(int(path.read_text(encoding="ascii"))))


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)

"""Give tests a private adb server and stand-in phones; import what a test module needs of it."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.phone.adbd import Adbd
from tests.phone.android import Android

StartPhone = Callable[..., Adbd]


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as plug:
        port: int = plug.getsockname()[1]
        return port


@pytest.fixture
def adb_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., str]]:
    """Run adb's server on a port of its own, with a home of its own; return a way to call adb."""
    program = shutil.which("adb")
    assert program is not None
    port = _free_port()
    home = tmp_path / "home"
    home.mkdir()
    for name, value in {
        "ANDROID_ADB_SERVER_PORT": str(port),
        "ADB_LOCAL_TRANSPORT_MAX_PORT": "5553",  # look for no emulators
        "HOME": str(home),
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("ANDROID_SERIAL", raising=False)

    def call(*words: str) -> str:
        done = subprocess.run(
            [program, *words], capture_output=True, text=True, timeout=30, check=False
        )
        return done.stdout + done.stderr

    # Not `adb start-server`, which would leave a server behind if this process were killed.
    with (tmp_path / "adb.log").open("wb") as log:
        server = subprocess.Popen(
            [program, "-P", str(port), "nodaemon", "server"],
            stdout=log,
            stderr=log,
            env={**os.environ, "TMPDIR": str(tmp_path)},
        )
    try:
        _await_port(port, server)
        yield call
    finally:
        server.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            server.wait(5)
        server.kill()
        server.wait(5)


def _await_port(port: int, server: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + 20
    while time.monotonic() < end:
        assert server.poll() is None, "adb's server ended"
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.02)
    pytest.fail("adb's server does not listen")


@pytest.fixture
def start_phone(adb_server: Callable[..., str], tmp_path: Path) -> Iterator[StartPhone]:
    """Return a function that starts a stand-in phone and connects adb to it."""
    phones: list[Adbd] = []

    def start(
        *, name: str = "phone", features: str = "shell_v2,cmd", authorized: bool = True
    ) -> Adbd:
        android = Android(tmp_path / name)
        phone = Adbd(android, features=features, authorized=authorized)
        phones.append(phone)
        said = adb_server("connect", f"127.0.0.1:{phone.port}")
        wanted = "connected to" if authorized else "authenticate"
        assert wanted in said, said
        return phone

    yield start
    for phone in phones:
        phone.close()


@pytest.fixture
def phone(start_phone: StartPhone) -> Adbd:
    """Return one stand-in phone, connected."""
    return start_phone()


def serial_of(phone: Adbd) -> str:
    return f"127.0.0.1:{phone.port}"


def no_adb(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Hide adb from the code under test."""
    monkeypatch.setenv("PATH", str(tmp_path))
    assert shutil.which("adb", path=os.environ["PATH"]) is None

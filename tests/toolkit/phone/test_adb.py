"""The system's adb is driven against a stand-in phone, and every failure is one line."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mejiro.errors import PhoneError
from mejiro.phone.adb import INSTALL_FAILURES, Adb, choose, parse_devices
from tests.phone.adbd import PHONE_ADDRESS, Adbd
from tests.phone.fixtures import (
    StartPhone,
    adb_server,
    no_adb,
    phone,
    serial_of,
    start_phone,
)

__all__ = ["adb_server", "phone", "start_phone"]
needs_adb = pytest.mark.requires_tool("adb")


@needs_adb
def test_a_program_on_the_phone_tells_all(phone: Adbd) -> None:
    adb = Adb.connect()
    assert (adb.serial, adb.model) == (serial_of(phone), "Pixel 8")
    assert adb.present
    assert adb.shell("echo", "a b", "$HOME;'\"") == (0, "a b $HOME;'\"\n", "")
    assert adb.shell("sh", "-c", "echo out; echo err >&2; exit 3") == (3, "out\n", "err\n")
    assert adb.shell("sh", "-c", "echo error: mine >&2; exit 1") == (1, "", "error: mine\n")
    assert adb.properties()["ro.product.model"] == "Pixel 8"


@needs_adb
def test_a_phone_without_exit_codes_is_talked_to_as_well(start_phone: StartPhone) -> None:
    start_phone(features="cmd")
    adb = Adb.connect()
    assert adb.shell("echo", "hello").out == "hello\n"
    assert adb.properties()["ro.build.version.sdk"] == "35"


@needs_adb
@pytest.mark.parametrize("size", [0, 10, 3_000_000])
def test_a_file_is_copied(
    phone: Adbd, adb_server: Callable[..., str], tmp_path: Path, size: int
) -> None:
    local = tmp_path / "file"
    local.write_bytes(bytes(i * 7 % 256 for i in range(1000)) * (size // 1000) or b"x" * size)
    Adb.connect().push(local, "/data/local/tmp/there")
    there = phone.android.place("/data/local/tmp/there")
    assert there.read_bytes() == local.read_bytes()
    adb_server("pull", "/data/local/tmp/there", str(tmp_path / "back"))
    assert (tmp_path / "back").read_bytes() == local.read_bytes()
    with pytest.raises(PhoneError, match="`adb push` failed"):
        Adb.connect().push(local, "/nowhere/else")


@needs_adb
def test_a_reverse_port_leads_back_to_this_machine(
    phone: Adbd, adb_server: Callable[..., str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as plug:
        port = plug.getsockname()[1]

        def answer() -> None:
            near, _ = plug.accept()
            with near:
                near.sendall(near.recv(100).upper() * 50_000)

        threading.Thread(target=answer, daemon=True).start()
        adb = Adb.connect()
        with adb.reverse(port):
            assert f"tcp:{port} tcp:{port}" in adb_server("reverse", "--list")
            with socket.create_connection((PHONE_ADDRESS, port), timeout=10) as far:
                far.sendall(b"hello")
                assert b"".join(iter(lambda: far.recv(65536), b"")) == b"HELLO" * 50_000
        assert phone.reversed == {}


@needs_adb
def test_an_address_or_a_component_is_opened(phone: Adbd) -> None:
    adb = Adb.connect()
    adb.start("http://localhost:8000/?report=auto&frames=5")
    assert phone.android.opened == ["http://localhost:8000/?report=auto&frames=5"]
    adb.start("io.github.mejiro.birds/.MainActivity")
    assert phone.android.started == ["io.github.mejiro.birds/.MainActivity"]
    phone.android.has_browser = False
    with pytest.raises(PhoneError, match="unable to resolve Intent"):
        adb.start("http://localhost:8000/")


@needs_adb
@pytest.mark.parametrize("features", ["shell_v2,cmd", "shell_v2"])
def test_a_package_is_installed(start_phone: StartPhone, tmp_path: Path, features: str) -> None:
    phone = start_phone(features=features)
    apk = tmp_path / "birds.apk"
    apk.write_bytes(b"PK" * 50_000)
    adb = Adb.connect()
    adb.install(apk)
    assert phone.android.installed == [apk.read_bytes()]
    for name, meaning in INSTALL_FAILURES.items():
        phone.android.refusal = f"{name}: Package io.github.birds signatures do not match"
        with pytest.raises(PhoneError) as told:
            adb.install(apk)
        assert str(told.value) == f"birds.apk was not installed: {meaning} ({name})"
    phone.android.refusal = "INSTALL_FAILED_ODD: something"
    with pytest.raises(PhoneError, match=r"not installed: something \(INSTALL_FAILED_ODD\)"):
        adb.install(apk)


@needs_adb
def test_a_phone_that_went_away_is_told(phone: Adbd) -> None:
    adb = Adb.connect()
    phone.close()
    deadline = time.monotonic() + 10
    while adb.present and time.monotonic() < deadline:  # adb's server hears of it in its own time
        time.sleep(0.05)
    assert not adb.present
    with pytest.raises(PhoneError, match="went away"):
        adb.shell("echo")


@needs_adb
def test_no_phone_or_several_are_told(start_phone: StartPhone) -> None:
    with pytest.raises(PhoneError, match="no phone is connected; plug one in"):
        Adb.connect()
    one, other = start_phone(), start_phone(name="other")
    with pytest.raises(PhoneError, match="2 phones are connected; choose with --serial") as told:
        Adb.connect()
    assert serial_of(one) in str(told.value)
    assert Adb.connect(serial_of(other)).serial == serial_of(other)
    with pytest.raises(PhoneError, match="no phone has the serial X"):
        Adb.connect("X")


@needs_adb
def test_a_phone_that_did_not_agree_is_told(start_phone: StartPhone) -> None:
    start_phone(authorized=False)
    with pytest.raises(PhoneError, match="accept the question about USB debugging"):
        Adb.connect()


def test_without_adb_it_is_said_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    no_adb(monkeypatch, tmp_path)
    with pytest.raises(PhoneError, match="sudo apt install adb"):
        Adb.connect()


def test_an_adb_that_hangs_is_ended(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    hanging = tmp_path / "adb"
    hanging.write_text("#!/bin/sh\nexec /bin/sleep 60\n")
    hanging.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(PhoneError, match="no answer within"):
        Adb("X").shell("echo", timeout_s=0.2)


LISTED = """adb server version (41) doesn't match this client (39); killing...
* daemon started successfully
List of devices attached
0A1B2C3D               device usb:1-2 product:shiba model:Pixel_8 device:shiba transport_id:1
127.0.0.1:5555         offline transport_id:2
XYZ                    unauthorized usb:1-3
ABC                    no permissions (user in plugdev group); see [http://developer.android.com]

"""


def test_what_adb_lists_is_read() -> None:
    assert parse_devices(LISTED) == [
        ("0A1B2C3D", "device", "Pixel 8"),
        ("127.0.0.1:5555", "offline", ""),
        ("XYZ", "unauthorized", ""),
        ("ABC", "no permissions", ""),
    ]
    assert parse_devices("List of devices attached\nemulator-5554\tdevice\n")[0].state == "device"


def test_the_only_phone_that_can_be_used_is_used() -> None:
    assert choose(parse_devices(LISTED), None).serial == "0A1B2C3D"


@pytest.mark.parametrize(
    ("serial", "said"),
    [
        ("127.0.0.1:5555", "offline: plug the phone in again"),
        ("XYZ", "unauthorized: unlock the phone and accept"),
        ("ABC", "not to be opened: this user may not"),
    ],
)
def test_a_phone_that_cannot_be_used_is_told_with_advice(serial: str, said: str) -> None:
    with pytest.raises(PhoneError, match=said):
        choose(parse_devices(LISTED), serial)


@given(st.text())
def test_whatever_adb_prints_is_read(text: str) -> None:
    for one in parse_devices(f"List of devices attached\n{text}"):
        assert one.serial
        assert one.state

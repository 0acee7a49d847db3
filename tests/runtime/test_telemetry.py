"""What the system tells is told, and what it does not tell is None."""

from __future__ import annotations

import json
import platform

import pytest

from mejiro_runtime import telemetry

PI = "Raspberry Pi 5 Model B Rev 1.0"


@pytest.fixture
def system(monkeypatch, tmp_path):
    """Return a function that puts text where the system keeps it; everything else is absent."""
    texts: dict[str, bytes] = {}

    class FakePath(type(tmp_path)):  # type: ignore[misc]
        def read_text(self, encoding: str = "utf-8", errors: str = "strict") -> str:
            if str(self) not in texts:
                raise FileNotFoundError(str(self))
            return texts[str(self)].decode(encoding, errors)

    monkeypatch.setattr(telemetry, "Path", FakePath)

    def put(path: str, content: bytes) -> None:
        texts[path] = content

    return put


def test_a_board_names_itself_without_the_nul_that_ends_it(system) -> None:
    system("/proc/device-tree/model", PI.encode() + b"\0")
    assert telemetry.board() == PI


def test_an_empty_answer_is_none(system) -> None:
    system("/proc/device-tree/model", b"\0\n")
    system("/sys/firmware/devicetree/base/model", b"Jetson\nsecond line\0")
    assert telemetry.board() == "Jetson"


def test_what_is_absent_is_none(system, monkeypatch) -> None:
    monkeypatch.setattr(platform, "processor", lambda: "")
    assert telemetry.board() is None
    assert telemetry.cpu_model() is None
    assert telemetry.temperature_celsius() is None


@pytest.mark.parametrize(
    ("cpuinfo", "name"),
    [
        (b"processor\t: 0\nmodel\t\t: 85\nmodel name\t: Some CPU @ 2GHz\n", "Some CPU @ 2GHz"),
        (b"processor\t: 0\nCPU part\t: 0xd0b\n\nModel\t\t: Raspberry Pi 5\n", "Raspberry Pi 5"),
        (b"Hardware\t: BCM2835\nprocessor: 0\n", "BCM2835"),
        (b"model name\t: odd: with \xff colon\n", "odd: with \N{REPLACEMENT CHARACTER} colon"),
        (b"nothing of use\n", None),
    ],
)
def test_a_cpu_is_named_as_the_kernel_does(system, cpuinfo: bytes, name: str | None) -> None:
    system("/proc/cpuinfo", cpuinfo)
    assert telemetry.cpu_model() == name


@pytest.mark.parametrize(
    ("text", "celsius"), [(b"48312\n", 48.312), (b"-5000", -5.0), (b"broken", None), (b"", None)]
)
def test_a_temperature_is_in_degrees(system, text: bytes, celsius: float | None) -> None:
    system("/sys/class/thermal/thermal_zone0/temp", text)
    assert telemetry.temperature_celsius() == celsius


def test_this_machine_is_described_in_plain_json() -> None:
    described = telemetry.describe_machine()
    assert json.loads(json.dumps(described)) == described
    assert described["machine"] == platform.machine()
    assert described["cpus"] >= 1
    assert platform.node() not in json.dumps(described) or len(platform.node()) < 3


def test_peak_memory_is_plausible() -> None:
    peak = telemetry.peak_memory_bytes()
    assert peak is None or 1 << 20 < peak < 1 << 40


def test_a_jetson_names_its_release(monkeypatch) -> None:
    assert "jetson_linux" not in telemetry.describe_machine()
    monkeypatch.setattr("mejiro_runtime.jetson.jetson_linux", lambda: "36.4.3")
    assert telemetry.describe_machine()["jetson_linux"] == "36.4.3"

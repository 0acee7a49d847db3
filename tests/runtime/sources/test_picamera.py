"""A Pi's camera gives its colours in the right order; picamera2 and camera are simulated here."""

from __future__ import annotations

import sys
from time import perf_counter_ns
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from mejiro_runtime.errors import MissingPackage, SourceError, UsageError
from mejiro_runtime.sources import open_source, picamera
from mejiro_runtime.sources.picamera import PiCameraSource
from mejiro_runtime.types import PixelOrder

RED, BLUE = (250, 20, 10), (10, 30, 240)  # left and right half of the test pattern, as RGB


class Request:
    def __init__(self, camera: Any) -> None:
        self.camera, self.released = camera, 0

    def make_array(self, name: str) -> Any:
        assert name == "main"
        width, height = self.camera.given["size"]
        pixels = np.zeros((height, width, 3), np.uint8)
        pixels[:, : width // 2], pixels[:, width // 2 :] = RED, BLUE
        # As the Picamera2 Manual has it: RGB888 lies in memory as B, G, R, and BGR888 as R, G, B.
        return pixels[..., ::-1].copy() if self.camera.given["format"] == "RGB888" else pixels

    def get_metadata(self) -> dict[str, Any]:
        return {"SensorTimestamp": self.camera.stamp} if self.camera.stamp else {}

    def release(self) -> None:
        self.released += 1


class Picamera2:
    """Stand in for picamera2.Picamera2, with `frames` to give."""

    frames = 3
    stamp = 0
    format: str | None = None
    size: tuple[int, int] | None = None
    broken: Exception | None = None
    made: list[Any] = []  # noqa: RUF012 - cleared by the fixture

    def __init__(self, number: int) -> None:
        if number > 0:
            raise IndexError("list index out of range")
        self.number, self.closed, self.started = number, 0, 0
        self.requests: list[Request] = []
        self.made.append(self)

    def create_video_configuration(self, main: Any, controls: Any) -> Any:
        return {"main": main, "controls": controls}

    def configure(self, wanted: Any) -> None:
        self.wanted = wanted
        self.given = {
            "size": self.size or wanted["main"]["size"],
            "format": self.format or wanted["main"]["format"],
        }

    def camera_configuration(self) -> Any:
        return {"main": self.given}

    def start(self) -> None:
        self.started += 1
        if self.broken:
            raise self.broken

    def capture_request(self, wait: float) -> Request:
        assert 0 < wait < 5
        if len(self.requests) == self.frames:
            raise TimeoutError
        self.requests.append(Request(self))
        return self.requests[-1]

    def close(self) -> None:
        self.closed += 1


@pytest.fixture
def camera(monkeypatch) -> type[Picamera2]:
    kind = type("Picamera2", (Picamera2,), {"made": []})
    module = ModuleType("picamera2")
    module.Picamera2 = kind  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "picamera2", module)
    return kind


@pytest.mark.parametrize("format", ["RGB888", "BGR888"])
def test_colours_are_told_apart_by_a_test_pattern(camera, format: str) -> None:
    camera.format = format
    with PiCameraSource.parse("0?size=16x8") as source:
        frame = next(source.frames())
    assert frame.order is (PixelOrder.BGR if format == "RGB888" else PixelOrder.RGB)
    rgb = frame.pixels[..., ::-1] if frame.order is PixelOrder.BGR else frame.pixels
    np.testing.assert_array_equal(rgb[0, 0], RED)
    np.testing.assert_array_equal(rgb[-1, -1], BLUE)


def test_frames_come_until_the_camera_is_lost(camera) -> None:
    with PiCameraSource.parse("?size=16x8&fps=20") as source:
        frames = source.frames()
        assert [next(frames).index for _ in range(3)] == [0, 1, 2]
        with pytest.raises(SourceError, match="picamera0 gave 3 frames, then no more; check its"):
            next(frames)
        assert source.description == "picamera 0 16x8 at 20 frames a second"
    (made,) = camera.made
    assert made.wanted["controls"] == {"FrameRate": 20}
    assert made.wanted["main"] == {"size": (16, 8), "format": "RGB888"}
    assert made.closed == made.started == 1
    assert all(request.released == 1 for request in made.requests)


def test_a_frame_is_as_old_as_its_sensor_says(camera, monkeypatch) -> None:
    monkeypatch.setattr(picamera, "asleep_ns", lambda: 7_000_000_000)
    now = perf_counter_ns() - 30_000_000
    camera.stamp = now + picamera.asleep_ns()  # on a clock that went on in its sleep
    with PiCameraSource(0) as source:
        assert next(source.frames()).captured_ns == now
    camera.stamp = 0
    with PiCameraSource(0) as source:
        assert next(source.frames()).captured_ns > now + 30_000_000


def test_what_was_given_instead_is_told(camera) -> None:
    camera.size = (32, 16)
    with PiCameraSource.parse("0?size=30x16") as source:
        assert source.description == "picamera 0 32x16, though 30x16 was asked for"


def test_a_camera_that_is_not_there_or_busy_says_so(camera) -> None:
    with pytest.raises(SourceError, match="picamera 1 cannot be opened: list index"):
        open_source("picamera:1").__enter__()
    camera.broken = RuntimeError("Device or resource busy")
    with pytest.raises(SourceError, match=r"cannot be opened: Device or resource busy; see"):
        open_source("picamera").__enter__()
    assert camera.made[-1].closed == 1


def test_without_picamera2_the_package_is_named(monkeypatch) -> None:
    monkeypatch.delitem(sys.modules, "picamera2", raising=False)
    monkeypatch.setattr(sys, "path", [])
    with pytest.raises(MissingPackage, match="needs picamera2.*sudo apt install python3-picamera2"):
        open_source("picamera").__enter__()


def test_a_broken_picamera2_says_why(monkeypatch, tmp_path) -> None:
    (tmp_path / "picamera2.py").write_text("import libcamera_is_not_here", encoding="ascii")
    monkeypatch.delitem(sys.modules, "picamera2", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(SourceError, match="No module named 'libcamera_is_not_here'.*system-site"):
        open_source("picamera").__enter__()


@pytest.mark.parametrize("text", ["x", "-1", "100", "٣", "0 "])
def test_no_number(text: str) -> None:
    with pytest.raises(UsageError, match="picamera or picamera:N"):
        open_source(f"picamera:{text}")

"""A camera gives its newest frame, and an absent, busy or lost one says what to do."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from mejiro_runtime.errors import SourceError, UsageError
from mejiro_runtime.sources import camera
from mejiro_runtime.sources.camera import CameraSource


@pytest.mark.parametrize("text", ["", "x", "-1", "1.5", "0 ", "9999", "/dev/video0"])
def test_a_camera_has_a_number(text: str) -> None:
    with pytest.raises(UsageError, match="named camera:N.*try camera:0"):
        CameraSource.parse(text)


def test_an_absent_camera_lists_those_there_are(monkeypatch) -> None:
    monkeypatch.setattr("mejiro_runtime.opencv.load", lambda purpose: SimpleNamespace())
    with pytest.raises(SourceError, match="there is no /dev/video987, found .*connect one"):
        CameraSource.parse("987").__enter__()


class FakeCapture:
    """Stand in for cv2.VideoCapture."""

    def __init__(self, frames: int, *, opened: bool = True) -> None:
        self.left, self.opened, self.released = frames, opened, 0
        self.settings: dict[str, Any] = {}

    def isOpened(self) -> bool:  # noqa: N802 - OpenCV's name
        return self.opened

    def set(self, key: str, value: Any) -> None:
        self.settings[key] = value

    def read(self) -> tuple[bool, Any]:
        self.left -= 1
        return (True, np.zeros((4, 6, 3), np.uint8)) if self.left >= 0 else (False, None)

    def release(self) -> None:
        self.released += 1


@pytest.fixture
def plug_in(monkeypatch) -> Iterator[Any]:
    """Return a function that makes camera 0 a simulated one."""

    class Device(type(Path())):  # type: ignore[misc]
        def exists(self) -> bool:
            return True

    def plug(capture: FakeCapture) -> CameraSource:
        fake = SimpleNamespace(
            VideoCapture=lambda number, api: capture,
            CAP_V4L2="v4l2",
            CAP_PROP_BUFFERSIZE="buffer",
        )
        monkeypatch.setattr(camera.opencv, "load", lambda purpose: fake)
        monkeypatch.setattr(camera, "Path", Device)
        return CameraSource(0)

    return plug


def test_frames_come_until_the_camera_is_lost(plug_in) -> None:
    capture = FakeCapture(2)
    with plug_in(capture) as source:
        frames = source.frames()
        assert [next(frames).index, next(frames).index] == [0, 1]
        with pytest.raises(SourceError, match="camera 0 stopped after 2 frames; check its cable"):
            next(frames)
    assert capture.settings == {"buffer": 1}
    assert capture.released == 1
    assert source.live


def test_a_busy_camera_says_so(plug_in) -> None:
    capture = FakeCapture(0, opened=False)
    with pytest.raises(SourceError, match=r"cannot be opened; .*another program.*group 'video'"):
        plug_in(capture).__enter__()
    assert capture.released == 1

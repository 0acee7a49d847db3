"""A camera gives its newest frame, and an absent, busy or lost one says what to do.

Camera and driver are simulated: no camera is needed here, and none was.
"""

from __future__ import annotations

from pathlib import Path
from time import perf_counter_ns
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from mejiro_runtime.errors import SourceError, UsageError
from mejiro_runtime.sources import camera, open_source
from mejiro_runtime.sources.camera import CameraSource
from mejiro_runtime.sources.jpeg import UNREADABLE
from mejiro_runtime.sources.v4l2 import Mode, Offer

OFFER = Offer(
    "HD Webcam",
    (
        Mode("YUYV", (640, 480), (30.0,)),
        Mode("YUYV", (1280, 720), (10.0,)),
        Mode("MJPG", (1280, 720), (30.0,)),
    ),
)


@pytest.mark.parametrize("text", ["", "x", "-1", "1.5", "0 ", "9999", "/tmp/video0", "/dev/a\0b"])
def test_a_camera_has_a_number_or_a_path(text: str) -> None:
    with pytest.raises(UsageError, match="named camera:N.*try camera:0"):
        CameraSource.parse(text)


def test_number_and_path_name_the_same() -> None:
    for word in ("camera:2", "camera:/dev/video2", "/dev/video2"):
        source = open_source(f"{word}?size=1280x720&fps=15&format=mjpg")
        assert source.description == "camera 2"
        inner: CameraSource = source.source  # type: ignore[attr-defined]
        assert (inner.device, inner.size) == (Path("/dev/video2"), (1280, 720))
        assert (inner.fps, inner.format) == (15, "MJPG")
    by_id = open_source("/dev/v4l/by-id/usb-Cam-video-index0")
    assert by_id.description == "camera usb-Cam-video-index0"
    with pytest.raises(UsageError, match="format= of camera takes one of yuyv, .*found 'h264'"):
        open_source("camera:0?format=h264")


def test_an_absent_camera_lists_those_there_are(monkeypatch) -> None:
    monkeypatch.setattr("mejiro_runtime.opencv.load", lambda purpose: SimpleNamespace())
    with pytest.raises(SourceError, match="there is no /dev/video987, found .*connect one"):
        CameraSource.parse("987").__enter__()


class FakeCapture:
    """Stand in for cv2.VideoCapture: a camera that takes what is set, at `most` frames a second."""

    def __init__(self, frames: int = 0, *, opened: bool = True, most: float = 30) -> None:
        self.left, self.opened, self.most = frames, opened, most
        self.released = 0
        self.settings: dict[str, Any] = {"format": int.from_bytes(b"YUYV", "little")}
        self.stamp_ms = 0.0
        self.damaged: set[int] = set()
        self.jpeg: Any = None

    def isOpened(self) -> bool:  # noqa: N802 - OpenCV's name
        return self.opened

    def set(self, key: str, value: Any) -> bool:
        self.settings[key] = min(value, self.most) if key == "fps" else value
        return True

    def get(self, key: str) -> float:
        return self.stamp_ms if key == "stamp" else float(self.settings.get(key, 0))

    def grab(self) -> bool:
        self.left -= 1
        return self.left >= 0

    def retrieve(self) -> tuple[bool, Any]:
        if self.left in self.damaged:
            return False, None
        if self.settings.get("convert") == 0:
            return True, self.jpeg
        return True, np.zeros((4, 6, 3), np.uint8)

    def release(self) -> None:
        self.released += 1


@pytest.fixture
def plug_in(monkeypatch) -> Any:
    """Return a function that makes camera 0 a simulated one."""

    class Device(type(Path())):  # type: ignore[misc]
        def exists(self) -> bool:
            return True

    def plug(capture: FakeCapture, options: str = "", offer: Offer | None = OFFER) -> CameraSource:
        def ask(path: Path, size: Any) -> Offer:
            if offer is None:
                raise OSError("not a typewriter")
            return offer

        fake = SimpleNamespace(
            VideoCapture=lambda number, api: capture,
            VideoWriter_fourcc=lambda *letters: int.from_bytes("".join(letters).encode(), "little"),
            CAP_V4L2="v4l2",
            CAP_PROP_BUFFERSIZE="buffer",
            CAP_PROP_FOURCC="format",
            CAP_PROP_FRAME_WIDTH="width",
            CAP_PROP_FRAME_HEIGHT="height",
            CAP_PROP_FPS="fps",
            CAP_PROP_POS_MSEC="stamp",
            CAP_PROP_CONVERT_RGB="convert",
        )
        monkeypatch.setattr(camera.opencv, "load", lambda purpose: fake)
        monkeypatch.setattr(camera.v4l2, "ask", ask)
        monkeypatch.setattr(camera, "Path", Device)
        return CameraSource.parse(f"0{options}")

    return plug


def test_frames_come_until_the_camera_is_lost(plug_in) -> None:
    capture = FakeCapture(2)
    with plug_in(capture) as source:
        frames = source.frames()
        assert [next(frames).index, next(frames).index] == [0, 1]
        with pytest.raises(SourceError, match="camera 0 stopped after 2 frames; check its cable"):
            next(frames)
    assert capture.settings["buffer"] == 2
    assert capture.released == 1
    assert source.live


SETTINGS = [
    ("", "640x480 YUYV at 30 frames a second"),
    ("?size=1280x720", "1280x720 MJPG at 30 frames a second"),
    ("?size=1280x720&fps=10", "1280x720 YUYV at 10 frames a second"),
    ("?size=1280x720&format=yuyv", "1280x720 YUYV at 10 frames a second"),
    ("?size=1920x1080", "1280x720 MJPG at 30 frames a second, though 1920x1080 was asked for"),
    ("?fps=60", "640x480 YUYV at 30 frames a second, though 60 frames a second was asked for"),
    (
        "?size=641x480&format=nv12",
        "640x480 YUYV at 30 frames a second, though 641x480, NV12 was asked for",
    ),
]


@pytest.mark.parametrize(("options", "told"), SETTINGS)
def test_what_was_really_set_is_told(plug_in, options: str, told: str) -> None:
    with plug_in(FakeCapture(), options) as source:
        assert source.description == f"camera 0 (HD Webcam) {told}"
        assert source.fps in (30, 10)


def test_a_driver_that_does_not_keep_its_word_is_told(plug_in) -> None:
    with plug_in(FakeCapture(most=5), "?fps=30") as source:
        assert source.description.endswith(
            "5 frames a second, though 30 frames a second was asked for"
        )


def test_a_driver_that_tells_nothing_is_asked_for_what_is_wanted(plug_in) -> None:
    capture = FakeCapture()
    with plug_in(capture, "?size=800x600&format=mjpg", offer=None) as source:
        assert source.description == "camera 0 800x600 MJPG"
    assert (capture.settings["width"], capture.settings["height"]) == (800, 600)
    with plug_in(FakeCapture(), offer=None) as source:
        assert source.description.startswith("camera 0 0x0 YUYV")


def test_other_parts_of_a_camera_are_refused(plug_in) -> None:
    with pytest.raises(SourceError, match=r"video0 \(HD Webcam\) gives no pictures.*doctor"):
        plug_in(FakeCapture(), offer=Offer("HD Webcam", ())).__enter__()
    capture = FakeCapture()
    only = Offer("Encoder", (Mode("H264", (640, 480), (30.0,)),))
    with pytest.raises(SourceError, match="gives only H264, which OpenCV cannot read"):
        plug_in(capture, offer=only).__enter__()
    assert capture.released == 1


def test_a_frame_is_as_old_as_its_stamp_says(plug_in) -> None:
    capture = FakeCapture(3)
    with plug_in(capture) as source:
        frames = source.frames()
        now = perf_counter_ns()
        capture.stamp_ms = (now - 40_000_000) / 1e6
        assert next(frames).captured_ns == pytest.approx(now - 40_000_000, abs=1000)
        for unlikely in (0.0, (now + 10**12) / 1e6):
            capture.stamp_ms = unlikely
            assert next(frames).captured_ns >= now


def test_a_busy_camera_says_so(plug_in) -> None:
    capture = FakeCapture(0, opened=False)
    with pytest.raises(SourceError, match=r"cannot be opened; .*another program.*group 'video'"):
        plug_in(capture).__enter__()
    assert capture.released == 1


def test_a_damaged_picture_is_no_lost_camera(plug_in) -> None:
    capture = FakeCapture(6)
    capture.damaged = {4, 3}
    with plug_in(capture) as source:
        frames = source.frames()
        assert [next(frames).index for _ in range(4)] == [0, 1, 2, 3]
    capture = FakeCapture(1000)
    capture.damaged = set(range(999))
    with plug_in(capture) as source:
        frames = source.frames()
        next(frames)
        with pytest.raises(SourceError, match="stopped after 1 frames"):
            next(frames)
    assert capture.left == 1000 - 1 - UNREADABLE - 1


def test_mjpg_may_be_decoded_at_a_fraction_of_its_size(plug_in, cv2, monkeypatch) -> None:
    capture = FakeCapture(2)
    picture = np.full((720, 1280, 3), (200, 40, 10), np.uint8)
    capture.jpeg = cv2.imencode(".jpg", picture)[1].reshape(1, -1)
    with plug_in(capture, "?size=1280x720&reduce=2") as source:
        told = "camera 0 (HD Webcam) 1280x720 MJPG at 30 frames a second, decoded at 1/2"
        assert source.description == told
        monkeypatch.setattr(camera.opencv, "load", lambda purpose: cv2)
        pixels = next(source.frames()).pixels
    assert pixels.shape == (360, 640, 3)
    assert np.abs(pixels.astype(int) - (200, 40, 10)).max() < 5
    with pytest.raises(UsageError, match="reduce= is for MJPG, found format=yuyv"):
        CameraSource.parse("0?format=yuyv&reduce=2")
    with pytest.raises(UsageError, match="reduce= of camera takes 1, 2, 4 or 8, found '3'"):
        CameraSource.parse("0?reduce=3")


def test_a_camera_without_mjpg_says_that_it_is_decoded_whole(plug_in) -> None:
    raw = Offer("", (Mode("YUYV", (640, 480), (30.0,)),))
    with plug_in(FakeCapture(1), "?reduce=4", offer=raw) as source:
        assert source.description.endswith("though MJPG, reduce=4 was asked for")
        assert next(source.frames()).pixels.shape == (4, 6, 3)

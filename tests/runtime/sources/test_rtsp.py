"""An RTSP camera is read through OpenCV with limits of time; the camera here is simulated."""

from __future__ import annotations

import os
import socket
from types import SimpleNamespace
from typing import Any

import pytest

from mejiro_runtime.errors import SourceError, UsageError
from mejiro_runtime.sources import capture, open_source
from mejiro_runtime.sources.jpeg import UNREADABLE
from mejiro_runtime.sources.rtsp import open_rtsp


@pytest.fixture
def asked(monkeypatch, fake_capture) -> dict[str, Any]:
    """Put a simulated OpenCV in place; what it is asked for is kept here, `capture` is given."""
    kept: dict[str, Any] = {"capture": fake_capture(2)}

    def video_capture(*arguments: Any) -> Any:
        kept["arguments"] = arguments
        return kept["capture"]

    fake = SimpleNamespace(
        VideoCapture=video_capture,
        CAP_FFMPEG="ffmpeg",
    )
    monkeypatch.setattr(capture.opencv, "load", lambda purpose: fake)
    monkeypatch.setenv("OPENCV_FFMPEG_CAPTURE_OPTIONS", "")
    return kept


def test_frames_come_until_the_stream_is_lost(asked: dict[str, Any]) -> None:
    source = open_rtsp("rtsp://mia:secret@cam:8554/a?b=c#timeout=1.5&transport=udp")
    assert source.description == "rtsp://cam:8554/a"
    with source:
        frames = source.frames()
        assert next(frames).name == "cam#0"
        assert next(frames).index == 1
        with pytest.raises(SourceError, match="rtsp://cam:8554/a gave 2 frames, then no more"):
            next(frames)
    url = "rtsp://mia:secret@cam:8554/a?b=c"
    assert asked["arguments"] == (url, "ffmpeg", [53, 1500, 54, 1500])
    assert os.environ["OPENCV_FFMPEG_CAPTURE_OPTIONS"] == "rtsp_transport;udp"
    assert asked["capture"].released == 1


def test_a_damaged_frame_is_no_lost_camera(asked: dict[str, Any], fake_capture) -> None:
    asked["capture"] = fake_capture(100, damaged=range(1, UNREADABLE))
    with open_rtsp("rtsp://cam/a") as source:
        frames = source.frames()
        assert [next(frames).index for _ in range(3)] == [0, 1, 2]
    asked["capture"] = fake_capture(100, damaged=range(1, UNREADABLE + 1))
    with open_rtsp("rtsp://cam/a") as source:
        frames = source.frames()
        next(frames)
        with pytest.raises(SourceError, match="gave 1 frames, then 30 damaged ones"):
            next(frames)


def test_what_cannot_be_opened_says_what_to_check(asked: dict[str, Any], fake_capture) -> None:
    asked["capture"] = fake_capture(0)
    with pytest.raises(SourceError, match="cam/a cannot be opened; check address") as caught:
        open_source("rtsp://mia:secret@cam/a").__enter__()
    assert "secret" not in str(caught.value)
    assert asked["capture"].released == 1
    assert asked["arguments"][2] == [53, 3000, 54, 3000]


def test_no_rtsp() -> None:
    with pytest.raises(UsageError, match="rtsp source is a URL with a host"):
        open_source("rtsp:/x")
    with pytest.raises(UsageError, match="its options: timeout=, transport="):
        open_source("rtsp://cam/#x=1")


def test_the_real_opencv_says_that_nobody_is_there(cv2, capfd) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(SourceError, match="cannot be opened"):
        open_source(f"rtsp://127.0.0.1:{port}/x#timeout=1").__enter__()
    assert capfd.readouterr() == ("", "")


def test_the_limits_of_time_are_those_that_opencv_has(cv2) -> None:
    for name, number in (("OPEN", 53), ("READ", 54)):
        found = getattr(cv2, f"CAP_PROP_{name}_TIMEOUT_MSEC", number)
        assert found == number


@pytest.mark.parametrize("tail", ["se#cret@cam/a", "a@cam/a#timeout=cret@h"])
def test_no_error_quotes_what_may_be_a_password(tail: str) -> None:
    with pytest.raises(UsageError) as caught:
        open_rtsp(f"rtsp://user:{tail}")
    assert "cret" not in str(caught.value)

"""Pipelines are handed to an OpenCV that has GStreamer; none has here, so OpenCV is simulated."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from mejiro_runtime.errors import MissingPackage, SourceError, UsageError
from mejiro_runtime.sources import capture, gstreamer, open_source
from mejiro_runtime.sources.gstreamer import SINK, csi_pipeline, open_csi, open_gstreamer

PI = "Raspberry Pi 5 Model B Rev 1.0"
JETSON = "NVIDIA Jetson Orin Nano Developer Kit"


@pytest.fixture
def asked(monkeypatch, fake_capture) -> dict[str, Any]:
    """Simulate an OpenCV with GStreamer; the pipeline that it gets is kept."""
    kept: dict[str, Any] = {"opened": True, "built": "YES (1.20.3)"}

    def video_capture(pipeline: str, api: str, limits: list[int]) -> Any:
        assert api == "gst"
        kept["pipeline"], kept["limits"] = pipeline, limits
        return fake_capture(kept["opened"])

    fake = SimpleNamespace(
        VideoCapture=video_capture,
        CAP_GSTREAMER="gst",
        __version__="4.10.0-dev",
        getBuildInformation=lambda: f"  Video I/O:\n    GStreamer:      {kept['built']}\n",
    )
    monkeypatch.setattr(capture.opencv, "load", lambda purpose: fake)
    return kept


def test_a_pipeline_gets_a_sink_for_the_newest_frame(asked: dict[str, Any]) -> None:
    with open_gstreamer("videotestsrc is-live=true ! video/x-raw,width=320") as source:
        frames = source.frames()
        assert next(frames).name == "gstreamer#0"
        with pytest.raises(SourceError, match="gstreamer videotestsrc gave 1 frames"):
            next(frames)
    assert asked["pipeline"] == f"videotestsrc is-live=true ! video/x-raw,width=320 ! {SINK}"
    assert asked["limits"] == [53, 10_000, 54, 3_000]
    assert "drop=true max-buffers=1" in SINK


def test_a_pipeline_with_a_sink_is_left_as_it_is(asked: dict[str, Any]) -> None:
    with open_gstreamer("a ! appsink name=x"):
        assert asked["pipeline"] == "a ! appsink name=x"


def test_an_old_opencv_gets_no_limits_that_it_would_refuse(asked: dict[str, Any]) -> None:
    capture.opencv.load("").__version__ = "4.6.0"
    with open_gstreamer("videotestsrc"):
        assert asked["limits"] == []


def test_an_opencv_without_gstreamer_says_what_to_install(asked: dict[str, Any]) -> None:
    asked["built"] = "NO"
    with pytest.raises(
        MissingPackage, match="built with GStreamer.*apt install python3-opencv.*system-site"
    ):
        open_source("gstreamer:videotestsrc").__enter__()


def test_on_a_jetson_the_opencv_of_jetpack_is_named(asked: dict[str, Any], monkeypatch) -> None:
    asked["built"] = "NO"
    monkeypatch.setattr(gstreamer.jetson, "is_jetson", lambda: True)
    with pytest.raises(MissingPackage, match="apt install libopencv-python; pip install 'numpy<2'"):
        open_source("gstreamer:nvarguscamerasrc").__enter__()


def test_the_installed_opencv_is_told_apart(cv2) -> None:
    lines = [line for line in cv2.getBuildInformation().splitlines() if "GStreamer:" in line]
    if lines and "YES" in lines[0]:
        gstreamer.require_gstreamer(cv2)
    else:
        with pytest.raises(MissingPackage):
            gstreamer.require_gstreamer(cv2)


def test_a_pipeline_that_does_not_open_says_how_to_try_it(asked: dict[str, Any]) -> None:
    asked["opened"] = False
    with pytest.raises(SourceError, match="gstreamer nosuchsrc cannot be opened; try .*gst-launch"):
        open_source("gstreamer:nosuchsrc").__enter__()
    for empty in ("", " ", "a\0b"):
        with pytest.raises(UsageError, match="needs a pipeline"):
            open_source(f"gstreamer:{empty}")


def test_each_board_has_its_preset(asked: dict[str, Any], monkeypatch) -> None:
    monkeypatch.setattr(gstreamer.telemetry, "board", lambda: JETSON)
    with open_csi("1?size=1920x1080&fps=60") as source:
        assert source.description == "csi 1 1920x1080 at 60 frames a second"
    assert asked["pipeline"].startswith("nvarguscamerasrc sensor-id=1 ! video/x-raw(memory:NVMM),")
    assert "width=1920,height=1080,framerate=60/1" in asked["pipeline"]
    monkeypatch.setattr(gstreamer.telemetry, "board", lambda: PI)
    with open_source("csi:0") as source:
        assert source.description == "csi 0 1280x720 at 30 frames a second"
    assert asked["pipeline"].startswith("libcamerasrc ! video/x-raw,width=1280,height=720,")
    assert asked["pipeline"].endswith(SINK)


def test_a_board_without_one_is_told_what_else_there_is() -> None:
    for board in (None, "Some Board"):
        with pytest.raises(UsageError, match="found (an unknown board|Some Board); use camera:N"):
            csi_pipeline(board, 0, (640, 480), 30)
    with pytest.raises(UsageError, match="use picamera:1"):
        csi_pipeline(PI, 1, (640, 480), 30)
    assert "framerate=7500/1000" in csi_pipeline(PI, 0, (640, 480), 7.5)
    for text in ("", "x", "10", "٣"):
        with pytest.raises(UsageError, match="is csi:N"):
            open_csi(text)

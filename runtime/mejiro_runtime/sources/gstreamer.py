"""Read a GStreamer pipeline through an OpenCV that was built with it."""

from __future__ import annotations

import re
from typing import Any

from mejiro_runtime import jetson, telemetry
from mejiro_runtime.errors import MissingPackage, UsageError
from mejiro_runtime.sources.capture import CaptureSource, time_limits
from mejiro_runtime.sources.options import positive, size, split

# Only the newest frame is kept, and none waits for its time of display.
SINK = "videoconvert ! video/x-raw,format=BGR ! appsink drop=true max-buffers=1 sync=false"
DEFAULT_SIZE = (1280, 720)
DEFAULT_FPS = 30.0
OPEN_MS, READ_MS = 10_000, 3_000


def open_gstreamer(pipeline: str) -> CaptureSource:
    """Return the source of a pipeline as `gst-launch-1.0` takes it, to which a sink is added."""
    if not pipeline.strip() or "\0" in pipeline:
        raise UsageError(
            "gstreamer: needs a pipeline, such as 'gstreamer:videotestsrc is-live=true'"
        )
    if not re.search(r"\bappsink\b", pipeline):
        pipeline = f"{pipeline.strip()} ! {SINK}"

    def opening(cv2: Any) -> Any:
        require_gstreamer(cv2)
        # OpenCV has these limits for GStreamer from 4.7 on, and refuses them before.
        version = tuple(int(part) for part in re.findall(r"[0-9]+", cv2.__version__)[:2])
        limits = time_limits(open_ms=OPEN_MS, read_ms=READ_MS) if version >= (4, 7) else []
        return cv2.VideoCapture(pipeline, cv2.CAP_GSTREAMER, limits)

    return CaptureSource(
        opening,
        # Its properties may hold an address with a password.
        description=f"gstreamer {pipeline.split()[0]}",
        name="gstreamer",
        advice="try the part before appsink with `gst-launch-1.0 … ! fakesink`",
    )


def require_gstreamer(cv2: Any) -> None:
    """Raise MissingPackage for an OpenCV without GStreamer, as those from PyPI are."""
    if not re.search(r"GStreamer:\s+YES", cv2.getBuildInformation()):
        # Ubuntu's own python3-opencv of JetPack 6 is 4.5, older than what is needed here.
        packages = "python3-opencv gstreamer1.0-plugins-good"
        if jetson.is_jetson():
            packages = "libopencv-python; pip install 'numpy<2'"
        raise MissingPackage(
            "an OpenCV built with GStreamer",
            purpose="a GStreamer pipeline",
            install=f"pip uninstall opencv-python-headless; sudo apt install {packages}; "
            "the environment needs `python3 -m venv --system-site-packages`",
        )


def csi_pipeline(board: str | None, number: int, side: tuple[int, int], fps: float) -> str:
    """Return the pipeline for a board's ribbon-cable camera; UsageError for an unknown board."""
    width, height = side
    rate = f"{round(fps * 1000)}/1000" if fps % 1 else f"{fps:.0f}/1"
    shape = f"width={width},height={height},framerate={rate}"
    if board and re.search("jetson|nvidia", board, re.IGNORECASE):
        return (
            f"nvarguscamerasrc sensor-id={number} ! video/x-raw(memory:NVMM),{shape},format=NV12 "
            f"! nvvidconv ! video/x-raw,format=BGRx ! {SINK}"
        )
    if board and "raspberry pi" in board.lower():
        if number:
            raise UsageError(f"libcamerasrc reads the first camera of a Pi, found csi:{number}; "
                             f"use picamera:{number}")  # fmt: skip
        return f"libcamerasrc ! video/x-raw,{shape},format=NV12 ! {SINK}"
    raise UsageError(
        f"csi: knows the cameras of Jetson and Raspberry Pi, found {board or 'an unknown board'}; "
        "use camera:N, or gstreamer: with a pipeline of your own"
    )


def open_csi(text: str) -> CaptureSource:
    """Return the source of the N of ``csi:N``, with ``?size=&fps=`` after it, for this board."""
    number, options = split(text, "csi", {"size": size, "fps": positive})
    if re.fullmatch(r"[0-9]", number) is None:
        raise UsageError(f"a ribbon-cable camera is csi:N, found 'csi:{number}'; try csi:0")
    side, fps = options.get("size", DEFAULT_SIZE), options.get("fps", DEFAULT_FPS)
    source = open_gstreamer(csi_pipeline(telemetry.board(), int(number), side, fps))
    source.description = f"csi {number} {side[0]}x{side[1]} at {fps:g} frames a second"
    source.name = f"csi{number}"
    return source

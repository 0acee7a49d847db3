"""Read a network camera over RTSP, through the FFmpeg inside OpenCV."""

from __future__ import annotations

import os
from typing import Any

from mejiro_runtime.sources.capture import CaptureSource, time_limits
from mejiro_runtime.sources.http import TIMEOUT_S, shown, split_url
from mejiro_runtime.sources.options import one_of, positive, split


def open_rtsp(text: str) -> CaptureSource:
    """Return the source of an RTSP URL, with ``#timeout=SECONDS&transport=tcp|udp`` after it."""
    known = {"timeout": positive, "transport": one_of("tcp", "udp")}
    url, options = split(text, "an rtsp source", known, mark="#")
    parts = split_url(url)
    limit_ms = int(1000 * options.get("timeout", TIMEOUT_S))

    def opening(cv2: Any) -> Any:
        if "transport" in options:
            # FFmpeg's options have no other way in; without any OpenCV prefers TCP.
            os.environ["OPENCV_FFMPEG_CAPTURE_OPTIONS"] = f"rtsp_transport;{options['transport']}"
        limits = time_limits(open_ms=limit_ms, read_ms=limit_ms)
        return cv2.VideoCapture(url, cv2.CAP_FFMPEG, limits)

    return CaptureSource(
        opening,
        description=shown(parts),
        name=parts.hostname or "",
        advice="check address, user and password, and that the camera's stream is H.264 or H.265",
    )

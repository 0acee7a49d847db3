"""Give frames: one file per kind of camera or file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from mejiro_runtime.errors import UsageError
from mejiro_runtime.sources.base import Outage, Outages, Source, lost, outages_of, stop

__all__ = ["SOURCES", "Outage", "Outages", "Source", "lost", "open_source", "outages_of", "stop"]


def _synthetic(rest: str) -> Source:
    from mejiro_runtime.sources.synthetic import SyntheticSource

    source = SyntheticSource.parse(rest)
    return _reconnecting(source) if source.fail else source


def _camera(rest: str) -> Source:
    from mejiro_runtime.sources.camera import CameraSource

    return _reconnecting(CameraSource.parse(rest))


def _video(text: str) -> Source:
    from mejiro_runtime.sources.options import one_of, split
    from mejiro_runtime.sources.pictures import PICTURE_SUFFIXES
    from mejiro_runtime.sources.video import VideoSource

    if Path(text.rpartition("?")[0]).suffix.lower() in PICTURE_SUFFIXES:
        split(text, "a picture", {})  # raises: it has none
    name, options = split(text, "a video", {"pace": one_of("real", "fast")})
    return VideoSource(Path(name), real_time=options["pace"] == "real")


def _http(scheme: str) -> Callable[[str], Source]:
    def open_http(rest: str) -> Source:
        from mejiro_runtime.sources.http import HttpSource

        return _reconnecting(HttpSource.parse(f"{scheme}:{rest}"))

    return open_http


def _rtsp(scheme: str) -> Callable[[str], Source]:
    def open_stream(rest: str) -> Source:
        from mejiro_runtime.sources.rtsp import open_rtsp

        return _reconnecting(open_rtsp(f"{scheme}:{rest}"))

    return open_stream


def _picamera(rest: str) -> Source:
    from mejiro_runtime.sources.picamera import PiCameraSource

    return _reconnecting(PiCameraSource.parse(rest))


def _gstreamer(rest: str) -> Source:
    from mejiro_runtime.sources.gstreamer import open_gstreamer

    return _reconnecting(open_gstreamer(rest))


def _csi(rest: str) -> Source:
    from mejiro_runtime.sources.gstreamer import open_csi

    return _reconnecting(open_csi(rest))


def _termux(rest: str) -> Source:
    from mejiro_runtime.sources.termux import TermuxSource

    return _reconnecting(TermuxSource.parse(rest))


def _reconnecting(source: Source) -> Source:
    from mejiro_runtime.sources.reconnecting import Reconnecting

    return Reconnecting(source)


# What stands before the colon -> who reads the rest. Anything else is a path.
SOURCES: dict[str, Callable[[str], Source]] = {
    "camera": _camera,
    "csi": _csi,
    "gstreamer": _gstreamer,
    "http": _http("http"),
    "https": _http("https"),
    "picamera": _picamera,
    "rtsp": _rtsp("rtsp"),
    "rtsps": _rtsp("rtsps"),
    "synthetic": _synthetic,
    "termux": _termux,
}
USAGE = (
    "a picture, a folder of pictures, a video file, camera:N (or /dev/videoN), "
    "picamera[:N], csi:N, http://… (MJPEG), rtsp://…, gstreamer:PIPELINE, termux:N (photos of a "
    "phone), or synthetic:WxH[@FPS]"
)


def open_source(text: str) -> Source:
    """Return the source that `text` names: see `USAGE`. Entering it opens the camera or file.

    Raises UsageError for a name that means nothing, and SourceError for an empty folder.
    """
    if text.startswith("/dev/"):
        return _camera(text)
    kind, colon, rest = text.partition(":")
    if text == "picamera":
        return _picamera("")
    if colon and kind in SOURCES:
        return SOURCES[kind](rest)
    path = Path(text)
    if text and path.is_dir():
        from mejiro_runtime.sources.pictures import PictureSource, picture_files

        return PictureSource(picture_files(path), description=f"pictures of {path.name}")
    if path.is_file():
        from mejiro_runtime.sources.pictures import PICTURE_SUFFIXES, PictureSource
        from mejiro_runtime.sources.video import VideoSource

        if path.suffix.lower() in PICTURE_SUFFIXES:
            return PictureSource([path], description=f"picture {path.name}")
        return VideoSource(path)
    # Only now: the name of a file may hold a question mark.
    if Path(text.rpartition("?")[0]).is_file():
        return _video(text)
    raise UsageError(f"there is no source '{text}'; give {USAGE}")

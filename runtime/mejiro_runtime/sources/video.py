"""Read a video file, frame by frame, as fast as its reader goes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from time import perf_counter_ns
from types import TracebackType
from typing import Any

from mejiro_runtime import opencv
from mejiro_runtime.errors import SourceError
from mejiro_runtime.types import Frame, PixelOrder


class VideoSource:
    """Give every frame of a video file that OpenCV can decode."""

    live = False

    def __init__(self, path: Path) -> None:
        self.path = path
        self.description = f"video {path.name}"
        self.skipped: list[str] = []
        self._capture: Any = None

    def frames(self) -> Iterator[Frame]:
        """Give frames until the file ends; SourceError if it holds none."""
        index = 0
        while True:
            start = perf_counter_ns()
            ok, pixels = self._capture.read()
            now = perf_counter_ns()
            if not ok:
                break
            yield Frame(
                pixels, PixelOrder.BGR, index, now, now - start, f"{self.path.name}#{index}"
            )
            index += 1
        if not index:
            raise SourceError(f"{self.path} holds no video frame that OpenCV can decode")

    def __enter__(self) -> VideoSource:
        cv2 = opencv.load("reading a video")
        self._capture = cv2.VideoCapture(str(self.path))
        if not self._capture.isOpened():
            self._capture.release()
            raise SourceError(
                f"{self.path} is neither a picture nor a video that OpenCV can read; "
                "convert it to MP4, or to JPEG"
            )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._capture is not None:
            self._capture.release()
            self._capture = None

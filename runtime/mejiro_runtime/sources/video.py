"""Read a video file, frame by frame: as fast as its reader goes, or in real time."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter_ns
from types import TracebackType
from typing import Any

from mejiro_runtime import opencv
from mejiro_runtime.errors import SourceError
from mejiro_runtime.types import Frame, PixelOrder

MOST_FPS = 1000.0


class VideoSource:
    """Give every frame of a video file that OpenCV can decode.

    In real time each is given when it is due, as by a camera: a reader that is too slow misses
    some. Otherwise the file waits for its reader.
    """

    def __init__(self, path: Path, *, real_time: bool = False) -> None:
        self.path = path
        self.live = real_time
        self.fps: float | None = None
        self.description = f"video {path.name}" + (" in real time" if real_time else "")
        self._stopped = threading.Event()
        self.skipped: list[str] = []
        self._capture: Any = None

    def frames(self) -> Iterator[Frame]:
        """Give frames until the file ends; SourceError if it holds none."""
        index, begin = 0, perf_counter_ns()
        while True:
            start = perf_counter_ns()
            ok, pixels = self._capture.read()
            now = perf_counter_ns()
            if not ok:
                break
            cost = now - start
            if self.live and self.fps:
                now = max(now, begin + int(index * 1e9 / self.fps))
                if self._stopped.wait((now - perf_counter_ns()) / 1e9):
                    return
            yield Frame(pixels, PixelOrder.BGR, index, now, cost, f"{self.path.name}#{index}")
            index += 1
        if not index:
            raise SourceError(f"{self.path} holds no video frame that OpenCV can decode")

    def stop(self) -> None:
        """End a wait for the next frame, and with it `frames`."""
        self._stopped.set()

    def __enter__(self) -> VideoSource:
        cv2 = opencv.load("reading a video")
        self._stopped.clear()
        self._capture = cv2.VideoCapture(str(self.path))
        if not self._capture.isOpened():
            self._capture.release()
            raise SourceError(
                f"{self.path} is neither a picture nor a video that OpenCV can read; "
                "convert it to MP4, or to JPEG"
            )
        rate = self._capture.get(cv2.CAP_PROP_FPS)
        self.fps = rate if 0 < rate <= MOST_FPS else None
        if self.live and self.fps is None:
            self._capture.release()
            raise SourceError(f"{self.path} does not tell its frames a second; use pace=fast")
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

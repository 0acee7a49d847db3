"""Read whatever OpenCV opens as a live stream: what RTSP and GStreamer have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from time import perf_counter_ns
from types import TracebackType
from typing import Any

from mejiro_runtime import opencv
from mejiro_runtime.errors import SourceError
from mejiro_runtime.sources.jpeg import UNREADABLE
from mejiro_runtime.types import Frame, PixelOrder


def time_limits(*, open_ms: int, read_ms: int) -> list[int]:
    """Return what makes a VideoCapture give up waiting, as its parameters.

    By number: some OpenCV 4.7 for Python lack the names CAP_PROP_OPEN_TIMEOUT_MSEC and
    CAP_PROP_READ_TIMEOUT_MSEC.
    """
    return [53, open_ms, 54, read_ms]


class CaptureSource:
    """Give the frames of the capture that `opening` makes of the `cv2` module, until it is lost.

    `advice` ends the error of one that cannot be opened.
    """

    live = True

    def __init__(
        self, opening: Callable[[Any], Any], *, description: str, name: str, advice: str
    ) -> None:
        self.opening, self.description, self.name = opening, description, name
        self.advice = advice
        self.skipped: list[str] = []
        self._capture: Any = None

    def frames(self) -> Iterator[Frame]:
        """Give frames; raises SourceError when there are no more."""
        index = bad = 0
        while True:
            ok = self._capture.grab()
            start = perf_counter_ns()
            if not ok or bad == UNREADABLE:
                end = f"{bad} damaged ones" if ok else "no more"
                raise SourceError(f"{self.description} gave {index} frames, then {end}")
            ok, pixels = self._capture.retrieve()
            if not ok:
                bad += 1  # a picture that arrived damaged is no lost camera yet
                continue
            bad = 0
            cost = perf_counter_ns() - start
            yield Frame(pixels, PixelOrder.BGR, index, start, cost, f"{self.name}#{index}")
            index += 1

    def __enter__(self) -> CaptureSource:
        self._capture = self.opening(opencv.load("reading a camera"))
        if not self._capture.isOpened():
            self._release()
            raise SourceError(f"{self.description} cannot be opened; {self.advice}")
        return self

    def _release(self) -> None:
        if self._capture is not None:
            self._capture.release()
            self._capture = None

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._release()

"""Read a V4L2 camera through OpenCV."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from time import perf_counter_ns
from types import TracebackType
from typing import Any

from mejiro_runtime import opencv
from mejiro_runtime.errors import SourceError, UsageError
from mejiro_runtime.types import Frame, PixelOrder


class CameraSource:
    """Give the frames of camera number `number` until it is lost."""

    live = True

    def __init__(self, number: int) -> None:
        self.number = number
        self.description = f"camera {number}"
        self.skipped: list[str] = []
        self._capture: Any = None

    @classmethod
    def parse(cls, text: str) -> CameraSource:
        """Read the N of ``camera:N``."""
        if not text.isdecimal() or len(text) > 3:
            raise UsageError(f"a camera is named camera:N, found 'camera:{text}'; try camera:0")
        return cls(int(text))

    def frames(self) -> Iterator[Frame]:
        """Give frames; raises SourceError when the camera gives no more."""
        index = 0
        while True:
            start = perf_counter_ns()
            ok, pixels = self._capture.read()
            now = perf_counter_ns()
            if not ok:
                raise SourceError(
                    f"camera {self.number} stopped after {index} frames; check its cable and "
                    "whether another program uses it"
                )
            yield Frame(pixels, PixelOrder.BGR, index, now, now - start, f"camera{self.number}")
            index += 1

    def __enter__(self) -> CameraSource:
        cv2 = opencv.load("reading a camera")
        device = Path(f"/dev/video{self.number}")
        if Path("/dev").is_dir() and not device.exists():
            found = sorted(path.name for path in Path("/dev").glob("video*"))
            have = f"found {', '.join(found)}" if found else "found no camera at all"
            raise SourceError(f"there is no {device}, {have}; connect one, or name another")
        self._capture = cv2.VideoCapture(self.number, cv2.CAP_V4L2)
        if not self._capture.isOpened():
            self._capture.release()
            raise SourceError(
                f"camera {self.number} cannot be opened; is it in use by another program, "
                "and may this user read it (group 'video')?"
            )
        # One buffered frame: what waits in a queue only grows old.
        self._capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
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

"""Read a Raspberry Pi's camera through picamera2, the one module that imports it."""

from __future__ import annotations

import importlib
import time
from collections.abc import Iterator
from concurrent.futures import TimeoutError as Late  # the built-in one from Python 3.11 on
from time import perf_counter_ns
from types import TracebackType
from typing import Any

from mejiro_runtime.errors import MissingPackage, SourceError, UsageError
from mejiro_runtime.sources.base import taken_ns
from mejiro_runtime.sources.options import positive, size, split
from mejiro_runtime.types import Frame, PixelOrder

DEFAULT_SIZE = (640, 480)
WAIT_S = 3.0
# libcamera names formats by the word that a pixel makes, lowest byte last: in memory it is the
# other way round (Picamera2 Manual, appendix A).
ORDERS = {"RGB888": PixelOrder.BGR, "BGR888": PixelOrder.RGB}


def load() -> Any:
    """Return the `Picamera2` class, or raise MissingPackage or SourceError."""
    try:
        return importlib.import_module("picamera2").Picamera2
    except ImportError as error:
        if getattr(error, "name", None) == "picamera2":
            raise MissingPackage(
                "picamera2",
                purpose="a Raspberry Pi's camera",
                install="sudo apt install python3-picamera2",
            ) from error
        raise SourceError(
            f"picamera2 is installed but cannot be imported: {error}; it comes from apt, and the "
            "environment needs `python3 -m venv --system-site-packages`"
        ) from error


def asleep_ns() -> int:
    """Return how long this computer has been suspended: what libcamera's clock counts too."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) - time.clock_gettime_ns(time.CLOCK_MONOTONIC)


class PiCameraSource:
    """Give the frames of camera number `number`, each as old as its sensor's time stamp says.

    What a capture cost is copying it out of the camera's buffer: waiting is no work.
    """

    live = True

    def __init__(
        self, number: int, *, size: tuple[int, int] | None = None, fps: float | None = None
    ) -> None:
        self.number, self.size, self.fps = number, size or DEFAULT_SIZE, fps
        self.description = f"picamera {number}"
        self.skipped: list[str] = []
        self._camera: Any = None
        self._order = PixelOrder.BGR

    @classmethod
    def parse(cls, text: str) -> PiCameraSource:
        """Read the N of ``picamera:N``, nothing for 0, and ``?size=&fps=`` after it."""
        number, options = split(text, "picamera", {"size": size, "fps": positive})
        if number and not (number.isdecimal() and number.isascii() and len(number) < 3):
            raise UsageError(f"a Pi's camera is picamera or picamera:N, found 'picamera:{number}'")
        return cls(int(number or 0), **options)

    def frames(self) -> Iterator[Frame]:
        """Give frames; raises SourceError when the camera gives no more."""
        index, name = 0, f"picamera{self.number}"
        while True:
            try:
                request = self._camera.capture_request(wait=WAIT_S)
                start = perf_counter_ns()
                try:
                    pixels = request.make_array("main")
                    stamp = request.get_metadata().get("SensorTimestamp", 0) - asleep_ns()
                finally:
                    request.release()
            except (RuntimeError, OSError, Late) as error:
                reason = str(error) or "no more"
                raise SourceError(
                    f"{name} gave {index} frames, then {reason}; check its ribbon cable"
                ) from error
            now = perf_counter_ns()
            yield Frame(pixels, self._order, index, taken_ns(stamp, start), now - start, name)
            index += 1

    def __enter__(self) -> PiCameraSource:
        picamera2 = load()
        try:
            self._camera = picamera2(self.number)
            controls = {} if self.fps is None else {"FrameRate": self.fps}
            wanted = self._camera.create_video_configuration(
                main={"size": self.size, "format": "RGB888"}, controls=controls
            )
            self._camera.configure(wanted)
            main = self._camera.camera_configuration()["main"]
            self._order = ORDERS[main["format"]]
            self._camera.start()
        except (RuntimeError, OSError, IndexError, KeyError, ValueError) as error:
            self._close()
            raise SourceError(
                f"picamera {self.number} cannot be opened: {error}; see `rpicam-hello "
                "--list-cameras`, and whether another program uses it"
            ) from error
        width, height = main["size"]
        pace = "" if self.fps is None else f" at {self.fps:g} frames a second"
        note = ""
        if (width, height) != self.size:
            note = ", though {}x{} was asked for".format(*self.size)
        self.description = f"picamera {self.number} {width}x{height}{pace}{note}"
        return self

    def _close(self) -> None:
        if self._camera is not None:
            camera, self._camera = self._camera, None
            camera.close()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._close()

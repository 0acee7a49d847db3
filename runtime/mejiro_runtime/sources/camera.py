"""Read a V4L2 camera through OpenCV."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter_ns
from types import TracebackType
from typing import Any

from mejiro_runtime import opencv
from mejiro_runtime.errors import SourceError, UsageError
from mejiro_runtime.sources import v4l2
from mejiro_runtime.sources.base import taken_ns
from mejiro_runtime.sources.jpeg import UNREADABLE, decode, reduction
from mejiro_runtime.sources.options import positive, size, split
from mejiro_runtime.types import Frame, PixelOrder

MAX_NUMBER = 999


def _format(text: str) -> str:
    if text.upper() not in v4l2.READABLE:
        raise ValueError("one of " + ", ".join(v4l2.READABLE).lower())
    return text.upper()


OPTIONS = {"size": size, "fps": positive, "format": _format, "reduce": reduction}


class CameraSource:
    """Give the frames of the camera at `device` until it is lost.

    What is wanted is looked for in what the driver offers, and the nearest to it is set;
    `description` says what was really set. A frame is as old as the driver's time stamp says, and
    what its capture cost is decoding: waiting for it is no work.
    """

    live = True

    def __init__(
        self,
        device: Path,
        *,
        size: tuple[int, int] | None = None,
        fps: float | None = None,
        format: str | None = None,
        reduce: int = 1,
    ) -> None:
        if reduce > 1 and (format or "MJPG") != "MJPG":
            raise UsageError(
                f"reduce= is for MJPG, found format={format.lower() if format else ''}"
            )
        self.device, self.reduce = device, reduce
        self.size, self.format = size, "MJPG" if reduce > 1 else format
        self.fps: float | None = fps
        self.skipped: list[str] = []
        number = re.fullmatch(r"/dev/video([0-9]+)", str(device))
        self.name = f"camera {number[1]}" if number else f"camera {device.name}"
        self.description = self.name
        self._wanted_fps = fps
        self._capture: Any = None
        self._raw = False

    @classmethod
    def parse(cls, text: str) -> CameraSource:
        """Read the N or /dev/... of a camera, with ``?size=&fps=&format=&reduce=`` after it."""
        name, options = split(text, "camera", OPTIONS)
        if re.fullmatch(r"[0-9]{1,3}", name):
            return cls(Path(f"/dev/video{int(name)}"), **options)
        if name.startswith("/dev/") and "\0" not in name:
            return cls(Path(name), **options)
        raise UsageError(
            f"a camera is named camera:N or /dev/videoN, found 'camera:{name}'; try camera:0"
        )

    def frames(self) -> Iterator[Frame]:
        """Give frames; raises SourceError when the camera gives no more."""
        capture, index, bad = self._capture, 0, 0
        stamp = self._cv2.CAP_PROP_POS_MSEC
        while True:
            ok = capture.grab()
            start = perf_counter_ns()
            if not ok or bad == UNREADABLE:
                raise SourceError(
                    f"{self.name} stopped after {index} frames; check its cable and "
                    "whether another program uses it"
                )
            # The V4L2 backend gives the time stamp of the buffer that it grabbed.
            taken = taken_ns(1e6 * capture.get(stamp), start)
            ok, pixels = capture.retrieve()
            if ok and self._raw:
                pixels = decode(pixels, self.reduce)
            if not ok or pixels is None:
                bad += 1  # a picture that arrived damaged is no lost camera yet
                continue
            bad = 0
            cost = perf_counter_ns() - start
            yield Frame(pixels, PixelOrder.BGR, index, taken, cost, self.name.replace(" ", ""))
            index += 1

    def __enter__(self) -> CameraSource:
        self._cv2 = cv2 = opencv.load("reading a camera")
        device = self.device
        if Path("/dev").is_dir() and not device.exists():
            found = sorted(path.name for path in Path("/dev").glob("video*"))
            have = f"found {', '.join(found)}" if found else "found no camera at all"
            raise SourceError(f"there is no {device}, {have}; connect one, or name another")
        offer = self._ask()
        # OpenCV opens by number; a name under /dev/v4l/by-id is a link to a numbered device.
        number = re.fullmatch(r"/dev/video([0-9]{1,3})", str(device.resolve()))
        self._capture = cv2.VideoCapture(int(number[1]) if number else str(device), cv2.CAP_V4L2)
        if not self._capture.isOpened():
            self._capture.release()
            raise SourceError(
                f"{self.name} cannot be opened; is it in use by another program, "
                "and may this user read it (group 'video')?"
            )
        self._set_up(offer)
        return self

    def _ask(self) -> v4l2.Offer | None:
        """Return what the driver offers, or None where it does not tell."""
        try:
            offer = v4l2.ask(self.device, self.size)
        except (ImportError, OSError):
            return None  # OpenCV may still be able to open it, or say why not
        if not offer.modes:
            raise SourceError(
                f"{self.device} ({offer.name}) gives no pictures, it is another part of a camera; "
                "`mejiro-run doctor` lists the ones that do"
            )
        return offer

    def _set_up(self, offer: v4l2.Offer | None) -> None:
        """Set the mode that comes nearest to what is wanted, and tell what it became."""
        cv2, capture = self._cv2, self._capture
        wanted = (self.size, self._wanted_fps, self.format)
        mode = offer and v4l2.choose(
            offer.modes, size=self.size, fps=self._wanted_fps, format=self.format
        )
        if offer and not mode:
            capture.release()
            formats = ", ".join(sorted({one.format for one in offer.modes}))
            raise SourceError(f"{self.name} gives only {formats}, which OpenCV cannot read")
        picked = (mode.size, mode.rate(self._wanted_fps or v4l2.DEFAULT_FPS), mode.format) \
            if mode else wanted  # fmt: skip
        if picked[2]:
            capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter_fourcc(*f"{picked[2]:4}"))
        if picked[0]:
            capture.set(cv2.CAP_PROP_FRAME_WIDTH, picked[0][0])
            capture.set(cv2.CAP_PROP_FRAME_HEIGHT, picked[0][1])
        if picked[1]:
            capture.set(cv2.CAP_PROP_FPS, picked[1])
        # One buffer to fill while the other is decoded: what waits in a longer queue only grows
        # old, and with a single one a driver has nowhere to put what comes meanwhile.
        capture.set(cv2.CAP_PROP_BUFFERSIZE, 2)
        self._describe(offer)

    def _describe(self, offer: v4l2.Offer | None) -> None:
        """Say what the driver says is set, and plainly where that is not what was asked for."""
        cv2, capture = self._cv2, self._capture
        got = tuple(
            int(capture.get(side)) for side in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT)
        )
        rate = capture.get(cv2.CAP_PROP_FPS)
        self.fps = rate if rate > 0 else None
        format = v4l2.fourcc_text(int(capture.get(cv2.CAP_PROP_FOURCC)) & 0xFFFFFFFF)
        name = f"{self.name} ({offer.name})" if offer and offer.name else self.name
        pace = f" at {rate:g} frames a second" if rate > 0 else ""
        asked = []
        if self.size and got != self.size:
            asked.append("{}x{}".format(*self.size))
        if self.format and format != self.format:
            asked.append(self.format)
        if self._wanted_fps and rate > 0 and abs(rate - self._wanted_fps) > 0.5:
            asked.append(f"{self._wanted_fps:g} frames a second")
        if self.reduce > 1:
            # Without conversion OpenCV hands over the JPEG itself.
            self._raw = format == "MJPG" and capture.set(cv2.CAP_PROP_CONVERT_RGB, 0)
            if self._raw:
                pace += f", decoded at 1/{self.reduce}"
            else:
                asked.append(f"reduce={self.reduce}")
        note = f", though {', '.join(asked)} was asked for" if asked else ""
        self.description = f"{name} {got[0]}x{got[1]} {format}{pace}{note}"

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._capture is not None:
            self._capture.release()
            self._capture = None

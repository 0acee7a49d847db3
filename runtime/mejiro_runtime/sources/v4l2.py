"""Ask a V4L2 driver what its camera offers, and choose from that.

By the four ioctls of the kernel's `linux/videodev2.h` that list what there is; nothing is set here.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple, TypeAlias

QUERYCAP, ENUM_FMT = 0x80685600, 0xC0405602
ENUM_FRAMESIZES, ENUM_FRAMEINTERVALS = 0xC02C564A, 0xC034564B
_SIZES = {QUERYCAP: 104, ENUM_FMT: 64, ENUM_FRAMESIZES: 44, ENUM_FRAMEINTERVALS: 52}
CAPTURE, CAPTURE_PLANES, STREAMING, OF_NODE = 0x1, 0x1000, 0x4000000, 0x80000000
DISCRETE = 1
MOST_ROWS = 64  # a broken driver may never say that its list ends

# What OpenCV turns into BGR by itself, the formats that cost it least first.
READABLE = ("YUYV", "UYVY", "YVYU", "BGR3", "RGB3", "NV12", "NV21", "YU12", "YV12", "GREY",
            "MJPG", "JPEG")  # fmt: skip
COMMON_SIZES = ((320, 240), (640, 480), (1280, 720), (1920, 1080), (3840, 2160))
DEFAULT_SIZE = (640, 480)
DEFAULT_FPS = 30.0

# Fills a struct for a request, or raises OSError.
Ioctl: TypeAlias = Callable[[int, bytearray], object]


class Mode(NamedTuple):
    """Hold one format and size, and the rates that go with them, frames a second, largest first.

    A driver that names no rates leaves them empty.
    """

    format: str
    size: tuple[int, int]
    rates: tuple[float, ...]

    def rate(self, wanted: float) -> float | None:
        """Return the lowest rate that is enough, else the highest; None where none is named."""
        enough = [rate for rate in self.rates if rate >= wanted - 0.5]
        return min(enough) if enough else max(self.rates, default=None)


class Offer(NamedTuple):
    """Hold what a camera calls itself, and what it can give; no modes for what is no camera."""

    name: str
    modes: tuple[Mode, ...]


def ask(path: Path, size: tuple[int, int] | None = None) -> Offer:
    """Return what the camera at `path` offers; raises OSError where it cannot be asked.

    Of a camera that takes any size in a range, the common ones are listed, and `size`.
    """
    import fcntl
    import os

    file = os.open(path, os.O_RDWR | os.O_NONBLOCK)
    try:
        return read_offer(lambda request, memory: fcntl.ioctl(file, request, memory), size)
    finally:
        os.close(file)


def read_offer(ioctl: Ioctl, size: tuple[int, int] | None = None) -> Offer:
    """Return what a driver answers; see `ask`."""
    memory = bytearray(_SIZES[QUERYCAP])
    ioctl(QUERYCAP, memory)
    of_driver, of_node = struct.unpack_from("=II", memory, 84)
    able = of_node if of_driver & OF_NODE else of_driver
    name = bytes(memory[16:48]).split(b"\0")[0].decode("utf-8", "replace").strip()
    name = "".join(letter for letter in name if letter.isprintable())
    if not able & STREAMING or not able & (CAPTURE | CAPTURE_PLANES):
        return Offer(name, ())
    kind = 1 if able & CAPTURE else 9
    modes = []
    for row in _rows(ioctl, ENUM_FMT, "=II", kind):
        (code,) = struct.unpack_from("=I", row, 44)
        modes += [
            Mode(fourcc_text(code), found, _rates(ioctl, code, found))
            for found in _sizes(ioctl, code, size)
        ]
    return Offer(name, tuple(modes))


def fourcc_text(code: int) -> str:
    """Return a format's four letters."""
    letters = struct.pack("=I", code & 0x7FFFFFFF).decode("ascii", "replace")
    return "".join(letter if letter.isprintable() else "?" for letter in letters).strip()


def _rows(ioctl: Ioctl, request: int, layout: str, *values: int) -> Iterator[bytearray]:
    """Give the rows of a driver's list, up to the first index that it refuses."""
    for index in range(MOST_ROWS):
        memory = bytearray(_SIZES[request])
        struct.pack_into(layout, memory, 0, index, *values)
        try:
            ioctl(request, memory)
        except OSError:
            return
        yield memory


def _sizes(ioctl: Ioctl, code: int, wanted: tuple[int, int] | None) -> Iterator[tuple[int, int]]:
    for row in _rows(ioctl, ENUM_FRAMESIZES, "=II", code):
        kind, *numbers = struct.unpack_from("=7I", row, 8)
        if kind == DISCRETE:
            yield numbers[0], numbers[1]
            continue
        least, most = (numbers[0], numbers[3]), (numbers[1], numbers[4])
        steps = (max(1, numbers[2]), max(1, numbers[5]))
        sizes = {*COMMON_SIZES, most, *([wanted] if wanted else [])}
        for size in sorted(sizes):
            if all(
                low <= side <= high and (side - low) % step == 0
                for side, low, high, step in zip(size, least, most, steps, strict=True)
            ):
                yield size
        return


def _rates(ioctl: Ioctl, code: int, size: tuple[int, int]) -> tuple[float, ...]:
    rates: set[float] = set()
    for row in _rows(ioctl, ENUM_FRAMEINTERVALS, "=4I", code, *size):
        kind, *numbers = struct.unpack_from("=5I", row, 16)
        if kind == DISCRETE:
            rates.add(_rate(*numbers[:2]))
            continue
        # A range, from the shortest interval to the longest: any rate between will do.
        fastest, slowest = _rate(*numbers[:2]), _rate(*numbers[2:4])
        common = (60.0, 30.0, 15.0)
        rates |= {fastest, *(rate for rate in common if slowest <= rate <= fastest)}
        break
    return tuple(sorted(rates - {0.0}, reverse=True))


def _rate(numerator: int, denominator: int) -> float:
    return round(denominator / numerator, 3) if numerator else 0.0


def choose(
    modes: tuple[Mode, ...],
    *,
    size: tuple[int, int] | None = None,
    fps: float | None = None,
    format: str | None = None,
) -> Mode | None:
    """Return the mode nearest to what is wanted; None if OpenCV can read none of `modes`.

    Size counts before rate. Of formats that give the size as often, an uncompressed one is taken:
    MJPG costs decoding, and is worth that only where it brings more frames.
    """
    readable = [mode for mode in modes if mode.format in READABLE]
    readable = [mode for mode in readable if mode.format == format] or readable
    width, height = size or DEFAULT_SIZE
    wanted = fps or DEFAULT_FPS

    def distance(mode: Mode) -> tuple[float, ...]:
        rate = mode.rate(wanted)
        away = abs(mode.size[0] - width) + abs(mode.size[1] - height)
        # An unnamed rate may be anything: behind one that is enough, before one that is not.
        missing = 0.25 if rate is None else max(0.0, wanted - 0.5 - rate)
        return away, missing, READABLE.index(mode.format)

    return min(readable, key=distance, default=None)

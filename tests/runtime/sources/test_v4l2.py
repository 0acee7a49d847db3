"""What a driver offers is read as the kernel lays it out, and the fitting mode is chosen.

The driver here is simulated: it fills the structs of `linux/videodev2.h`.
"""

from __future__ import annotations

import errno
import re
import struct
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mejiro_runtime.sources import v4l2
from mejiro_runtime.sources.v4l2 import COMMON_SIZES, Mode, ask, choose, fourcc_text, read_offer

WEBCAM = {
    "YUYV": {(640, 480): [30, 15], (1280, 720): [10], (1920, 1080): [5]},
    "MJPG": {(640, 480): [30], (1280, 720): [30], (1920, 1080): [30]},
}


def code(format: str) -> int:
    return int.from_bytes(f"{format:4}".encode("ascii"), "little")


class Driver:
    """Answer as a camera's driver does; rates are whole numbers of frames a second."""

    def __init__(
        self,
        formats: dict[str, dict[tuple[int, int], list[int]]],
        *,
        caps: int = 0x84200001,
        node: int = 0x04200001,
        name: bytes = b"HD Webcam",
    ) -> None:
        self.formats, self.caps, self.node, self.name = formats, caps, node, name
        self.calls = 0

    def __call__(self, request: int, memory: bytearray) -> int:
        self.calls += 1
        (index,) = struct.unpack_from("=I", memory)
        try:
            {
                v4l2.QUERYCAP: self.querycap,
                v4l2.ENUM_FMT: self.format,
                v4l2.ENUM_FRAMESIZES: self.size,
                v4l2.ENUM_FRAMEINTERVALS: self.interval,
            }[request](index, memory)
        except (IndexError, KeyError):
            raise OSError(errno.EINVAL, "Invalid argument") from None
        return 0

    def querycap(self, index: int, memory: bytearray) -> None:
        assert len(memory) == 104
        struct.pack_into("=16s32s32s6I", memory, 0, b"uvcvideo", self.name, b"usb", 1,
                         self.caps, self.node, 0, 0, 0)  # fmt: skip

    def format(self, index: int, memory: bytearray) -> None:
        assert len(memory) == 64
        name = list(self.formats)[index]
        struct.pack_into("=I32sI", memory, 8, 0, name.encode(), code(name))

    def size(self, index: int, memory: bytearray) -> None:
        assert len(memory) == 44
        size = list(self.formats[self.wanted(memory)])[index]
        struct.pack_into("=3I", memory, 8, 1, *size)

    def interval(self, index: int, memory: bytearray) -> None:
        assert len(memory) == 52
        rates = self.formats[self.wanted(memory)][struct.unpack_from("=II", memory, 8)]
        struct.pack_into("=3I", memory, 16, 1, 1, rates[index])

    @staticmethod
    def wanted(memory: bytearray) -> str:
        return bytes(memory[4:8]).decode("ascii").strip()


class AnySize(Driver):
    """Take any size from 32x32 to 2592x1944 in steps of 16 and 8, and any rate up to 90."""

    def size(self, index: int, memory: bytearray) -> None:
        assert self.wanted(memory) in self.formats
        if index:
            raise IndexError
        struct.pack_into("=7I", memory, 8, 3, 32, 2592, 16, 32, 1944, 8)

    def interval(self, index: int, memory: bytearray) -> None:
        if index:
            raise IndexError
        struct.pack_into("=7I", memory, 16, 2, 1, 90, 1, 1, 1, 1)


def test_what_a_webcam_offers_is_read() -> None:
    offer = read_offer(Driver(WEBCAM))
    assert offer.name == "HD Webcam"
    assert len(offer.modes) == 6
    assert Mode("YUYV", (640, 480), (30.0, 15.0)) in offer.modes
    assert Mode("MJPG", (1920, 1080), (30.0,)) in offer.modes


def test_a_range_of_sizes_gives_the_common_ones_and_the_wanted() -> None:
    offer = read_offer(AnySize({"YUYV": {}}), size=(336, 248))
    sizes = {mode.size for mode in offer.modes}
    assert sizes == {(320, 240), (640, 480), (1280, 720), (1920, 1080), (2592, 1944), (336, 248)}
    assert offer.modes[0].rates == (90.0, 60.0, 30.0, 15.0)
    assert (337, 248) not in {m.size for m in read_offer(AnySize({"YUYV": {}}), (337, 248)).modes}
    assert (3840, 2160) in COMMON_SIZES


@pytest.mark.parametrize(
    ("caps", "node"),
    [(0x84A00001, 0x04A00000), (0x80000001, 0x1), (0x04000002, 0), (0x84200001, 0x04000002)],
)
def test_what_takes_no_pictures_offers_none(caps: int, node: int) -> None:
    assert read_offer(Driver(WEBCAM, caps=caps, node=node)).modes == ()


def test_a_driver_that_never_ends_its_list_is_left() -> None:
    class Endless(Driver):
        def format(self, index: int, memory: bytearray) -> None:
            struct.pack_into("=I32sI", memory, 8, 0, b"", code("YUYV"))

    driver = Endless({"YUYV": {(640, 480): [30]}})
    assert len(read_offer(driver).modes) == v4l2.MOST_ROWS


def test_a_name_cannot_rewrite_the_terminal() -> None:
    assert read_offer(Driver({}, name=b"Cam\x1b[2J\xff\0left over")).name == "Cam[2J\ufffd"


def test_the_structs_are_what_this_kernel_has() -> None:
    header = Path("/usr/include/linux/videodev2.h")
    if not header.is_file():
        pytest.skip("the kernel's headers are not installed here")
    text = header.read_text(encoding="utf-8")
    for word, request in (
        ("VIDIOC_QUERYCAP", v4l2.QUERYCAP),
        ("VIDIOC_ENUM_FMT", v4l2.ENUM_FMT),
        ("VIDIOC_ENUM_FRAMESIZES", v4l2.ENUM_FRAMESIZES),
        ("VIDIOC_ENUM_FRAMEINTERVALS", v4l2.ENUM_FRAMEINTERVALS),
    ):
        found = re.search(rf"#define {word}\s+_IO\w+\('V',\s*(\d+),", text)
        assert found is not None
        assert int(found[1]) == request & 0xFF
        assert (request >> 16 & 0x3FFF) == v4l2._SIZES[request]
        assert chr(request >> 8 & 0xFF) == "V"


def test_what_is_no_camera_raises_oserror() -> None:
    pytest.importorskip("fcntl")
    with pytest.raises(OSError, match="ioctl"):
        ask(Path("/dev/null"))


MODES = read_offer(Driver(WEBCAM)).modes
CHOICES: list[tuple[dict[str, Any], tuple[str, tuple[int, int]]]] = [
    ({}, ("YUYV", (640, 480))),
    ({"size": (1280, 720)}, ("MJPG", (1280, 720))),
    ({"size": (1280, 720), "fps": 10.0}, ("YUYV", (1280, 720))),
    ({"size": (1280, 720), "fps": 60.0}, ("MJPG", (1280, 720))),
    ({"size": (1280, 720), "format": "YUYV"}, ("YUYV", (1280, 720))),
    ({"size": (1300, 700)}, ("MJPG", (1280, 720))),
    ({"format": "NV12"}, ("YUYV", (640, 480))),
]


@pytest.mark.parametrize(("wanted", "got"), CHOICES)
def test_mjpg_is_chosen_where_it_gives_more_frames(
    wanted: dict[str, Any], got: tuple[str, tuple[int, int]]
) -> None:
    mode = choose(MODES, **wanted)
    assert mode is not None
    assert (mode.format, mode.size) == got


def test_a_format_that_nobody_reads_is_not_chosen() -> None:
    assert choose((Mode("H264", (640, 480), (30.0,)),)) is None
    assert choose(()) is None


SIZES = st.tuples(st.integers(1, 4000), st.integers(1, 4000))
RATES = st.lists(st.floats(1, 240), max_size=4).map(tuple)
ANY_MODES = st.lists(st.builds(Mode, st.sampled_from([*v4l2.READABLE, "H264"]), SIZES, RATES))


@given(ANY_MODES, SIZES, st.floats(1, 240))
def test_no_other_mode_is_nearer(modes: list[Mode], size: tuple[int, int], fps: float) -> None:
    chosen = choose(tuple(modes), size=size, fps=fps)
    readable = [mode for mode in modes if mode.format in v4l2.READABLE]
    assert (chosen is None) == (not readable)
    if chosen is None:
        return

    def away(mode: Mode) -> int:
        return abs(mode.size[0] - size[0]) + abs(mode.size[1] - size[1])

    assert away(chosen) == min(away(mode) for mode in readable)
    if any(away(m) == away(chosen) and m.rates and max(m.rates) >= fps for m in readable):
        assert chosen.rates
        assert max(chosen.rates) >= fps - 0.5


def test_the_lowest_rate_that_is_enough_is_set() -> None:
    mode = Mode("MJPG", (640, 480), (90.0, 60.0, 30.0, 15.0))
    assert [mode.rate(wanted) for wanted in (30, 29.97, 31, 100, 1)] == [30, 30, 60, 90, 15]
    assert Mode("MJPG", (640, 480), ()).rate(30) is None


def test_four_letters() -> None:
    assert fourcc_text(code("MJPG")) == "MJPG"
    assert fourcc_text(code("Y16")) == "Y16"
    assert fourcc_text(0x1B1B1B1B) == "????"

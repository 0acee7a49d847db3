from __future__ import annotations

import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mejiro.apk.icon import SIZES, background_of, draw_sizes, read_icon
from mejiro.apk.template import default_icon
from mejiro.errors import UsageError


def _png(picture: np.ndarray) -> bytes:
    done, data = cv2.imencode(".png", picture)
    assert done
    return bytes(data)


def _chunk(kind: bytes, data: bytes) -> bytes:
    check = zlib.crc32(kind + data)
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", check)


def _blank(width: int, height: int, rows: bytes = b"") -> bytes:
    """A PNG of one bit for each pixel: small in a file, and large when it is read."""
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    data = zlib.compress(rows or bytes((width + 7) // 8 + 1) * height)
    return (
        b"\x89PNG\r\n\x1a\n"
        + _chunk(b"IHDR", header)
        + _chunk(b"IDAT", data)
        + _chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_every_kind_of_png_gives_every_size(tmp_path: Path, channels: int, kind: type) -> None:
    rng = np.random.default_rng(channels)
    picture = rng.integers(0, np.iinfo(kind).max, (200, 200, channels)).astype(kind)
    path = tmp_path / "icon.png"
    path.write_bytes(_png(picture))
    drawn = draw_sizes(read_icon(path))
    assert set(drawn) == set(SIZES)
    for density, data in drawn.items():
        small = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
        assert small.shape == (SIZES[density], SIZES[density], 4)
    assert drawn == draw_sizes(path.read_bytes())


def test_what_is_hidden_gives_no_colour_to_an_edge() -> None:
    picture = np.zeros((384, 384, 4), np.uint8)
    picture[:, :191] = (0, 0, 255, 255)  # red, and beside it green that nobody sees
    picture[:, 191:] = (0, 255, 0, 0)
    small = cv2.imdecode(np.frombuffer(draw_sizes(_png(picture))["xxxhdpi"], np.uint8), -1)
    seen = small[small[..., 3] > 0]
    assert (seen[:, :3] == (0, 0, 255)).all()
    assert {0, 128, 255} == set(np.unique(small[..., 3]).tolist())


@given(st.tuples(*[st.integers(0, 255)] * 3), st.integers(0, 255))
def test_the_ground_goes_on_behind_the_icon(bgr: tuple[int, int, int], opaque: int) -> None:
    picture = np.full((192, 192, 4), (*bgr, opaque), np.uint8)
    blue, green, red = bgr
    expected = (255, red, green, blue) if opaque == 255 else (255, 255, 255, 255)
    assert background_of(_png(picture)) == int.from_bytes(bytes(expected), "big")


def test_the_default_is_an_icon(tmp_path: Path) -> None:
    path = tmp_path / "icon.png"
    path.write_bytes(default_icon())
    assert len(draw_sizes(read_icon(path))) == len(SIZES)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "is no PNG"),
        (b"\xff\xd8\xff\xe0 a JPEG", "is no PNG"),
        (b"\x89PNG\r\n\x1a\n" + bytes(40), "damaged"),
        (_blank(200, 100), "200×100 pixels; an icon is square"),
        (_blank(64, 64), "64×64 pixels"),
        (_blank(60_000, 60_000, b"\0" * 100), "60000×60000 pixels"),
        (_blank(512, 512, b"\0")[:-30], "damaged"),
        (b"\x89PNG\r\n\x1a\n" + b"\0" * (5 << 20), "an icon has at most"),
    ],
    ids=["empty", "jpeg", "header", "oblong", "small", "bomb", "short", "long"],
)
def test_what_is_no_icon_is_refused_before_it_is_read(
    tmp_path: Path, data: bytes, why: str
) -> None:
    path = tmp_path / "icon.png"
    path.write_bytes(data)
    with pytest.raises(UsageError, match=why):
        read_icon(path)


def test_an_icon_that_is_absent_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"icon\.png cannot be read"):
        read_icon(tmp_path / "icon.png")

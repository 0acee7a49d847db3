"""Pictures of every kind become upright BGR, and what is no picture is named."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mejiro_runtime.errors import MissingPackage, SourceError
from mejiro_runtime.sources.pictures import PictureSource, picture_files, read_picture
from mejiro_runtime.types import PixelOrder

Write = Callable[..., Path]


@pytest.fixture
def write(cv2: Any, tmp_path: Path) -> Write:
    """Return a function that writes pixels to a file of the folder."""

    def write(name: str, pixels: Any, *options: int) -> Path:
        # imencode and not imwrite: OpenCV cannot write to every name that Python can.
        ok, data = cv2.imencode(Path(name).suffix, pixels, list(options))
        assert ok
        (tmp_path / name).write_bytes(data.tobytes())
        return tmp_path / name

    return write


@pytest.fixture
def corners() -> Any:
    """Return a picture that is wider than high, with a corner of each colour: BGR."""
    pixels = np.zeros((40, 60, 3), np.uint8)
    pixels[:20, :30] = (0, 0, 255)
    pixels[:20, 30:] = (0, 255, 0)
    pixels[20:, :30] = (255, 0, 0)
    pixels[20:, 30:] = (255, 255, 255)
    return pixels


@pytest.mark.parametrize("ending", [".png", ".bmp", ".tiff", ".PNG"])
def test_lossless_files_come_back_to_the_bit(write: Write, corners, ending: str) -> None:
    path = write(f"picture{ending.lower()}", corners)
    path = path.rename(path.with_suffix(ending))
    np.testing.assert_array_equal(read_picture(path), corners)


@pytest.mark.parametrize("ending", [".jpg", ".webp"])
def test_lossy_files_come_back_nearly(write: Write, corners, ending: str) -> None:
    made = read_picture(write(f"picture{ending}", corners))
    assert made.shape == corners.shape
    assert np.abs(made.astype(int) - corners).mean() < 6


def test_grey_alpha_and_16_bits_become_three_channels_of_8(write: Write, corners) -> None:
    grey = corners[..., 0].copy()
    np.testing.assert_array_equal(
        read_picture(write("grey.png", grey)), grey[..., None] * [1, 1, 1]
    )
    alpha = np.dstack([corners, np.full((40, 60), 7, np.uint8)])
    np.testing.assert_array_equal(read_picture(write("alpha.png", alpha)), corners)
    deep = corners.astype(np.uint16) * 257
    made = read_picture(write("deep.png", deep))
    assert made.dtype == np.uint8
    np.testing.assert_array_equal(made, corners)
    deep_grey = read_picture(write("deep-grey.png", deep[..., 1].copy()))
    assert deep_grey.shape == (40, 60, 3)


# What a camera held upright on its side writes: which corner of the file is shown top left.
TURNED = {
    1: lambda p: p,
    2: lambda p: p[:, ::-1],
    3: lambda p: p[::-1, ::-1],
    4: lambda p: p[::-1],
    5: lambda p: p.transpose(1, 0, 2),
    6: lambda p: np.rot90(p, -1),
    7: lambda p: np.rot90(p, -1)[:, ::-1][::-1, ::-1],
    8: lambda p: np.rot90(p, 1),
}


@pytest.mark.parametrize("orientation", TURNED)
def test_a_turned_photograph_stands_upright(write: Write, corners, orientation: int) -> None:
    path = write("photo.jpg", corners)
    plain = read_picture(path)
    data = path.read_bytes()
    # An APP1 segment with one EXIF tag, 0x0112 (orientation), right behind the start marker.
    tiff = b"MM\0*\0\0\0\x08" + struct.pack(">HHHIHHI", 1, 0x0112, 3, 1, orientation, 0, 0)
    segment = b"Exif\0\0" + tiff
    exif = b"\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment
    path.write_bytes(data[:2] + exif + data[2:])
    np.testing.assert_array_equal(read_picture(path), TURNED[orientation](plain))


def test_palettes_and_cmyk_are_read(tmp_path) -> None:
    pillow = pytest.importorskip("PIL.Image", reason="Pillow, which writes such, is not installed")
    pytest.importorskip("cv2", reason="OpenCV is not installed here")
    red = pillow.new("RGB", (20, 10), (250, 5, 5))
    red.quantize(4).save(tmp_path / "palette.png")
    red.convert("CMYK").save(tmp_path / "cmyk.jpg", quality=95)
    for name in ("palette.png", "cmyk.jpg"):
        pixels = read_picture(tmp_path / name)
        assert pixels.shape == (10, 20, 3)
        assert np.abs(pixels.astype(int) - (5, 5, 250)).max() < 12, name


@pytest.mark.parametrize("name", ["目白.png", "ünïcode ﷽.png", "with space.png", "a'b\"c.png"])
def test_names_may_hold_any_letters(write: Write, corners, name: str) -> None:
    np.testing.assert_array_equal(read_picture(write(name, corners)), corners)


def test_a_reduced_picture_is_small_and_fails_where_the_whole_one_does(
    write: Write, corners
) -> None:
    path = write("picture.jpg", np.tile(corners, (4, 4, 1)))
    assert read_picture(path, reduced=True).shape == (20, 30, 3)
    path.write_bytes(path.read_bytes()[:20])
    with pytest.raises(SourceError, match="is not a picture that OpenCV can read"):
        read_picture(path, reduced=True)


def test_of_an_animation_the_first_frame_is_taken(tmp_path) -> None:
    pillow = pytest.importorskip("PIL.Image", reason="Pillow, which writes such, is not installed")
    pytest.importorskip("cv2", reason="OpenCV is not installed here")
    first, second = (pillow.new("RGB", (20, 10), colour) for colour in ((250, 0, 0), (0, 250, 0)))
    # OpenCV reads GIF from 4.11 on; WebP and TIFF it always did.
    for name in ("a.png", "a.tiff", "a.webp"):
        options = {"lossless": True} if name.endswith("webp") else {}
        first.save(tmp_path / name, save_all=True, append_images=[second], **options)
        pixels = read_picture(tmp_path / name)
        assert pixels.shape == (10, 20, 3)
        assert np.abs(pixels.astype(int) - (0, 0, 250)).max() < 3, name


NO_PICTURES = {
    "text.jpg": (b"This is not a picture.\n" * 20, "is not a picture that OpenCV can read"),
    "empty.png": (b"", "is empty"),
    "header.png": (b"\x89PNG\r\n\x1a\n", "is not a picture that OpenCV can read"),
    "one-byte.jpg": (b"\xff", "is not a picture that OpenCV can read"),
}


@pytest.mark.parametrize("name", NO_PICTURES)
def test_what_is_no_picture_is_named(cv2, tmp_path, capfd, name: str) -> None:
    content, message = NO_PICTURES[name]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(SourceError, match=message) as caught:
        read_picture(tmp_path / name)
    assert name in str(caught.value)
    captured = capfd.readouterr()
    assert captured.out == ""
    # The libpng inside OpenCV 4 has a line of its own that nothing can silence.
    assert captured.err.replace("libpng error: PNG input buffer is incomplete\n", "") == ""


def test_what_cannot_be_opened_is_named(cv2, tmp_path) -> None:
    with pytest.raises(SourceError, match=r"absent\.jpg cannot be read"):
        read_picture(tmp_path / "absent.jpg")
    with pytest.raises(SourceError, match="cannot be read"):
        read_picture(tmp_path)


def test_a_file_of_gigabytes_is_not_read(write: Write, corners, monkeypatch) -> None:
    path = write("large.png", corners)
    monkeypatch.setattr("mejiro_runtime.sources.pictures.MAX_PICTURE_BYTES", 10)
    with pytest.raises(SourceError, match="larger than 10 bytes"):
        read_picture(path)


def test_a_small_file_of_a_huge_picture_is_refused(cv2, tmp_path) -> None:
    import zlib

    def chunk(kind: bytes, data: bytes) -> bytes:
        checksum = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", checksum)

    header = struct.pack(">IIBBBBB", 1_000_000, 1_000_000, 8, 2, 0, 0, 0)
    data = zlib.compress(bytes(1000))
    png = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")
    (tmp_path / "bomb.png").write_bytes(png)
    with pytest.raises(SourceError, match="is not a picture that OpenCV can read"):
        read_picture(tmp_path / "bomb.png")


def test_without_opencv_the_extra_is_named(monkeypatch, tmp_path) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(MissingPackage, match="reading pictures needs opencv"):
        read_picture(tmp_path / "a.jpg")
    source = PictureSource([tmp_path / "a.jpg"], description="one picture")
    with pytest.raises(MissingPackage, match="reading pictures needs opencv"):
        source.__enter__()


def test_a_folder_gives_its_pictures_by_name(write: Write, corners, tmp_path) -> None:
    for name in ("b.png", "a.png", "c.jpg"):
        write(name, corners)
    (tmp_path / "notes.txt").write_text("", encoding="ascii")
    (tmp_path / ".hidden.png").write_bytes(b"")
    (tmp_path / "folder").mkdir()
    files = picture_files(tmp_path)
    assert [path.name for path in files] == ["a.png", "b.png", "c.jpg"]
    with PictureSource(files, description="some") as source:
        frames = list(source.frames())
    assert [frame.name for frame in frames] == ["a.png", "b.png", "c.jpg"]
    assert [frame.index for frame in frames] == [0, 1, 2]
    assert all(frame.order is PixelOrder.BGR for frame in frames)
    assert all(frame.capture_ns > 0 for frame in frames)
    assert source.skipped == []


def test_a_broken_picture_among_good_ones_is_skipped_and_named(write: Write, corners) -> None:
    good, last = write("a.png", corners), write("c.png", corners)
    broken = good.with_name("b.jpg")
    broken.write_bytes(b"text")
    with PictureSource([good, broken, last], description="some") as source:
        frames = list(source.frames())
    assert [(frame.index, frame.name) for frame in frames] == [(0, "a.png"), (1, "c.png")]
    assert source.skipped == ["b.jpg"]


def test_nothing_but_broken_pictures_is_an_error(cv2, tmp_path) -> None:
    files = []
    for name in ("a.jpg", "b.jpg"):
        (tmp_path / name).write_bytes(b"text")
        files.append(tmp_path / name)
    with PictureSource(files, description="some") as source:
        with pytest.raises(SourceError, match=r"none of 2 pictures .*the last: .*b\.jpg"):
            list(source.frames())
        assert source.skipped == ["a.jpg", "b.jpg"]
    alone = PictureSource(files[:1], description="one").frames()
    with pytest.raises(SourceError, match=r"a\.jpg is not a picture"):
        next(alone)

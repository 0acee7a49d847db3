"""What training sees is what the runtime makes of a picture, decoded once and kept whole."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

import mejiro.data.pixels
from mejiro.data.hashing import HashedPicture
from mejiro.data.pixels import decode_pixels
from mejiro.errors import DataError
from mejiro_runtime.files import sha256_of
from mejiro_runtime.preprocess import (
    InputSpec,
    Layout,
    Quantization,
    ResizeMode,
    TensorType,
    preprocess,
)
from mejiro_runtime.sources.pictures import read_picture
from mejiro_runtime.types import PixelOrder

SPEC = InputSpec(height=16, width=24, crop_fraction=0.875)


@pytest.fixture
def pictures(write_picture, tmp_path):
    paths = [write_picture(tmp_path / f"{i}.png", i, side=20 + 7 * i) for i in range(6)]
    return [HashedPicture(path, 0, sha256_of(path)) for path in paths]


def expected(pictures, spec):
    return np.concatenate(
        [preprocess(read_picture(p.path), PixelOrder.BGR, spec) for p in pictures]
    )


@pytest.mark.parametrize(
    "spec",
    [
        SPEC,
        replace(SPEC, resize=ResizeMode.LETTERBOX, pad_value=7),
        replace(SPEC, resize=ResizeMode.STRETCH, order=PixelOrder.BGR),
        replace(SPEC, order=PixelOrder.GRAY),
    ],
)
def test_pixels_are_those_of_the_runtime(pictures, spec, tmp_path):
    told = []
    pixels = decode_pixels(
        pictures, spec, tmp_path / "px", on_progress=lambda *done: told.append(done)
    )
    assert pixels.shape == (6, 16, 24, spec.order.channels)
    assert pixels.dtype == np.uint8
    np.testing.assert_array_equal(pixels, expected(pictures, spec))
    assert told == [(done, 6) for done in range(1, 7)]


def test_what_comes_after_the_pixels_changes_nothing(pictures, tmp_path):
    plain = decode_pixels(pictures, SPEC, tmp_path / "px")
    for other in (
        replace(SPEC, scale=(1 / 255,), offset=(-1.0,), dtype=TensorType.FLOAT32),
        replace(SPEC, dtype=TensorType.INT8, quantization=Quantization(0.5, -3)),
        replace(SPEC, layout=Layout.NCHW),
    ):
        np.testing.assert_array_equal(decode_pixels(pictures, other, tmp_path / "px"), plain)
    assert len(list((tmp_path / "px").iterdir())) == 1


def test_decoded_pixels_are_used_again_and_are_not_to_be_changed(pictures, tmp_path):
    first = decode_pixels(pictures, SPEC, tmp_path / "px").copy()
    for picture in pictures:
        picture.path.unlink()
    told = []
    again = decode_pixels(
        pictures, SPEC, tmp_path / "px", on_progress=lambda *done: told.append(done)
    )
    assert isinstance(again, np.memmap)
    assert not again.flags.writeable
    assert told == []
    np.testing.assert_array_equal(again, first)


def test_other_pictures_another_order_or_size_are_other_files(pictures, tmp_path):
    decode_pixels(pictures, SPEC, tmp_path / "px")
    decode_pixels(pictures[::-1], SPEC, tmp_path / "px")
    decode_pixels(pictures[:3], SPEC, tmp_path / "px")
    decode_pixels(pictures, replace(SPEC, width=23), tmp_path / "px")
    assert len(list((tmp_path / "px").iterdir())) == 4


def test_a_file_that_is_not_whole_is_made_anew(pictures, tmp_path):
    whole = decode_pixels(pictures, SPEC, tmp_path / "px").copy()
    (path,) = (tmp_path / "px").iterdir()
    for damaged in (b"", path.read_bytes()[:-1], b"text" * 100, path.read_bytes() + b"0"):
        path.write_bytes(damaged)
        np.testing.assert_array_equal(decode_pixels(pictures, SPEC, tmp_path / "px"), whole)


def test_a_picture_that_cannot_be_read_any_more_is_named_and_nothing_is_left(pictures, tmp_path):
    pictures[2].path.write_bytes(b"text")
    with pytest.raises(DataError, match=r"2\.png is not a picture .*it could be read before"):
        decode_pixels(pictures, SPEC, tmp_path / "px")
    assert list((tmp_path / "px").iterdir()) == []


def test_an_interruption_leaves_nothing(pictures, tmp_path):
    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        decode_pixels(pictures, SPEC, tmp_path / "px", on_progress=interrupt)
    assert list((tmp_path / "px").iterdir()) == []


def test_a_folder_that_cannot_be_written_is_named(pictures, tmp_path):
    (tmp_path / "px").write_text("a file")
    with pytest.raises(DataError, match="px.* cannot be written: .*; the pixels need"):
        decode_pixels(pictures, SPEC, tmp_path / "px")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
def test_a_full_disk_is_an_error_and_no_signal(pictures, tmp_path, monkeypatch):
    @contextlib.contextmanager
    def full(path):
        yield Path("/dev/full")

    monkeypatch.setattr(mejiro.data.pixels, "replacing", full)
    with pytest.raises(DataError, match="No space left on device; the pixels need"):
        decode_pixels(pictures, SPEC, tmp_path / "px")


def test_a_photograph_is_turned_upright_as_on_the_device(tmp_path):
    """The same file through training's pixels and through the runtime: the same pixels, upright."""
    pillow = pytest.importorskip("PIL.Image")
    photo = pillow.new("RGB", (40, 20), (0, 0, 250))
    photo.paste((250, 0, 0), (0, 0, 20, 20))  # the left half is red
    exif = pillow.Exif()
    exif[0x0112] = 6  # turned to the right: left becomes top
    photo.save(tmp_path / "a.jpg", exif=exif, quality=95)
    picture = HashedPicture(tmp_path / "a.jpg", 0, sha256_of(tmp_path / "a.jpg"))
    spec = InputSpec(height=40, width=20)
    pixels = decode_pixels([picture], spec, tmp_path / "px")
    np.testing.assert_array_equal(pixels, expected([picture], spec))
    assert pixels[0, :16, :, 0].min() > 230
    assert pixels[0, -16:, :, 0].max() < 20


def test_memory_stays_small(tmp_path):
    """A thousand pictures of 256x256 are 197 MB; reading them takes a fraction of that."""
    import subprocess
    import sys

    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 3)).astype(np.uint8)
    assert cv2.imwrite(str(tmp_path / "a.png"), pixels)
    program = f"""
import resource
from pathlib import Path
from mejiro.data.hashing import HashedPicture
from mejiro.data.pixels import decode_pixels
from mejiro_runtime.preprocess import InputSpec
pictures = [HashedPicture(Path({str(tmp_path / "a.png")!r}), 0, "0" * 64)] * 1000
decode_pixels(pictures[:1], InputSpec(256, 256), Path({str(tmp_path / "px")!r}))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
decode_pixels(pictures, InputSpec(256, 256), Path({str(tmp_path / "px")!r}))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, check=True, text=True
    )
    assert int(run.stdout) < 40_000

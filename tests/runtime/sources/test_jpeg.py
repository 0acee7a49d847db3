"""A picture from a stream says how large it is before anyone makes room for it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mejiro_runtime.sources.jpeg import MAX_PIXELS, decode, pixel_count


def encoded(cv2, height: int, width: int, *flags: int) -> bytes:
    _, data = cv2.imencode(".jpg", np.full((height, width, 3), 90, np.uint8), list(flags))
    return bytes(data)


@pytest.mark.parametrize(("height", "width"), [(1, 1), (480, 640), (31, 257)])
@pytest.mark.parametrize("progressive", [0, 1])
def test_the_size_is_read_without_decoding(cv2, height: int, width: int, progressive: int) -> None:
    data = encoded(cv2, height, width, cv2.IMWRITE_JPEG_PROGRESSIVE, progressive)
    assert pixel_count(data) == height * width
    pixels = decode(data)
    assert pixels is not None
    assert pixels.shape == (height, width, 3)


def test_a_small_file_that_would_fill_the_memory_is_left_alone(cv2) -> None:
    data = bytearray(encoded(cv2, 16, 16))
    at = data.index(b"\xff\xc0")
    data[at + 5 : at + 9] = b"\xff\xdc" * 2  # 65500 x 65500
    assert pixel_count(bytes(data)) > MAX_PIXELS
    assert decode(bytes(data)) is None


@given(st.binary(max_size=200), st.booleans())
def test_anything_has_a_size_or_none(data: bytes, begun: bool) -> None:
    assert pixel_count(b"\xff\xd8\xff" + data if begun else data) >= 0

"""Check that thumbnails show the middle of their pictures, in the right colours."""

from __future__ import annotations

import base64

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mejiro.report.pictures import crop_to, data_uri


@given(
    st.tuples(st.integers(1, 90), st.integers(1, 90)),
    st.tuples(st.integers(1, 60), st.integers(1, 60)),
)
def test_any_picture_fills_any_thumbnail(size: tuple[int, int], wanted: tuple[int, int]) -> None:
    made = crop_to(np.full((*size, 3), 7, dtype=np.uint8), *wanted)
    assert made.shape == (wanted[1], wanted[0], 3)
    assert (made == 7).all()


def test_the_middle_is_kept() -> None:
    picture = np.zeros((30, 90, 3), dtype=np.uint8)
    picture[:, 30:60] = 255
    assert (crop_to(picture, 10, 10) == 255).all()


@pytest.mark.parametrize("bgr", [(200, 20, 20), (20, 20, 200)])
def test_a_data_address_holds_the_picture(bgr: tuple[int, int, int]) -> None:
    address = data_uri(np.full((24, 32, 3), bgr, dtype=np.uint8))
    kind, _, text = address.partition(",")
    assert kind == "data:image/jpeg;base64"
    found = cv2.imdecode(np.frombuffer(base64.b64decode(text), np.uint8), cv2.IMREAD_COLOR)
    assert found.shape == (24, 32, 3)
    assert np.abs(found.astype(int) - np.array(bgr)).max() <= 6

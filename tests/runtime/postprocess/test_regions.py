"""A box of the tensor comes back to where it was in the frame, whatever the way there."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mejiro_runtime.postprocess.regions import to_frame, to_tensor
from mejiro_runtime.preprocess import InputSpec, Preprocessor, ResizeMode, place
from mejiro_runtime.types import PixelOrder

sides = st.integers(1, 700)
specs = st.builds(
    InputSpec,
    height=st.integers(1, 320),
    width=st.integers(1, 320),
    resize=st.sampled_from(ResizeMode),
    crop_fraction=st.sampled_from([1.0, 0.875, 0.5]),
)


@given(specs, sides, sides, st.lists(st.tuples(*[st.floats(-2, 3)] * 4), min_size=1, max_size=5))
def test_there_and_back(spec: InputSpec, height: int, width: int, shares: list) -> None:
    boxes = np.array(shares) * [width, height, width, height]
    there = to_tensor(boxes, spec, height, width)
    back = to_frame(there, spec, height, width, clip=False)
    np.testing.assert_allclose(back, boxes, atol=1e-6 * max(height, width))


@given(specs, sides, sides)
def test_the_picture_in_the_tensor_is_its_region_of_the_frame(
    spec: InputSpec, height: int, width: int
) -> None:
    where = place(spec, height, width)
    inner = [
        where.left,
        where.top,
        where.left + where.inner_width,
        where.top + where.inner_height,
    ]
    found = to_frame(np.array([inner]), spec, height, width)[0]
    region = [where.x, where.y, where.x + where.width, where.y + where.height]
    np.testing.assert_allclose(found, region, atol=1e-9 * max(height, width))


def test_what_lies_outside_of_the_frame_is_cut_off() -> None:
    spec = InputSpec(10, 10, resize=ResizeMode.LETTERBOX)
    boxes = np.array([[-5, -5, 20, 20], [0, 0, 10, 2.5]])
    found = to_frame(boxes, spec, 40, 80)
    assert found.tolist() == [[0, 0, 80, 40], [0, 0, 80, 4]]


@pytest.mark.parametrize("mode", ResizeMode)
def test_a_bright_block_is_found_where_it_was(mode: ResizeMode) -> None:
    spec = InputSpec(64, 64, resize=mode)
    pixels = np.zeros((300, 400, 3), np.uint8)
    pixels[120:180, 160:240] = 255
    tensor = Preprocessor(spec)(pixels, PixelOrder.BGR)[0, ..., 0]
    rows, columns = (
        np.flatnonzero(tensor.max(axis=1) > 127),
        np.flatnonzero(tensor.max(axis=0) > 127),
    )
    box = np.array([[columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]])
    found = to_frame(box, spec, 300, 400)[0]
    np.testing.assert_allclose(found, [160, 120, 240, 180], atol=400 / 64)

"""A map lands on the picture where its input came from, whatever the crop or the padding."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mejiro.explain.heat import over_picture
from mejiro_runtime.preprocess import InputSpec, ResizeMode, place, preprocess
from mejiro_runtime.types import PixelOrder


@st.composite
def specs(draw: st.DrawFn) -> InputSpec:
    return InputSpec(
        height=draw(st.integers(16, 64)),
        width=draw(st.integers(16, 64)),
        order=PixelOrder.GRAY,
        resize=draw(st.sampled_from(ResizeMode)),
        crop_fraction=draw(st.floats(0.5, 1.0)),
    )


@given(specs(), st.integers(40, 300), st.integers(40, 300), st.data())
def test_a_spot_is_found_again(spec, height, width, data):
    where = place(spec, height, width)
    # A spot that is large enough to survive the shrinking, well inside of what is seen.
    radius = max(2, -(-max(where.width, where.height) // min(spec.width, spec.height)) * 2)
    low_y, high_y = where.y + radius, where.y + where.height - radius - 1
    low_x, high_x = where.x + radius, where.x + where.width - radius - 1
    if low_y > high_y or low_x > high_x:
        return
    y, x = data.draw(st.integers(low_y, high_y)), data.draw(st.integers(low_x, high_x))
    picture = np.zeros((height, width), np.uint8)
    picture[y - radius : y + radius + 1, x - radius : x + radius + 1] = 255
    tensor = preprocess(picture, PixelOrder.GRAY, spec)[0, :, :, 0].astype(np.float32)
    heat = over_picture(tensor, spec, height, width)
    found = np.array([(heat.sum(1) @ np.arange(height)), (heat.sum(0) @ np.arange(width))])
    found /= heat.sum()
    scale = max(where.height / where.inner_height, where.width / where.inner_width, 1)
    assert np.abs(found - (y, x)).max() <= 1.5 * scale


@given(specs(), st.integers(20, 200), st.integers(20, 200), st.integers(1, 9), st.integers(1, 9))
def test_even_heat_stays_even_and_inside_of_what_is_seen(spec, height, width, rows, columns):
    heat = over_picture(np.full((rows, columns), 3, np.float32), spec, height, width)
    where = place(spec, height, width)
    inside = np.zeros((height, width), bool)
    inside[where.y : where.y + where.height, where.x : where.x + where.width] = True
    assert heat.shape == (height, width)
    assert heat[inside] == pytest.approx(3.0, abs=1e-4)
    assert not heat[~inside].any()


def test_a_drawing_samples_the_same_heat():
    spec = InputSpec(32, 32, crop_fraction=0.8)
    coarse = np.random.default_rng(0).random((4, 4), dtype=np.float32)
    whole = over_picture(coarse, spec, 120, 160)
    drawn = over_picture(coarse, spec, 120, 160, size=(60, 80))
    assert drawn == pytest.approx(
        whole.reshape(60, 2, 80, 2).mean(axis=(1, 3)), abs=float(whole.max()) / 4
    )
    assert np.abs(drawn - whole[::2, ::2])[20:40, 25:55].max() < 0.1


def test_one_cell_is_hottest_at_its_own_centre():
    spec = InputSpec(32, 32, resize=ResizeMode.STRETCH)
    coarse = np.zeros((4, 4), np.float32)
    coarse[1, 2] = 1
    heat = over_picture(coarse, spec, 80, 80)
    rows, columns = np.nonzero(heat == heat.max())
    assert rows.mean() == pytest.approx(29.5)  # cell 1 spans the pixels 20 to 39
    assert columns.mean() == pytest.approx(49.5)

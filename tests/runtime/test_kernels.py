"""Both kernels give the bytes that the definition gives, and no others."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mejiro_runtime.kernels import LUMA_WEIGHTS, NumpyKernel, OpenCVKernel, default_kernel
from mejiro_runtime.types import PixelOrder

TARGETS = (PixelOrder.RGB, PixelOrder.BGR, PixelOrder.GRAY)
SIDES = st.integers(1, 40)


def random_pixels(seed: int, height: int, width: int, channels: int | None = 3) -> Any:
    """Return noise that hits 0 and 255 often, which is where sums overflow."""
    rng = np.random.default_rng(seed)
    shape = (height, width) if channels is None else (height, width, channels)
    noise = rng.integers(-80, 336, shape)
    return np.clip(noise, 0, 255).astype(np.uint8)


def shape_of(order: PixelOrder) -> int | None:
    return None if order is PixelOrder.GRAY else order.channels


@pytest.fixture(scope="module")
def opencv_kernel(cv2: Any) -> OpenCVKernel:
    """Return one kernel for many frames, as a program has it: its scratch space is used again."""
    return OpenCVKernel()


def exact_resize(pixels: Any, width: int, height: int) -> Any:
    """Do what the module's docstring says, one pixel and one fraction at a time."""

    def taps(size_in: int, size_out: int) -> list[tuple[int, int, int]]:
        found = []
        for index in range(size_out):
            place = (index + Fraction(1, 2)) * Fraction(size_in, size_out) - Fraction(1, 2)
            left = place.numerator // place.denominator
            weight = round((place - left) * 256)  # Fractions round half to even, as rint does
            if left < 0:
                found.append((0, 0, 0))
            elif left >= size_in - 1:
                found.append((size_in - 1, size_in - 1, 0))
            else:
                found.append((left, left + 1, weight))
        return found

    rows, columns = taps(pixels.shape[0], height), taps(pixels.shape[1], width)
    real = pixels.astype(object)
    out = np.empty((height, width, *pixels.shape[2:]), dtype=np.uint8)
    for y, (top, bottom, down) in enumerate(rows):
        for x, (left, right, across) in enumerate(columns):
            upper = real[top, left] * (256 - across) + real[top, right] * across
            lower = real[bottom, left] * (256 - across) + real[bottom, right] * across
            out[y, x] = (upper * (256 - down) + lower * down + (1 << 15)) // (1 << 16)
    return out


@given(
    seed=st.integers(0, 2**32),
    size_in=st.tuples(st.integers(1, 12), st.integers(1, 12)),
    size_out=st.tuples(st.integers(1, 12), st.integers(1, 12)),
)
def test_the_numpy_kernel_is_the_definition(seed, size_in, size_out) -> None:
    pixels = random_pixels(seed, *size_in)
    height, width = size_out
    made = NumpyKernel().linear_exact(pixels, width, height)
    assert made.dtype == np.uint8
    np.testing.assert_array_equal(made, exact_resize(pixels, width, height))


@pytest.mark.parametrize(
    ("size_in", "size_out"),
    [((420, 420), (224, 224)), ((77, 513), (128, 300)), ((1, 640), (7, 33)), ((500, 1), (9, 9))],
)
def test_opencv_agrees_with_the_definition_by_its_own_function(cv2, size_in, size_out) -> None:
    pixels = random_pixels(1, *size_in)
    made = NumpyKernel().linear_exact(pixels, size_out[1], size_out[0])
    theirs = cv2.resize(pixels, size_out[::-1], interpolation=cv2.INTER_LINEAR_EXACT)
    np.testing.assert_array_equal(made, theirs)


@given(size_in=st.integers(1, 1200), size_out=st.sampled_from([256, 512, 768]))
@settings(max_examples=200)
def test_weights_half_way_between_two_numbers_are_rounded_as_opencv_does(
    opencv_kernel, size_in, size_out
) -> None:
    pixels = random_pixels(size_in, 1, size_in, None)
    ours = NumpyKernel().linear_exact(pixels, size_out, 1)
    np.testing.assert_array_equal(opencv_kernel.linear_exact(pixels, size_out, 1), ours)


@given(
    seed=st.integers(0, 2**32),
    size_in=st.tuples(SIDES, SIDES),
    size_out=st.tuples(SIDES, SIDES),
    channels=st.sampled_from([None, 3, 4]),
)
@settings(max_examples=200)
def test_opencv_gives_the_bytes_that_numpy_gives(
    opencv_kernel, seed, size_in, size_out, channels
) -> None:
    pixels = random_pixels(seed, *size_in, channels)
    height, width = size_out
    ours = NumpyKernel().linear_exact(pixels, width, height)
    np.testing.assert_array_equal(opencv_kernel.linear_exact(pixels, width, height), ours)


@given(
    seed=st.integers(0, 2**32),
    size=st.tuples(st.integers(1, 20), st.integers(1, 20)),
    channels=st.sampled_from([None, 3]),
)
def test_halving_is_the_exact_mean_rounded_half_up(seed, size, channels) -> None:
    height, width = size
    pixels = random_pixels(seed, 2 * height, 2 * width, channels)
    wide = pixels.astype(np.int64)
    total = wide[::2, ::2] + wide[::2, 1::2] + wide[1::2, ::2] + wide[1::2, 1::2]
    half = NumpyKernel().linear_exact(pixels, width, height)
    np.testing.assert_array_equal(half, (total + 2) // 4)
    upright = NumpyKernel().linear_exact(pixels, 2 * width, height)
    np.testing.assert_array_equal(upright, (wide[::2] + wide[1::2] + 1) // 2)


def test_a_plain_picture_stays_plain() -> None:
    for value in (0, 1, 127, 254, 255):
        pixels = np.full((13, 29, 3), value, dtype=np.uint8)
        for size in ((29, 13), (7, 5), (64, 100), (14, 6)):
            assert (NumpyKernel().linear_exact(pixels, *size) == value).all()


@given(
    seed=st.integers(0, 2**32),
    source=st.sampled_from(PixelOrder),
    target=st.sampled_from(TARGETS),
    size_in=st.tuples(SIDES, SIDES),
    size_out=st.tuples(SIDES, SIDES),
    same_size=st.booleans(),
    margin=st.integers(0, 2),
)
@settings(max_examples=300)
def test_kernels_agree_on_every_order_and_size(
    opencv_kernel, seed, source, target, size_in, size_out, same_size, margin
) -> None:
    size_out = size_in if same_size else size_out
    pixels = random_pixels(seed, *size_in, shape_of(source))
    made = []
    for kernel in (NumpyKernel(), opencv_kernel):
        # A letterbox writes into the middle of a canvas, and nowhere else.
        canvas = np.full(
            (size_out[0] + 2 * margin, size_out[1] + 2 * margin, target.channels), 77, np.uint8
        )
        inner = canvas[margin : margin + size_out[0], margin : margin + size_out[1]]
        kernel.resize_and_reorder(pixels, source, target, size_out[1], size_out[0], inner)
        made.append(canvas)
    np.testing.assert_array_equal(made[0], made[1])
    outside = np.ones(made[0].shape, dtype=bool)
    outside[margin : margin + size_out[0], margin : margin + size_out[1]] = False
    assert (made[0][outside] == 77).all()


@pytest.mark.parametrize("source", PixelOrder)
def test_each_order_means_what_it_says(source: PixelOrder) -> None:
    colour = {"r": 200, "g": 100, "b": 50, "a": 9, "y": 120}
    values = [colour[letter] for letter in ("y" if source is PixelOrder.GRAY else source.value)]
    pixels = np.array([[values]], dtype=np.uint8)
    if source is PixelOrder.GRAY:
        pixels = pixels[..., 0]
    rgb = (120, 120, 120) if source is PixelOrder.GRAY else (200, 100, 50)
    weighted = sum(v * w for v, w in zip(rgb, LUMA_WEIGHTS, strict=True))
    luma = (weighted + (1 << 14)) >> 15
    wanted = {PixelOrder.RGB: rgb, PixelOrder.BGR: rgb[::-1], PixelOrder.GRAY: (luma,)}
    for target, expected in wanted.items():
        out = np.zeros((1, 1, target.channels), dtype=np.uint8)
        NumpyKernel().resize_and_reorder(pixels, source, target, 1, 1, out)
        assert tuple(out[0, 0]) == expected


def test_luma_weights_add_up_to_one() -> None:
    assert sum(LUMA_WEIGHTS) == 1 << 15


@pytest.mark.parametrize("dtype", ["uint8", "int8", "float32"])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("planes", [False, True], ids=["nhwc", "nchw"])
def test_a_lookup_takes_each_channel_from_its_column(cv2, dtype, channels, planes) -> None:
    rng = np.random.default_rng(2)
    table = rng.integers(-100, 100, (256, channels)).astype(dtype)
    pixels = random_pixels(3, 17, 9, channels)
    wanted = np.stack([table[pixels[..., c], c] for c in range(channels)], axis=2)
    for kernel in (NumpyKernel(), OpenCVKernel()):
        if planes:
            out = np.zeros((channels, 17, 9), dtype).transpose(1, 2, 0)
        else:
            out = np.zeros((17, 9, channels), dtype)
        kernel.lookup(pixels, table, out)
        np.testing.assert_array_equal(out, wanted)


AWKWARD = {
    "mirrored": lambda pixels: pixels[:, ::-1],
    "upside down": lambda pixels: pixels[::-1],
    "turned": lambda pixels: pixels.transpose(1, 0, 2),
    "every other": lambda pixels: pixels[::2, ::3],
    "channels swapped in place": lambda pixels: pixels[..., ::-1],
    "Fortran order": np.asfortranarray,
}


@pytest.mark.parametrize("view", AWKWARD)
@pytest.mark.parametrize("target", TARGETS)
def test_frames_may_lie_in_memory_as_they_like(opencv_kernel, view, target) -> None:
    pixels = AWKWARD[view](random_pixels(4, 24, 36))
    pixels.setflags(write=False)
    made = []
    for kernel in (NumpyKernel(), opencv_kernel):
        out = np.zeros((10, 11, target.channels), dtype=np.uint8)
        kernel.resize_and_reorder(pixels, PixelOrder.BGR, target, 11, 10, out)
        made.append(out)
    np.testing.assert_array_equal(made[0], made[1])


def test_the_default_is_opencv_where_there_is_one(monkeypatch) -> None:
    monkeypatch.setattr("mejiro_runtime.opencv.available", lambda: False)
    assert default_kernel().name == "numpy"


def test_the_opencv_kernel_says_its_version(cv2, opencv_kernel) -> None:
    assert default_kernel().name == opencv_kernel.name == f"opencv {cv2.__version__}"

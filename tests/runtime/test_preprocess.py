"""What a frame becomes is what its specification says, to the last bit, for any frame."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from mejiro_runtime.errors import SpecError
from mejiro_runtime.kernels import NumpyKernel, OpenCVKernel
from mejiro_runtime.preprocess import (
    MAX_SIDE,
    InputSpec,
    Layout,
    Preprocessor,
    Quantization,
    ResizeMode,
    TensorType,
    covered,
    place,
    preprocess,
)
from mejiro_runtime.types import PixelOrder

MODEL_ORDERS = (PixelOrder.RGB, PixelOrder.BGR, PixelOrder.GRAY)
FACTORS = st.floats(-300, 300, allow_nan=False)


@st.composite
def specifications(draw: st.DrawFn, *, side: int = 40) -> InputSpec:
    """Draw any specification that is allowed, with sides up to `side`."""
    order = draw(st.sampled_from(MODEL_ORDERS))
    dtype = draw(st.sampled_from(TensorType))
    quantization = None
    if dtype is not TensorType.FLOAT32 and draw(st.booleans()):
        limits = np.iinfo(dtype.value)
        quantization = Quantization(
            draw(st.floats(1e-4, 4)), draw(st.integers(int(limits.min), int(limits.max)))
        )
    count = draw(st.sampled_from([1, order.channels]))
    return InputSpec(
        height=draw(st.integers(1, side)),
        width=draw(st.integers(1, side)),
        order=order,
        resize=draw(st.sampled_from(ResizeMode)),
        crop_fraction=draw(st.floats(0.01, 1)),
        pad_value=draw(st.integers(0, 255)),
        scale=draw(st.tuples(*[FACTORS] * count)),
        offset=draw(st.tuples(*[FACTORS] * count)),
        dtype=dtype,
        quantization=quantization,
        layout=draw(st.sampled_from(Layout)),
    )


@st.composite
def frames(draw: st.DrawFn, *, side: int = 90) -> tuple[Any, PixelOrder]:
    """Draw a frame of noise, of any order and shape."""
    order = draw(st.sampled_from(PixelOrder))
    shape: tuple[int, ...] = (draw(st.integers(1, side)), draw(st.integers(1, side)))
    if order is not PixelOrder.GRAY:
        shape = (*shape, order.channels)
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    return rng.integers(0, 256, shape, dtype=np.uint8), order


@given(specifications(side=MAX_SIDE))
def test_a_specification_survives_json(spec: InputSpec) -> None:
    assert InputSpec.from_json(json.loads(json.dumps(spec.to_json()))) == spec


def test_only_the_size_must_be_given() -> None:
    assert InputSpec.from_json({"height": 3, "width": 4}) == InputSpec(3, 4)
    for missing in ("height", "width"):
        value = {"height": 3, "width": 4}
        del value[missing]
        with pytest.raises(SpecError, match=f"no '{missing}'"):
            InputSpec.from_json(value)


WRONG = {
    "height": [0, -1, MAX_SIDE + 1, 1.5, "3", None, True],
    "width": [0, MAX_SIDE + 1, [3]],
    "order": ["rgba", "RGB", "", 3],
    "resize": ["fit", None],
    "crop_fraction": [0, -0.5, 1.01, float("nan"), "all"],
    "pad_value": [-1, 256, 1.5],
    "interpolation": ["nearest", "linear"],
    "scale": [[], [1, 2], [1, 2, 3, 4], [float("nan")], [float("inf")], [1e40], ["a"], 1],
    "offset": [[], [0, 0], [float("-inf")], [-1e40], None],
    "dtype": ["float64", "int16", 8],
    "layout": ["hwc", "NHWC"],
    "quantization": [
        {"scale": 0.0, "zero_point": 0},
        {"scale": -1.0, "zero_point": 0},
        {"scale": 1e-300, "zero_point": 0},
        {"scale": float("inf"), "zero_point": 0},
        {"scale": float("nan"), "zero_point": 0},
        {"scale": 1.0, "zero_point": 256},
        {"scale": 1.0, "zero_point": -1},
        {"scale": 1.0, "zero_point": 10**400},
        {"scale": 1.0, "zero_point": 0.5},
        {"scale": 1.0},
        {"scale": 1.0, "zero_point": 0, "axis": 3},
        [1.0, 0],
    ],
    "colour": ["rgb"],
}


@pytest.mark.parametrize(
    ("field", "value"), [(field, value) for field, values in WRONG.items() for value in values]
)
def test_wrong_values_and_fields_are_refused(field: str, value: Any) -> None:
    with pytest.raises(SpecError, match=r"\S"):
        InputSpec.from_json({"height": 8, "width": 8, field: value})


def test_a_float_tensor_has_no_quantization() -> None:
    with pytest.raises(SpecError, match="float32 input has no quantization"):
        InputSpec(8, 8, dtype=TensorType.FLOAT32, quantization=Quantization(1.0, 0))


@given(specifications(), st.data())
def test_damaged_json_is_refused_or_a_specification(spec: InputSpec, data: st.DataObject) -> None:
    value = spec.to_json()
    field = data.draw(st.sampled_from(sorted(value)))
    value[field] = data.draw(
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats()
        | st.text(max_size=8)
        | st.lists(st.floats() | st.integers(), max_size=4)
        | st.dictionaries(st.sampled_from(["scale", "zero_point"]), st.floats() | st.integers())
    )
    try:
        read = InputSpec.from_json(value)
    except SpecError:
        return
    # Whatever is accepted must work, without overflow or a warning.
    table = read.table()
    assert table.shape == (256, read.order.channels)
    assert np.isfinite(table.astype(np.float64)).all()


def test_the_shape_follows_the_layout() -> None:
    assert InputSpec(3, 5).shape == (1, 3, 5, 3)
    assert InputSpec(3, 5, layout=Layout.NCHW).shape == (1, 3, 3, 5)
    assert InputSpec(3, 5, order=PixelOrder.GRAY).shape == (1, 3, 5, 1)


# The table.


@given(specifications())
def test_a_table_is_what_its_formula_says(spec: InputSpec) -> None:
    table = spec.table()
    assert table.dtype == spec.dtype.value
    channels = spec.order.channels
    for c in range(channels):
        scale, offset = (v[c % len(v)] for v in (spec.scale, spec.offset))
        for pixel in (0, 1, 127, 254, 255):
            real = pixel * scale + offset  # Python's floats are float64
            if spec.dtype is TensorType.FLOAT32:
                assert table[pixel, c] == np.float32(real)
                continue
            if spec.quantization is not None:
                real = real / spec.quantization.scale + spec.quantization.zero_point
            limits = np.iinfo(spec.dtype.value)
            assert table[pixel, c] == min(max(round(real), limits.min), limits.max)


def test_an_integer_table_clips_instead_of_wrapping() -> None:
    table = InputSpec(1, 1, scale=(2.0,), offset=(-100.0,)).table()
    assert table[0, 0] == 0
    assert table[255, 0] == 255
    signed = InputSpec(
        1, 1, dtype=TensorType.INT8, scale=(1 / 64,), quantization=Quantization(1 / 128, -64)
    )
    assert (signed.table().min(), signed.table().max()) == (-64, 127)


# Where a frame lands.


@given(
    spec=specifications(side=600),
    height=st.integers(1, 9000),
    width=st.integers(1, 9000),
)
@settings(max_examples=300)
def test_a_frame_lands_inside_and_in_the_middle(spec: InputSpec, height: int, width: int) -> None:
    where = place(spec, height, width)
    # The region lies in the frame, centred to the pixel.
    assert where.width >= 1
    assert where.height >= 1
    for start, size, whole in ((where.x, where.width, width), (where.y, where.height, height)):
        assert start >= 0
        assert start + size <= whole
        assert 0 <= (whole - size - start) - start <= 1
    # The inner box lies in the tensor, centred to the pixel.
    for start, size, whole in (
        (where.left, where.inner_width, spec.width),
        (where.top, where.inner_height, spec.height),
    ):
        assert size >= 1
        assert start >= 0
        assert 0 <= (whole - size - start) - start <= 1
    # Halving divides exactly, stops in time, and leaves less than a factor of two.
    for size, halve, inner in (
        (where.width, where.halve_x, where.inner_width),
        (where.height, where.halve_y, where.inner_height),
    ):
        assert size % (1 << halve) == 0
        assert halve == 0 or size >> halve >= inner
        assert size >> halve < 2 * inner


@given(spec=specifications(side=300), height=st.integers(1, 4000), width=st.integers(1, 4000))
def test_modes_keep_what_they_promise(spec: InputSpec, height: int, width: int) -> None:
    where = place(spec, height, width)
    lost_w, lost_h = (1 << where.halve_x) - 1, (1 << where.halve_y) - 1
    if spec.resize is not ResizeMode.CROP:
        assert width - lost_w <= where.width <= width
        assert height - lost_h <= where.height <= height
    if spec.resize is ResizeMode.LETTERBOX:
        assert spec.width == where.inner_width or spec.height == where.inner_height
        ratio = min(spec.width / width, spec.height / height)
        assert abs(where.inner_width - max(1, width * ratio)) <= 0.5
        assert abs(where.inner_height - max(1, height * ratio)) <= 0.5
    else:
        assert (where.inner_width, where.inner_height) == (spec.width, spec.height)
    if spec.resize is ResizeMode.CROP:
        fit = min(width / spec.width, height / spec.height) * spec.crop_fraction
        for size, lost, side in (
            (where.width, lost_w, spec.width),
            (where.height, lost_h, spec.height),
        ):
            assert size <= max(1, fit * side + 1e-6)
            assert size > fit * side - 1 - lost - 1e-6


@given(
    spec=specifications(side=600),
    height=st.integers(1, 9000),
    width=st.integers(1, 9000),
)
def test_what_the_tensor_covers_is_where_the_frame_was_placed(
    spec: InputSpec, height: int, width: int
) -> None:
    where, box = place(spec, height, width), covered(spec, height, width)
    # The part of the tensor that the frame fills lies over the region that it was made of.
    for low, high, side, start, size, left, inner in (
        (box.left, box.right, spec.width, where.x, where.width, where.left, where.inner_width),
        (box.top, box.bottom, spec.height, where.y, where.height, where.top, where.inner_height),
    ):
        scale = (high - low) / side
        assert low + left * scale == pytest.approx(start, abs=1e-6)
        assert low + (left + inner) * scale == pytest.approx(start + size, abs=1e-6)


def test_the_usual_camera_is_cropped_as_the_papers_say() -> None:
    where = place(InputSpec(224, 224, crop_fraction=0.875), 480, 640)
    assert (where.x, where.y, where.width, where.height) == (110, 30, 420, 420)
    assert (where.halve_x, where.halve_y) == (0, 0)


def test_a_large_frame_is_halved_first() -> None:
    where = place(InputSpec(224, 224), 4320, 7680)
    assert (where.width, where.height) == (4320, 4320)
    assert (where.halve_x, where.halve_y) == (4, 4)


# The whole way.


@given(frame=frames(side=40), mode=st.sampled_from(ResizeMode))
def test_an_identity_changes_no_pixel(frame: tuple[Any, PixelOrder], mode: ResizeMode) -> None:
    pixels, order = frame
    assume(order.channels < 4)
    height, width = pixels.shape[:2]
    spec = InputSpec(height, width, order=order, resize=mode)
    before = pixels.copy()
    tensor = preprocess(pixels, order, spec)
    assert tensor.shape == spec.shape
    assert tensor.dtype == np.uint8
    np.testing.assert_array_equal(tensor.reshape(pixels.shape), pixels)
    np.testing.assert_array_equal(pixels, before)
    planes = preprocess(pixels, order, replace(spec, layout=Layout.NCHW))
    np.testing.assert_array_equal(planes, tensor.transpose(0, 3, 1, 2))


@given(frame=frames(), spec=specifications())
def test_swapped_channels_are_seen(frame: tuple[Any, PixelOrder], spec: InputSpec) -> None:
    pixels, order = frame
    assume(order in (PixelOrder.RGB, PixelOrder.BGR))
    other = PixelOrder.BGR if order is PixelOrder.RGB else PixelOrder.RGB
    right = preprocess(pixels, order, spec)
    # Swapping the pixels and saying so is no change at all.
    np.testing.assert_array_equal(preprocess(pixels[..., ::-1], other, spec), right)
    plain = InputSpec(spec.height, spec.width, resize=spec.resize, pad_value=spec.pad_value)
    wrong = preprocess(pixels, other, plain)
    np.testing.assert_array_equal(wrong, preprocess(pixels, order, plain)[..., ::-1])


@given(frame=frames(), spec=specifications())
@settings(max_examples=200)
def test_every_kernel_gives_the_same_tensor(cv2, frame, spec) -> None:
    pixels, order = frame
    ours = Preprocessor(spec, kernel=NumpyKernel())(pixels, order)
    theirs = Preprocessor(spec, kernel=OpenCVKernel())(pixels, order)
    assert ours.dtype == theirs.dtype == spec.dtype.value
    assert ours.shape == theirs.shape == spec.shape
    np.testing.assert_array_equal(ours, theirs)


@given(frame=frames(), spec=specifications())
def test_a_tensor_is_the_table_of_the_resized_pixels(frame, spec) -> None:
    pixels, order = frame
    plain = replace(
        spec,
        scale=(1.0,),
        offset=(0.0,),
        dtype=TensorType.UINT8,
        quantization=None,
        layout=Layout.NHWC,
    )
    resized = preprocess(pixels, order, plain)
    table = spec.table()
    wanted = np.stack([table[resized[..., c], c] for c in range(spec.order.channels)], axis=3)
    if spec.layout is Layout.NCHW:
        wanted = wanted.transpose(0, 3, 1, 2)
    np.testing.assert_array_equal(preprocess(pixels, order, spec), wanted)


@given(spec=specifications(), stream=st.lists(frames(side=60), min_size=2, max_size=4))
def test_a_preprocessor_forgets_the_frame_before(spec, stream) -> None:
    kept = Preprocessor(spec)
    out = kept.empty()
    assert out.shape == spec.shape
    for pixels, order in stream:
        assert kept(pixels, order, out) is out
        np.testing.assert_array_equal(out, preprocess(pixels, order, spec))


def test_a_letterbox_is_padded_through_the_table() -> None:
    spec = InputSpec(
        4, 8, resize=ResizeMode.LETTERBOX, pad_value=114, dtype=TensorType.FLOAT32, scale=(1 / 255,)
    )
    tensor = preprocess(np.full((4, 4, 3), 255, np.uint8), PixelOrder.RGB, spec)
    assert (tensor[0, :, 2:6] == np.float32(1.0)).all()
    assert (tensor[0, :, :2] == np.float32(114 / 255)).all()
    assert (tensor[0, :, 6:] == np.float32(114 / 255)).all()


def test_a_crop_takes_the_middle() -> None:
    pixels = np.zeros((6, 10, 3), np.uint8)
    pixels[:, 2:8] = 200
    assert (preprocess(pixels, PixelOrder.RGB, InputSpec(6, 6)) == 200).all()


def test_a_checkerboard_shrinks_to_grey_instead_of_aliasing() -> None:
    pixels = np.indices((512, 512)).sum(axis=0).astype(np.uint8) % 2 * 255
    tensor = preprocess(pixels, PixelOrder.GRAY, InputSpec(64, 64, order=PixelOrder.GRAY))
    assert set(np.unique(tensor)) == {128}


@pytest.mark.parametrize("order", PixelOrder)
@pytest.mark.parametrize("kernel", [NumpyKernel, OpenCVKernel])
def test_one_pixel_fills_the_tensor(request, order, kernel) -> None:
    if kernel is OpenCVKernel:
        request.getfixturevalue("cv2")
    pixels = np.full((1, 1, order.channels), 50, np.uint8)
    pixels = pixels[..., 0] if order is PixelOrder.GRAY else pixels
    for mode in (ResizeMode.CROP, ResizeMode.STRETCH, ResizeMode.LETTERBOX):
        tensor = Preprocessor(InputSpec(9, 9, resize=mode), kernel=kernel())(pixels, order)
        assert (tensor == 50).all()


@pytest.mark.parametrize("shape", [(4320, 7680, 3), (1, 7680, 3), (4319, 3, 3)])
def test_8k_frames_agree_between_kernels(cv2, shape) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    spec = InputSpec(64, 64, resize=ResizeMode.LETTERBOX)
    ours = Preprocessor(spec, kernel=NumpyKernel())(pixels, PixelOrder.BGR)
    theirs = Preprocessor(spec, kernel=OpenCVKernel())(pixels, PixelOrder.BGR)
    np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize(
    ("pixels", "order", "message"),
    [
        (np.zeros((4, 4, 3), np.float32), PixelOrder.RGB, "uint8, found float32"),
        (np.zeros((4, 4, 3), np.int8), PixelOrder.RGB, "uint8, found int8"),
        (np.zeros((4, 4, 3), np.uint8), PixelOrder.RGBA, "rgba frame cannot have the shape"),
        (np.zeros((4, 4, 4), np.uint8), PixelOrder.BGR, "bgr frame cannot have the shape"),
        (np.zeros((4, 4), np.uint8), PixelOrder.RGB, "rgb frame cannot have the shape"),
        (np.zeros((4, 4, 3), np.uint8), PixelOrder.GRAY, "gray frame cannot have the shape"),
        (np.zeros((1, 4, 4, 3), np.uint8), PixelOrder.RGB, "cannot have the shape"),
        (np.zeros((0, 4, 3), np.uint8), PixelOrder.RGB, "at least one pixel"),
        (np.zeros((4, 0), np.uint8), PixelOrder.GRAY, "at least one pixel"),
    ],
)
def test_what_is_no_frame_is_refused(pixels, order, message) -> None:
    with pytest.raises(SpecError, match=message):
        preprocess(pixels, order, InputSpec(8, 8))


def test_a_grey_frame_may_keep_its_last_axis() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 1), dtype=np.uint8)
    spec = InputSpec(4, 4)
    np.testing.assert_array_equal(
        preprocess(pixels, PixelOrder.GRAY, spec), preprocess(pixels[..., 0], PixelOrder.GRAY, spec)
    )

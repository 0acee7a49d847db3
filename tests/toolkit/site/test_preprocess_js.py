"""The page makes the same tensors as the runtime, to the last bit, of any frame for any model."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mejiro_runtime.kernels import NumpyKernel
from mejiro_runtime.preprocess import (
    InputSpec,
    Layout,
    Preprocessor,
    Quantization,
    ResizeMode,
    TensorType,
    place,
)
from mejiro_runtime.types import PixelOrder

pytestmark = [pytest.mark.browser, pytest.mark.requires_tool("chromium")]

RUN = """
async ({spec, frames}) => {
  const { Preprocessor } = await import("/core/preprocess.js");
  const bytes = (text) => Uint8Array.from(atob(text), (one) => one.charCodeAt(0));
  const preprocessor = new Preprocessor(spec);
  return frames.map((frame) => {
    const made = preprocessor.run({...frame, data: bytes(frame.data)});
    const raw = new Uint8Array(made.buffer, made.byteOffset, made.byteLength);
    let text = "";
    for (const one of raw) text += String.fromCharCode(one);
    return {data: btoa(text), shape: preprocessor.shape, type: made.constructor.name};
  });
}
"""
PLACES = """
async (cases) => {
  const { place } = await import("/core/placement.js");
  return cases.map(([spec, height, width]) => Object.values(place(spec, height, width)));
}
"""

SIDES = st.integers(1, 40)
FACTORS = st.sampled_from([1.0, 1 / 255, 1 / 127.5, 0.0173, -0.02, 3.7])
OFFSETS = st.sampled_from([0.0, -1.0, -117.3, 0.5, 255.0])


@st.composite
def specs(draw: st.DrawFn) -> InputSpec:
    order = draw(st.sampled_from([PixelOrder.RGB, PixelOrder.BGR, PixelOrder.GRAY]))
    dtype = draw(st.sampled_from(list(TensorType)))
    count = draw(st.sampled_from([1, order.channels]))
    quantization = None
    if dtype is not TensorType.FLOAT32 and draw(st.booleans()):
        limits = np.iinfo(dtype.value)
        quantization = Quantization(
            draw(st.sampled_from([1 / 255, 0.0078431, 1.0, 0.01865])),
            draw(st.integers(int(limits.min), int(limits.max))),
        )
    return InputSpec(
        height=draw(SIDES),
        width=draw(SIDES),
        order=order,
        resize=draw(st.sampled_from(list(ResizeMode))),
        crop_fraction=draw(st.floats(0.05, 1.0)),
        pad_value=draw(st.integers(0, 255)),
        scale=tuple(draw(FACTORS) for _ in range(count)),
        offset=tuple(draw(OFFSETS) for _ in range(count)),
        dtype=dtype,
        quantization=quantization,
        layout=draw(st.sampled_from(list(Layout))),
    )


def made_by_page(page: Any, spec: InputSpec, frames: list[tuple[Any, PixelOrder]]) -> list[Any]:
    sent = [
        {
            "data": base64.b64encode(pixels.tobytes()).decode(),
            "width": pixels.shape[1],
            "height": pixels.shape[0],
            "order": order.value,
        }
        for pixels, order in frames
    ]
    made = page.evaluate(RUN, {"spec": spec.to_json(), "frames": sent})
    arrays = []
    for one in made:
        assert one["type"].lower() == f"{spec.dtype.value}array"
        raw = np.frombuffer(base64.b64decode(one["data"]), spec.dtype.value)
        arrays.append(raw.reshape(one["shape"]))
    return arrays


def draw_frame(seed: int, height: int, width: int, order: PixelOrder) -> Any:
    shape = (height, width) if order is PixelOrder.GRAY else (height, width, order.channels)
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


@given(
    spec=specs(),
    sizes=st.lists(st.tuples(st.integers(1, 130), st.integers(1, 130)), min_size=1, max_size=3),
    order=st.sampled_from(list(PixelOrder)),
    seed=st.integers(0, 1 << 30),
)
def test_any_tensor_is_the_same_to_the_bit(
    core_page: Any,
    spec: InputSpec,
    sizes: list[tuple[int, int]],
    order: PixelOrder,
    seed: int,
) -> None:
    frames = [(draw_frame(seed, height, width, order), order) for height, width in sizes]
    made = made_by_page(core_page, spec, frames)
    preprocessor = Preprocessor(spec, kernel=NumpyKernel())
    for array, (pixels, given_order) in zip(made, frames, strict=True):
        wanted = preprocessor(pixels, given_order)
        assert array.shape == wanted.shape
        assert array.tobytes() == wanted.tobytes()


@pytest.mark.parametrize("size", [(480, 640), (1080, 1920), (720, 1280), (224, 224), (97, 1333)])
@pytest.mark.parametrize("resize", list(ResizeMode))
def test_frames_of_cameras_give_the_same_bytes(
    core_page: Any, size: tuple[int, int], resize: ResizeMode
) -> None:
    spec = InputSpec(224, 224, resize=resize, crop_fraction=0.875, pad_value=114)
    pixels = draw_frame(3, *size, PixelOrder.RGBA)
    (made,) = made_by_page(core_page, spec, [(pixels, PixelOrder.RGBA)])
    wanted = Preprocessor(spec, kernel=NumpyKernel())(pixels, PixelOrder.RGBA)
    assert (made == wanted).all()


@pytest.mark.parametrize("width", [227, 251, 293, 301, 457, 515])
def test_weights_half_way_between_two_numbers_are_rounded_alike(core_page: Any, width: int) -> None:
    spec = InputSpec(256, 256, resize=ResizeMode.STRETCH)
    pixels = draw_frame(5, 411, width, PixelOrder.BGR)
    (made,) = made_by_page(core_page, spec, [(pixels, PixelOrder.BGR)])
    assert (made == Preprocessor(spec)(pixels, PixelOrder.BGR)).all()
    assert (made == Preprocessor(spec, kernel=NumpyKernel())(pixels, PixelOrder.BGR)).all()


@given(
    cases=st.lists(
        st.tuples(
            st.sampled_from(list(ResizeMode)),
            st.floats(0.01, 1.0),
            *[st.integers(1, 5000)] * 4,
        ),
        min_size=40,
        max_size=40,
    )
)
def test_any_frame_lands_where_the_runtime_puts_it(core_page: Any, cases: list[Any]) -> None:
    given = [
        (InputSpec(h, w, resize=resize, crop_fraction=fraction), height, width)
        for resize, fraction, h, w, height, width in cases
    ]
    told = core_page.evaluate(PLACES, [[spec.to_json(), *size] for spec, *size in given])
    assert told == [list(place(spec, height, width)) for spec, height, width in given]

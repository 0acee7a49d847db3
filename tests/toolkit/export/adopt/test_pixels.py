from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mejiro.data.normalize import Normalize
from mejiro.errors import UsageError
from mejiro.export.adopt.facts import Described, ModelFacts, Steps, TensorFacts
from mejiro.export.adopt.hints import Hints
from mejiro.export.adopt.pixels import RANGES, TOLERANCE, input_spec_for, known_range
from mejiro_runtime.card import Format, Precision
from mejiro_runtime.errors import ModelError
from mejiro_runtime.preprocess import InputSpec, Layout, Quantization, ResizeMode, TensorType
from mejiro_runtime.types import PixelOrder

PIXELS = np.arange(256)


def facts(
    dtype: str = "float32",
    shape: tuple[int, ...] = (1, 8, 10, 3),
    *,
    steps: Steps | None = None,
    described: Described | None = None,
) -> ModelFacts:
    return ModelFacts(
        name="m.tflite",
        format=Format.TFLITE,
        data=b"",
        precision=Precision.FP32,
        inputs=(TensorFacts("image", shape, dtype),),
        outputs=(),
        operators=frozenset(),
        last_operator="SOFTMAX",
        scores=None,
        steps=steps,
        described=described or Described(),
    )


def covering(low: float, high: float, dtype: TensorType) -> Steps:
    """Return the quantization whose integers run from `low` to `high`, as near as may be."""
    scale = (high - low) / 255
    first = 0 if dtype is TensorType.UINT8 else -128
    return Steps(dtype, Quantization(scale, first - round(low / scale)))


def spec_of(model: ModelFacts, **hints: object) -> InputSpec:
    return input_spec_for(model, None, Hints(**hints))[0]  # type: ignore[arg-type]


INTEGERS = st.sampled_from([TensorType.UINT8, TensorType.INT8])


@given(
    INTEGERS,
    st.sampled_from(list(RANGES)),
    st.floats(-0.9 * TOLERANCE, 0.9 * TOLERANCE),
    st.floats(-0.9 * TOLERANCE, 0.9 * TOLERANCE),
)
def test_integers_that_cover_a_range_of_pixels_are_the_pixels(
    dtype: TensorType, name: Normalize, low: float, high: float
) -> None:
    bottom, top = RANGES[name]
    width = top - bottom
    # Rounding the zero point moves both ends by half a step, 0.2% of the width.
    steps = covering(bottom + 0.8 * low * width, top + 0.8 * high * width, dtype)
    assert known_range(steps) is name
    for given_name in (None, name):
        spec = spec_of(facts(dtype.value, steps=steps), normalize=given_name)
        assert spec.dtype is dtype
        shift = 0 if dtype is TensorType.UINT8 else 128
        assert (spec.table()[:, 0].astype(int) == PIXELS - shift).all()


@given(INTEGERS, st.sampled_from(list(Normalize)))
def test_integers_of_another_range_go_through_real_numbers(
    dtype: TensorType, name: Normalize
) -> None:
    steps = covering(-2.2, 2.7, dtype)  # what ImageNet's mean and deviation give
    model = facts(dtype.value, steps=steps)
    with pytest.raises(UsageError, match=r"inputs of -2\.\d* to 2\.\d*.*--normalize"):
        spec_of(model)
    spec = spec_of(model, normalize=name)
    assert spec.quantization == steps.quantization
    real = spec_of(facts(), normalize=name).table().astype(np.float64)
    expected = np.rint(real / steps.quantization.scale + steps.quantization.zero_point)
    limits = np.iinfo(dtype.value)
    assert np.abs(spec.table() - np.clip(expected, limits.min, limits.max)).max() <= 1


def test_a_given_range_that_the_quantization_denies_is_taken_at_its_word() -> None:
    steps = covering(-1, 1, TensorType.UINT8)
    spec = spec_of(facts("uint8", steps=steps), normalize=Normalize.UNIT)
    assert spec.table()[[0, 255], 0].tolist() == [128, 255]


@pytest.mark.parametrize(
    ("name", "ends"),
    [
        (Normalize.UNIT, (0.0, 1.0)),
        (Normalize.SIGNED, (-1.0, 1.0)),
        (Normalize.BYTES, (0.0, 255.0)),
        (Normalize.CENTRED, (-128.0, 127.0)),
    ],
)
def test_a_float_input_takes_the_range_given(name: Normalize, ends: tuple[float, float]) -> None:
    table = spec_of(facts(), normalize=name).table()
    np.testing.assert_allclose(table[[0, 255], 1], ends, rtol=1e-6)


def test_imagenet_follows_the_order_of_channels() -> None:
    rgb = spec_of(facts(), normalize=Normalize.IMAGENET).table()
    np.testing.assert_allclose(
        rgb[255], (1 - np.array([0.485, 0.456, 0.406])) / [0.229, 0.224, 0.225]
    )
    bgr = spec_of(facts(), normalize=Normalize.IMAGENET, order=PixelOrder.BGR)
    assert bgr.order is PixelOrder.BGR
    assert (bgr.table() == rgb[:, ::-1]).all()
    with pytest.raises(UsageError, match="3 channels"):
        spec_of(facts(shape=(1, 8, 8, 1)), normalize=Normalize.IMAGENET)


def test_a_float_input_is_asked_about_unless_the_file_tells() -> None:
    with pytest.raises(UsageError, match="does not say how its float32 input is normalized"):
        spec_of(facts())
    quantized_inside = facts(steps=covering(-1, 1, TensorType.INT8))
    np.testing.assert_allclose(spec_of(quantized_inside).table()[[0, 255], 0], (-1, 1))


@pytest.mark.parametrize(("mean", "std"), [((127.0,), (128.0,)), ((127.0,) * 3, (128.0,))])
def test_metadata_normalizes(mean: tuple[float, ...], std: tuple[float, ...]) -> None:
    model = facts(described=Described(mean=mean, std=std))
    np.testing.assert_allclose(spec_of(model).table()[:, 2], (PIXELS - 127) / 128, rtol=1e-6)
    steps = covering(-0.9, 0.7, TensorType.UINT8)
    integers = spec_of(replace(facts("uint8", steps=steps), described=model.described))
    assert integers.quantization == steps.quantization


def test_metadata_of_a_quantized_input_gives_way_to_whole_pixels() -> None:
    described = Described(mean=(0.0,), std=(255.0,))
    model = facts("uint8", steps=covering(-1, 1, TensorType.UINT8), described=described)
    assert (spec_of(model).table()[:, 0] == PIXELS).all()


@pytest.mark.parametrize(
    ("mean", "std"), [((0.0,), (0.0,)), ((0.0, 0.0), (1.0, 1.0)), ((0.0,), (float("nan"),))]
)
def test_metadata_that_cannot_be_is_refused(
    mean: tuple[float, ...], std: tuple[float, ...]
) -> None:
    model = facts(described=Described(mean=mean, std=std))
    with pytest.raises(ModelError, match="metadata"):
        spec_of(model)
    assert spec_of(model, normalize=Normalize.UNIT).dtype is TensorType.FLOAT32


def test_integers_without_a_scale_stand_for_themselves() -> None:
    assert (spec_of(facts("uint8")).table()[:, 0] == PIXELS).all()
    with pytest.raises(UsageError, match=r"without a scale.*--normalize -128\.\.127"):
        spec_of(facts("int8"))
    assert (spec_of(facts("int8"), normalize=Normalize.CENTRED).table()[:, 0] == PIXELS - 128).all()
    with pytest.raises(UsageError, match="without a scale"):
        spec_of(facts("uint8"), normalize=Normalize.UNIT)


@pytest.mark.parametrize(
    ("shape", "layout", "order"),
    [
        ((1, 8, 10, 3), Layout.NHWC, PixelOrder.RGB),
        ((1, 3, 8, 10), Layout.NCHW, PixelOrder.RGB),
        ((1, 8, 10, 1), Layout.NHWC, PixelOrder.GRAY),
        ((1, 1, 8, 10), Layout.NCHW, PixelOrder.GRAY),
    ],
)
def test_the_axis_of_channels_tells_the_layout(
    shape: tuple[int, ...], layout: Layout, order: PixelOrder
) -> None:
    spec = spec_of(facts(shape=shape), normalize=Normalize.UNIT)
    assert (spec.layout, spec.order, spec.height, spec.width) == (layout, order, 8, 10)
    assert spec.shape == shape


def test_a_layout_that_may_be_either_is_asked_about() -> None:
    with pytest.raises(UsageError, match="NHWC or NCHW; give --input-spec"):
        spec_of(facts(shape=(1, 3, 8, 3)), normalize=Normalize.UNIT)
    given_spec = InputSpec(3, 8, dtype=TensorType.FLOAT32)
    model = facts(shape=(1, 3, 8, 3))
    assert input_spec_for(model, given_spec, Hints())[0] == given_spec


@pytest.mark.parametrize(
    ("shape", "dtype", "said"),
    [
        ((1, 8, 8, 4), "float32", "1 or 3 channels"),
        ((1, 10), "float32", "no picture"),
        ((4, 8, 8, 3), "float32", "batch 1"),
        ((1, -1, -1, 3), "float32", "size open"),
        ((1, 8, 8, 3), "float16", "takes float16"),
    ],
)
def test_what_the_runtime_cannot_feed_is_refused(
    shape: tuple[int, ...], dtype: str, said: str
) -> None:
    with pytest.raises(ModelError, match=said):
        spec_of(facts(dtype, shape), normalize=Normalize.UNIT)


def test_a_given_specification_must_fit_the_file() -> None:
    fitting = InputSpec(8, 10, dtype=TensorType.FLOAT32, resize=ResizeMode.STRETCH, scale=(0.5,))
    assert input_spec_for(facts(), fitting, Hints())[0] == fitting
    for wrong in (replace(fitting, width=8), replace(fitting, dtype=TensorType.UINT8)):
        with pytest.raises(UsageError, match=r"--input-spec describes .*, m\.tflite takes"):
            input_spec_for(facts(), wrong, Hints())
    with pytest.raises(UsageError, match="--resize as well"):
        input_spec_for(facts(), fitting, Hints(resize=ResizeMode.CROP))


def test_the_frame_is_fitted_as_given() -> None:
    hints = {"normalize": Normalize.UNIT, "resize": ResizeMode.LETTERBOX, "crop_fraction": 0.9}
    spec = spec_of(facts(), **hints)
    assert (spec.resize, spec.crop_fraction) == (ResizeMode.LETTERBOX, 0.9)
    plain = spec_of(facts(), normalize=Normalize.UNIT)
    assert (plain.resize, plain.crop_fraction) == (ResizeMode.CROP, 1.0)


def test_an_order_of_other_channels_is_refused() -> None:
    with pytest.raises(UsageError, match="--order gray has 1 channels"):
        spec_of(facts(), normalize=Normalize.UNIT, order=PixelOrder.GRAY)


def test_what_is_assumed_is_said() -> None:
    _, findings = input_spec_for(facts(), None, Hints(normalize=Normalize.UNIT))
    assert any("ASSUMED" in line for line in findings)
    described = Described(order=PixelOrder.RGB)
    _, findings = input_spec_for(facts(described=described), None, Hints(normalize=Normalize.UNIT))
    assert not any("ASSUMED" in line for line in findings)

"""Quantize the tiny classifier by recipes, with ranges given from outside."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from mejiro.errors import ExportError, UsageError
from mejiro.export.flatbuffer import TFLiteFile
from mejiro.export.quantize import convert_for_quantization, pixel_quantization, quantize
from mejiro.export.recipe import Recipe, Scheme
from mejiro_runtime.card import Format
from mejiro_runtime.preprocess import Quantization


@pytest.fixture(scope="module", params=["FOLDED", "PER_CHANNEL"])
def work(request: Any, tiny: Any, tmp_path_factory: Any) -> SimpleNamespace:
    """Give a float file, the ranges that its tensors have on the tests' pictures, and a runner."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    model = tiny.model(tiny.input(getattr(tiny, request.param)))
    data = convert_for_quantization(model)
    pixels = pixel_quantization(model)
    interpreter = Interpreter(
        model_content=data,
        experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
        experimental_preserve_all_tensors=True,
    )
    interpreter.allocate_tensors()
    pictures = tiny.pixels()
    names = [tensor["name"] for tensor in interpreter.get_tensor_details()]
    seen: dict[str, list[Any]] = {name: [] for name in names if name}
    for picture in pictures:
        values = (picture[None].astype(np.float32) - pixels.zero_point) * np.float32(pixels.scale)
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], values)
        interpreter.invoke()
        for place, name in enumerate(names):
            if name:
                seen[name].append(interpreter.get_tensor(place))
    ranges = {name: (float(np.min(all_)), float(np.max(all_))) for name, all_ in seen.items()}
    folder = tmp_path_factory.mktemp("quantized")

    def run(quantized: bytes) -> Any:
        path = folder / "model.tflite"
        path.write_bytes(quantized)
        return tiny.run_file(path, Format.TFLITE, pictures)

    def make(recipe: Recipe, known: Any = None) -> bytes:
        return quantize(data, recipe, ranges if known is None else known, pixels=pixels)

    expected = tiny.expected(model, pictures)
    return SimpleNamespace(make=make, run=run, expected=expected, ranges=ranges, pixels=pixels)


def dtypes(data: bytes) -> list[tuple[str, str]]:
    """Return each operator of a file, with the type of what it gives."""
    file = TFLiteFile(data)
    return [(one.name, file.tensor(one.outputs[0]).dtype) for one in file.operators]


def weights_of(data: bytes, name: str) -> list[tuple[str, int]]:
    """Return the type and the number of scales of the weights of operators called `name`."""
    file = TFLiteFile(data)
    found = [file.tensor(one.inputs[1]) for one in file.operators if one.name == name]
    return [(tensor.dtype, tensor.channels) for tensor in found]


@pytest.mark.parametrize(
    ("recipe", "tolerance"),
    [
        (Recipe(), 0.05),
        (Recipe(symmetric=True), 0.05),
        (Recipe(Scheme.INT16X8), 0.02),
        (Recipe(Scheme.FLOAT16), 0.005),
        (Recipe(Scheme.FLOAT), 1e-5),
        (Recipe(layers=(("*", Scheme.FLOAT), ("depthwise*", Scheme.INT8))), 0.05),
        (Recipe(layers=(("dense*", Scheme.INT16X8), ("depthwise*", Scheme.FLOAT))), 0.05),
    ],
)
def test_a_quantized_file_takes_bytes_and_says_nearly_what_the_network_says(
    work, recipe, tolerance
):
    data = work.make(recipe)
    file = TFLiteFile(data)
    (given,), (made,) = file.inputs, file.outputs
    assert (given.dtype, made.dtype) == ("uint8", "float32")
    stored = float(np.float32(work.pixels.scale))
    assert given.quantization == Quantization(stored, work.pixels.zero_point)
    assert file.operators[-1].name == "SOFTMAX"
    assert np.abs(work.run(data) - work.expected).max() < tolerance


def test_int8_is_int8_throughout_by_channel(work):
    data = work.make(Recipe())
    given = [dtype for name, dtype in dtypes(data) if name not in ("DEQUANTIZE", "SOFTMAX")]
    assert set(given) == {"int8"}
    assert all(kind == ("int8", 8) for kind in weights_of(data, "CONV_2D"))


def test_symmetric_activations_have_zero_points_of_0(work):
    file = TFLiteFile(work.make(Recipe(symmetric=True)))
    points = {
        file.tensor(one.outputs[0]).quantization.zero_point
        for one in file.operators
        if file.tensor(one.outputs[0]).dtype == "int8"
    }
    assert points == {0}


def test_int16_is_made_in_steps_that_older_runtimes_know(work):
    mixed = (("depthwise*", Scheme.INT16X8), ("dense*", Scheme.INT16X8))
    for recipe in (Recipe(Scheme.INT16X8), Recipe(layers=mixed)):
        file = TFLiteFile(work.make(recipe))
        steps = {
            (file.tensor(one.inputs[0]).dtype, file.tensor(one.outputs[0]).dtype)
            for one in file.operators
            if one.name == "QUANTIZE"
        }
        assert ("float32", "int16") in steps
        assert not steps & {("uint8", "int16"), ("int8", "int16")}


def test_one_layer_can_be_quantized_alone_by_its_tensor(work):
    whole = TFLiteFile(work.make(Recipe(Scheme.FLOAT)))
    name = next(
        whole.tensor(one.outputs[0]).name
        for one in whole.operators
        # not the normalization of pixels, which is one too
        if one.name == "DEPTHWISE_CONV_2D" and "depthwise" in whole.tensor(one.outputs[0]).name
    )
    data = work.make(Recipe(Scheme.FLOAT, ((name, Scheme.INT8),)))
    integers = [operator for operator, dtype in dtypes(data) if dtype == "int8"]
    assert integers == ["QUANTIZE", "DEPTHWISE_CONV_2D"]


def test_given_ranges_decide_the_scales(work):
    data = TFLiteFile(work.make(Recipe()))
    wide = {name: (low * 2, high * 2) for name, (low, high) in work.ranges.items()}
    doubled = TFLiteFile(work.make(Recipe(), wide))
    for before, after in zip(data.operators, doubled.operators, strict=True):
        first, second = (
            file.tensor(one.outputs[0]).quantization
            for file, one in ((data, before), (doubled, after))
        )
        if first is not None and before.name != "QUANTIZE":
            assert second.scale == pytest.approx(2 * first.scale, rel=1e-6)


def test_a_missing_range_and_an_impossible_one_are_refused(work):
    file = TFLiteFile(work.make(Recipe(Scheme.FLOAT)))
    name = next(
        file.tensor(one.outputs[0]).name
        for one in file.operators
        if one.name == "DEPTHWISE_CONV_2D"
    )
    without = {key: value for key, value in work.ranges.items() if key != name}
    with pytest.raises(ExportError, match=r"the range of '.*' is not known"):
        work.make(Recipe(), without)
    with pytest.raises(ExportError, match=r"the range of '.*' cannot be 3 to 2"):
        work.make(Recipe(), {**work.ranges, name: (3.0, 2.0)})


def test_a_rule_for_no_layer_is_refused_and_names_some(work):
    with pytest.raises(UsageError, match=r"names 'stem\*', which is no layer; there are .*dense"):
        work.make(Recipe(layers=(("stem*", Scheme.FLOAT),)))


def test_quantizing_twice_gives_the_same_bytes(work):
    assert work.make(Recipe()) == work.make(Recipe())

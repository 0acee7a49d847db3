"""Convert a float model to TFLite with TensorFlow's converter, and check what it wrote."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mejiro.errors import ExportError
from mejiro.export.flatbuffer import Operator, TFLiteFile, number_of_values
from mejiro.export.graph import Entry, trace
from mejiro.export.linear_head import LinearHead
from mejiro.export.normalization import (
    exact_quantization,
    exported_input,
    nearest_quantization,
)
from mejiro.export.quiet import quietly
from mejiro.model import FloatModel
from mejiro.tensorflow import load_tensorflow
from mejiro_runtime.card import Precision
from mejiro_runtime.preprocess import InputSpec, Quantization, TensorType

Tensors = Callable[[InputSpec], Iterator[NDArray[Any]]]

# What may hold floats in an int8 file: the way back to float, and the softmax after it.
_FLOAT_BORDER = frozenset({"DEQUANTIZE", "SOFTMAX"})
_BORDERS = frozenset({"QUANTIZE", "DEQUANTIZE"})
_WEIGHTED = frozenset({"CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV"})
PIXEL_QUANTIZATION = Quantization(scale=1.0, zero_point=0)


def convert_float(model: FloatModel, precision: Precision, head: LinearHead | None = None) -> bytes:
    """Return `model` as a TFLite file of FP32, or of FP32 arithmetic on FP16 weights.

    With `head` the file's second output is the features (1, height, width, channels). Raises
    ExportError if the converter cannot take the model.
    """
    tf = load_tensorflow()
    traced = trace(model, Entry.BYTES, head)
    with quietly(f"converting {model.name} to TFLite {precision.value}"):
        converter = converter_of(tf, traced)
        if precision is Precision.FP16:
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
            converter.target_spec.supported_types = [tf.float16]
        data: bytes = converter.convert()
        if head is not None:
            file = TFLiteFile(data)
            file.put_scores_first()
            data = file.to_bytes()
    check_float(data, model, precision, head)
    return data


def convert_int8(
    model: FloatModel, tensors: Tensors, *, full_integer: bool, head: LinearHead | None = None
) -> bytes:
    """Return `model` as an int8 TFLite file, quantized by the ranges that `tensors` show.

    `tensors` gives the calibration tensors for an input specification. Weights are quantized by
    channel, activations by tensor, from the least to the greatest value seen. The probabilities
    leave as float32, or with `full_integer` as uint8 in steps of 1/256. With `head` the file's
    second output is the features (1, height, width, channels) of the same type. Raises
    ExportError if the converter cannot take the model or cannot keep all of it in int8.
    """
    tf = load_tensorflow()
    folded = nearest_quantization(model.input) is not None
    traced = trace(model, Entry.NORMALIZED if folded else Entry.PIXELS, head)
    spec = model.input if folded else calibration_input(model.input)
    with quietly(f"converting {model.name} to TFLite int8"):
        converter = converter_of(tf, traced)
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: (
            [tensor] for tensor in _with_full_range(tensors(spec), spec)
        )
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = tf.uint8
        converter.inference_output_type = tf.uint8 if full_integer else tf.float32
        data: bytes = converter.convert()
        file = TFLiteFile(data)
        file.put_scores_first()
        changed = head is not None
        if not full_integer:
            changed |= file.take_softmax_in_float()
        if changed:
            data = file.to_bytes()
    check_int8(data, model, full_integer=full_integer, head=head)
    return data


def calibration_input(spec: InputSpec) -> InputSpec:
    """Return what the graph that is calibrated takes for a model with the input `spec`."""
    if exact_quantization(spec) is not None:
        return spec
    # Pixels as they are, but float32: the graph itself normalizes them.
    pixels = exported_input(spec)
    return InputSpec(
        height=pixels.height,
        width=pixels.width,
        order=pixels.order,
        resize=pixels.resize,
        crop_fraction=pixels.crop_fraction,
        pad_value=pixels.pad_value,
        interpolation=pixels.interpolation,
        dtype=TensorType.FLOAT32,
    )


def _with_full_range(
    tensors: Iterator[NDArray[Any]], spec: InputSpec
) -> Iterator[NDArray[np.float32]]:
    """Yield `tensors`, the first with one pixel of 0 and one of 255 put in opposite corners.

    The converter takes the input's quantization from the values it sees. With both ends among
    them it is the one that maps bytes to the model's numbers, whatever the pictures hold.
    """
    for index, tensor in enumerate(tensors):
        if index == 0:
            table = spec.table()
            tensor[0, 0, 0], tensor[0, -1, -1] = table[0], table[255]
        yield tensor


def converter_of(tf: Any, traced: Any) -> Any:
    """Return TensorFlow's converter of a traced function."""
    # Given any other object to track than a function, the converter would first try to save all
    # as a SavedModel.
    return tf.lite.TFLiteConverter.from_concrete_functions([traced], traced)


def check_float(
    data: bytes, model: FloatModel, precision: Precision, head: LinearHead | None = None
) -> None:
    """Raise ExportError unless the file keeps the promises made for FP32 and FP16."""
    file = TFLiteFile(data)
    _check_border(file, model, output="float32", head=head)
    if precision is Precision.FP16:
        _refuse_float32_weights(file)


def check_int8(
    data: bytes, model: FloatModel, *, full_integer: bool, head: LinearHead | None = None
) -> None:
    """Raise ExportError unless the file keeps the promises made for INT8.

    They are: uint8 pixels in, quantized by the model's normalization where that can be; every
    operator between the border's on int8; convolutions by channel; no float constants.
    """
    file = TFLiteFile(data)
    _check_border(file, model, output="uint8" if full_integer else "float32", head=head)
    _check_pixels(file, model, nearest_quantization(model.input))
    for operator in file.operators:
        _check_int8_operator(file, operator, full_integer=full_integer)


def check_mixed(data: bytes, model: FloatModel, head: LinearHead | None = None) -> None:
    """Raise ExportError unless the file keeps the promises made for one quantized by a recipe.

    They are: uint8 pixels in, quantized by exactly the model's normalization where that can be;
    float32 probabilities out; int8 weights where a layer computes on integers, and one such layer.
    """
    file = TFLiteFile(data)
    _check_border(file, model, output="float32", head=head)
    _check_pixels(file, model, exact_quantization(model.input))
    integers = 0
    for operator in file.operators:
        inputs = [file.tensor(index) for index in operator.inputs]
        if operator.name in _BORDERS or inputs[0].dtype not in ("int8", "int16"):
            continue
        integers += 1
        if operator.name in {*_WEIGHTED, "FULLY_CONNECTED"} and inputs[1].dtype != "int8":
            raise ExportError(
                f"the weights of '{file.tensor(operator.outputs[0]).name}' are {inputs[1].dtype}, "
                "not int8"
            )
    if not integers:
        raise ExportError(
            "the recipe quantizes no layer; use precision fp16 or fp32, which need no recipe"
        )


def _check_pixels(file: TFLiteFile, model: FloatModel, folded: Quantization | None) -> None:
    """Raise ExportError unless pixels are read by `folded`, or as they are."""
    promised = folded or PIXEL_QUANTIZATION
    found = file.inputs[0].quantization
    # The file stores the scale as float32.
    if found != Quantization(float(np.float32(promised.scale)), promised.zero_point):
        raise ExportError(
            f"the converter gave the input of {model.name} the quantization {found}, its "
            f"normalization is {promised}; use other calibration pictures, or precision fp16"
        )


def _check_border(
    file: TFLiteFile, model: FloatModel, *, output: str, head: LinearHead | None
) -> None:
    """Check what goes in and comes out: number, dtype and shape."""
    inputs, outputs = file.inputs, file.outputs
    given = [(value.dtype, value.shape) for value in inputs]
    if given != [("uint8", exported_input(model.input).shape)]:
        raise ExportError(f"the converter gave {model.name} the inputs {given}, not uint8 pixels")
    made = [(value.dtype, len(value.shape), value.shape[:1]) for value in outputs[:1]]
    further = [(value.dtype, value.shape) for value in outputs[1:]]
    features = [] if head is None else [(output, (1, *head.shape))]
    if made != [(output, 2, (1,))] or further != features:
        raise ExportError(
            f"the converter gave {model.name} the outputs "
            f"{[(value.dtype, value.shape) for value in outputs]}, not one row of {output}"
            + (f" and the features {list(head.shape)}" if head else "")
        )


def _check_int8_operator(file: TFLiteFile, operator: Operator, *, full_integer: bool) -> None:
    """Raise ExportError if `operator` works on floats away from the border."""
    inputs = [file.tensor(index) for index in operator.inputs]
    tensors = inputs + [file.tensor(index) for index in operator.outputs]
    if any(tensor.dtype in ("float32", "float16") for tensor in tensors):
        allowed = operator.name in _FLOAT_BORDER and not full_integer
        if not allowed or any(tensor.constant for tensor in tensors):
            raise ExportError(
                f"the converter left {operator.name} ('{tensors[-1].name}') in float; "
                "this model cannot be int8 throughout, use precision fp16"
            )
    if operator.name in _WEIGHTED and inputs[1].dtype != "int8":
        raise ExportError(
            f"the converter left the weights of {operator.name} as {inputs[1].dtype}; "
            "use precision fp16"
        )


def _refuse_float32_weights(file: TFLiteFile) -> None:
    """Raise ExportError if an FP16 file still holds float32 constants of more than one value."""
    for operator in file.operators:
        for index in operator.inputs:
            tensor = file.tensor(index)
            if tensor.constant and tensor.dtype == "float32" and number_of_values(tensor) > 1:
                raise ExportError(
                    f"the converter left '{tensor.name}' in float32; use precision fp32"
                )

"""Count the multiply-adds of an exported file, whatever network it came from."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mejiro.errors import ExportError
from mejiro.export.flatbuffer import TFLiteFile
from mejiro_runtime.card import Format


def multiply_adds(path: Path, format: Format) -> int:
    """Return the multiply-adds of one run of the file: convolutions and dense layers alone.

    Counted as `zoo.count` counts those of a network. Raises ExportError for a file that cannot be
    read as what it is.
    """
    try:
        return _COUNTERS[format](path.read_bytes())
    except OSError as error:
        raise ExportError(f"{path} cannot be read: {error.strerror or error}") from None


def _of_tflite(data: bytes) -> int:
    file = TFLiteFile(data)
    total = 0
    for operator in file.operators:
        if operator.name not in _PER_OUTPUT:
            continue
        weights = file.tensor(operator.inputs[1]).shape
        total += math.prod(file.tensor(operator.outputs[0]).shape) * _PER_OUTPUT[operator.name](
            weights
        )
    return total


# Products for each value of the output, from the shape of the weights.
_PER_OUTPUT: dict[str, Callable[[tuple[int, ...]], int]] = {
    "CONV_2D": lambda shape: math.prod(shape[1:]),  # (out, height, width, in / groups)
    "DEPTHWISE_CONV_2D": lambda shape: math.prod(shape[1:3]),  # (1, height, width, out)
    "FULLY_CONNECTED": lambda shape: shape[1],  # (out, in)
}


def _of_onnx(data: bytes) -> int:
    import onnx

    proto = onnx.shape_inference.infer_shapes(onnx.load_model_from_string(data))
    shapes = _onnx_shapes(proto)
    total = 0
    for node in proto.graph.node:
        if node.op_type not in ("Conv", "Gemm", "MatMul"):
            continue
        weights, output = shapes.get(node.input[1], ()), shapes.get(node.output[0], ())
        if node.op_type == "Conv":
            each = math.prod(weights[1:])  # (out, in / groups, height, width)
        else:
            transposed = any(one.name == "transB" and one.i for one in node.attribute)
            each = weights[-1] if transposed else weights[-2] if len(weights) > 1 else 0
        total += math.prod(output) * each
    return total


def _onnx_shapes(proto: Any) -> dict[str, tuple[int, ...]]:
    """Return the shape of every tensor that the file holds or that can be inferred."""
    graph = proto.graph
    shapes = {value.name: tuple(value.dims) for value in graph.initializer}
    for value in (*graph.input, *graph.value_info, *graph.output):
        dims = value.type.tensor_type.shape.dim
        shapes[value.name] = tuple(int(dim.dim_value) for dim in dims)
    return shapes


_COUNTERS: dict[Format, Callable[[bytes], int]] = {
    Format.TFLITE: _of_tflite,
    Format.ONNX: _of_onnx,
}

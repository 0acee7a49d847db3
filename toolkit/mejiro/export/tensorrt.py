"""Say a quantized ONNX graph in the words that TensorRT knows, and find those that it does not.

TensorRT quantizes symmetrically to int8 alone, and dequantizes no int32 (NVIDIA, "TensorRT
Developer Guide", explicit quantization). So pixels, whose zero point is the model's normalization,
are read by Cast, Sub and Mul, and biases are float32; the real numbers stay what they were.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from mejiro.errors import ExportError
from mejiro.export.qdq import constants_of

_NAMED = 4
_NAME_LENGTH = 60


class Fault(NamedTuple):
    """Name a tensor that TensorRT cannot quantize or dequantize, and what was found of it."""

    tensor: str
    found: str

    def __str__(self) -> str:
        shown = self.tensor
        if len(shown) > _NAME_LENGTH:
            shown = f"{shown[: _NAME_LENGTH // 2]}…{shown[-_NAME_LENGTH // 2 :]}"
        return f"'{shown}' has {self.found}"


def tensorrt_faults(proto: Any) -> list[Fault]:
    """Return the tensors of an ONNX model that TensorRT would leave to another provider.

    These are the ones with a zero point other than 0, of another type than int8, or of unknown
    quantization, in the order of the graph. A model without quantization has none.
    """
    from onnx import numpy_helper

    constants = constants_of(proto)
    faults: dict[str, Fault] = {}
    for node in proto.graph.node:
        if node.op_type not in ("QuantizeLinear", "DequantizeLinear"):
            continue
        quantizes = node.op_type == "QuantizeLinear"
        tensor = node.output[0] if quantizes else node.input[0]
        given = node.input[2] if len(node.input) > 2 else ""
        if given in constants:
            found = _found(numpy_helper.to_array(constants[given]))
        elif given:
            found = "a zero point that the graph computes"
        elif quantizes:
            found = "type uint8, the usual one without a zero point"
        else:  # an integer's own type decides; a constant says it, others are judged where made
            stored = constants.get(tensor)
            found = None if stored is None else _found(numpy_helper.to_array(stored)[:0])
        if found is not None:
            faults.setdefault(tensor, Fault(tensor, found))
    return list(faults.values())


def _found(zero_point: Any) -> str | None:
    if zero_point.dtype != np.int8:
        return f"type {zero_point.dtype}"
    odd = zero_point.ravel()[np.flatnonzero(zero_point)]
    return f"the zero point {int(odd[0])}" if odd.size else None


def check_tensorrt(proto: Any, what: str) -> None:
    """Raise ExportError that names the tensors of `what` that TensorRT cannot take, if any."""
    faults = tensorrt_faults(proto)
    if faults:
        named = "; ".join(str(fault) for fault in faults[:_NAMED])
        more = f", and {len(faults) - _NAMED} more" if len(faults) > _NAMED else ""
        raise ExportError(
            f"TensorRT takes int8 with zero points of 0 alone, but in {what} {named}{more}; "
            'convert it by a recipe with activations = "symmetric" and engine = "tensorrt"'
        )


def fit_tensorrt(proto: Any) -> None:
    """Let pixels be read without a zero point, and store biases as float32; same real numbers."""
    pixels = proto.graph.input[0].name
    nodes = []
    for node in proto.graph.node:
        if node.op_type == "DequantizeLinear" and node.input[0] == pixels:
            nodes += _arithmetic(proto, node)
        elif not _store_as_float(proto, node):
            nodes.append(node)
    del proto.graph.node[:]
    proto.graph.node.extend(nodes)
    _drop_unused(proto)


def _arithmetic(proto: Any, node: Any) -> list[Any]:
    """Return what dequantizes as `node` does, in float32: (x - zero point) * scale."""
    from onnx import TensorProto, helper, numpy_helper

    constants = constants_of(proto)
    scale, zero_point = (numpy_helper.to_array(constants[name]) for name in node.input[1:])
    result = node.output[0]
    offset = numpy_helper.from_array(zero_point.astype(np.float32), f"{result}.offset")
    proto.graph.initializer.append(offset)
    steps: list[tuple[str, list[str]]] = [("Cast", [])]
    if zero_point.any():
        steps.append(("Sub", [offset.name]))
    if (scale != 1).any():
        steps.append(("Mul", [node.input[1]]))
    made: list[Any] = []
    before = node.input[0]
    for kind, inputs in steps:
        name = result if (kind, inputs) == steps[-1] else f"{result}.{kind.lower()}"
        one = helper.make_node(kind, [before, *inputs], [name])
        if kind == "Cast":
            one.attribute.append(helper.make_attribute("to", TensorProto.FLOAT))
        made.append(one)
        before = name
    return made


def _store_as_float(proto: Any, node: Any) -> bool:
    """Replace what `node` makes of an int32 constant by a float32 one; say whether it was so."""
    from onnx import numpy_helper

    constants = constants_of(proto)
    if node.op_type != "DequantizeLinear" or node.input[0] not in constants:
        return False
    stored = numpy_helper.to_array(constants[node.input[0]])
    if stored.dtype != np.int32:
        return False
    scale = numpy_helper.to_array(constants[node.input[1]])
    values = (stored.astype(np.float32) * scale).astype(np.float32)
    proto.graph.initializer.append(numpy_helper.from_array(values, node.output[0]))
    return True


def _drop_unused(proto: Any) -> None:
    used = {name for node in proto.graph.node for name in node.input}
    used |= {value.name for value in proto.graph.output}
    kept = [value for value in proto.graph.initializer if value.name in used]
    del proto.graph.initializer[:]
    proto.graph.initializer.extend(kept)

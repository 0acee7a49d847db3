"""Tidy the pairs of QuantizeLinear and DequantizeLinear in an ONNX graph, for engines to fuse."""

from __future__ import annotations

import math
from typing import Any

import numpy as np


def constants_of(proto: Any) -> dict[str, Any]:
    """Return name -> initializer of an ONNX model."""
    return {value.name: value for value in proto.graph.initializer}


def move_activations_to_uint8(proto: Any) -> None:
    """Make all int8 activations uint8 by adding 128 to their zero points: the same real numbers.

    ONNX Runtime multiplies uint8 by int8 with its fastest kernels, and fuses all pairs around
    them; with int8 activations it leaves whole operators in float on x86.
    """
    from onnx import numpy_helper

    constants = constants_of(proto)
    moved: dict[str, Any] = {}
    for node in proto.graph.node:
        if node.op_type not in ("QuantizeLinear", "DequantizeLinear") or len(node.input) < 3:
            continue
        zero_point = constants.get(node.input[2])
        if node.input[0] in constants or zero_point is None:  # a weight keeps its int8
            continue
        value = numpy_helper.to_array(zero_point)
        if value.dtype != np.int8:
            continue
        name = f"{node.input[2]}_as_uint8"
        moved[name] = numpy_helper.from_array((value.astype(np.int16) + 128).astype(np.uint8), name)
        node.input[2] = name
    proto.graph.initializer.extend(moved.values())
    # The types of what was moved are no longer true; whoever needs them infers them.
    del proto.graph.value_info[:]


def drop_requantizations(proto: Any) -> None:
    """Remove each pair that dequantizes and quantizes again by the same scale and zero point.

    The converter turns uint8 pixels into int8 first; as uint8 that step does nothing.
    """
    from onnx import numpy_helper

    constants = constants_of(proto)

    def parameters(node: Any) -> tuple[Any, ...]:
        arrays = [numpy_helper.to_array(constants[name]) for name in node.input[1:]]
        return tuple((array.dtype, array.tolist()) for array in arrays)

    made_by = {name: node for node in proto.graph.node for name in node.output}
    graph_outputs = {value.name for value in proto.graph.output}
    for node in list(proto.graph.node):
        before = made_by.get(node.input[0]) if node.input else None
        if (
            node.op_type == "QuantizeLinear"
            and before is not None
            and before.op_type == "DequantizeLinear"
            and node.output[0] not in graph_outputs
            and parameters(node) == parameters(before)
        ):
            _pass_by(proto, node, before.input[0])
    # Dequantizations that nothing uses any more fall away when the graph is slimmed.


def drop_idle_activations(proto: Any) -> None:
    """Remove each clip or ReLU whose bounds are those of the quantization after it.

    Quantizing saturates there anyway, so the integers stay the same. Engines see this for
    themselves in most cases; where they do not, the whole convolution would run in float.
    """
    from onnx import numpy_helper

    constants = constants_of(proto)

    def number(name: str, otherwise: float) -> float:
        return float(numpy_helper.to_array(constants[name])) if name in constants else otherwise

    users: dict[str, list[Any]] = {}
    for node in proto.graph.node:
        for name in node.input:
            users.setdefault(name, []).append(node)

    def idle(user: Any, low: float, high: float) -> bool:
        if user.op_type != "QuantizeLinear":
            return False
        scale = number(user.input[1], math.nan)
        zero_point = numpy_helper.to_array(constants[user.input[2]])
        limits = np.iinfo(zero_point.dtype)
        # Compared as quantized, so that 6 and 255 steps of 6/255 in float32 are the same.
        lowest, highest = (np.rint(bound / scale) + int(zero_point) for bound in (low, high))
        return bool(lowest <= limits.min and highest >= limits.max)

    for node in list(proto.graph.node):
        if node.op_type == "Relu":
            low, high = 0.0, math.inf
        elif node.op_type == "Clip":
            bounds = [*node.input[1:], "", ""]
            low, high = number(bounds[0], -math.inf), number(bounds[1], math.inf)
        else:
            continue
        following = users.get(node.output[0], [])
        if following and all(idle(user, low, high) for user in following):
            _pass_by(proto, node, node.input[0])


def _pass_by(proto: Any, node: Any, name: str) -> None:
    """Remove `node`, and let those who use its output use the tensor `name` instead."""
    for user in proto.graph.node:
        for place, used in enumerate(user.input):
            if used == node.output[0]:
                user.input[place] = name
    proto.graph.node.remove(node)

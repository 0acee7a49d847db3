"""Check that an ONNX file keeps the promises made for its precision."""

from __future__ import annotations

from typing import Any

import numpy as np

from mejiro.errors import ExportError
from mejiro.export.linear_head import LinearHead
from mejiro.export.normalization import (
    exact_quantization,
    exported_input,
    nearest_quantization,
)
from mejiro.export.quiet import quietly
from mejiro.model import FloatModel
from mejiro_runtime.card import Precision
from mejiro_runtime.preprocess import Quantization

_WEIGHTED = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul"})
_FLOAT_BORDER = frozenset({"Softmax"})
# What engines fuse with the operator before it, so that nothing is quantized in between.
_ACTIVATIONS = frozenset({"Clip", "Relu"})
_MOVING = frozenset({"Transpose", "Reshape", "Squeeze", "Flatten", "Concat", "MaxPool", "Slice"})


def check_onnx(
    data: bytes,
    model: FloatModel,
    precision: Precision,
    head: LinearHead | None = None,
    *,
    mixed: bool = False,
    tensorrt: bool = False,
) -> None:
    """Raise ExportError unless ONNX Runtime opens the file and it is as promised.

    Promised are one input of uint8 pixels, one row of scores and the float32 features of `head`,
    batch norms folded away, and for INT8 weights as int8 by channel, the quantization of the
    input, exact where the file is `mixed`, and, unless it is `mixed`, no operator on floats but the
    final softmax. A file for `tensorrt` reads its pixels by arithmetic on floats instead.
    """
    import onnx

    proto = onnx.load_model_from_string(data)
    _check_session(data, model, head)
    _check_folding(proto, model)
    if precision is Precision.INT8:
        graph = _Graph(proto)
        folded = exact_quantization if mixed else nearest_quantization
        _check_input_quantization(graph, model, folded(model.input), tensorrt=tensorrt)
        for node in proto.graph.node if not mixed else ():
            _check_int8_node(graph, node)


class _Graph:
    """Look up who makes and who uses a tensor, and which tensors are integers."""

    def __init__(self, proto: Any) -> None:
        from onnx import numpy_helper

        self.input = proto.graph.input[0].name
        self.constants = {
            value.name: numpy_helper.to_array(value) for value in proto.graph.initializer
        }
        self.maker = {name: node for node in proto.graph.node for name in node.output}
        self.users: dict[str, list[Any]] = {}
        self.integers = {self.input}
        for node in proto.graph.node:
            for name in node.input:
                self.users.setdefault(name, []).append(node)
            # Operators that only move values keep what comes in; nodes stand in running order.
            moves = node.op_type in _MOVING and self.variables(node) <= self.integers
            if node.op_type == "QuantizeLinear" or moves:
                self.integers.update(node.output)

    def variables(self, node: Any) -> set[str]:
        """Return the inputs of `node` that the file does not hold."""
        return {name for name in node.input if name and name not in self.constants}

    def comes_from_integers(self, name: str) -> bool:
        """Say whether `name` is dequantized."""
        maker = self.maker.get(name)
        return maker is not None and maker.op_type == "DequantizeLinear"

    def goes_to_integers(self, name: str) -> bool:
        """Say whether all users of `name` quantize it, at most after an activation."""
        users = self.users.get(name, [])
        return bool(users) and all(
            user.op_type == "QuantizeLinear"
            or (user.op_type in _ACTIVATIONS and self.goes_to_integers(user.output[0]))
            for user in users
        )


def _check_session(data: bytes, model: FloatModel, head: LinearHead | None) -> None:
    """Open the file as a device would, and look at its input and outputs."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    # The graph is to be understood, not to be made fast.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    with quietly(f"opening {model.name} with ONNX Runtime"):
        session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    inputs = [(value.type, tuple(value.shape)) for value in session.get_inputs()]
    if inputs != [("tensor(uint8)", exported_input(model.input).shape)]:
        raise ExportError(f"the converter gave {model.name} the inputs {inputs}, not uint8 pixels")
    outputs = [(value.type, tuple(value.shape)) for value in session.get_outputs()]
    features = [] if head is None else [("tensor(float)", (1, *head.shape))]
    rows = [(len(shape), shape[:1]) for _, shape in outputs[:1]]
    if rows != [(2, (1,))] or outputs[1:] != features:
        raise ExportError(
            f"the converter gave {model.name} the outputs {outputs}, not one row of scores"
            + (f" and the features {list(head.shape)}" if head else "")
        )


def _check_folding(proto: Any, model: FloatModel) -> None:
    """Raise ExportError if a batch norm is left, or the product or sum that it becomes."""
    graph = _Graph(proto)
    for node in proto.graph.node:
        if node.op_type == "BatchNormalization":
            raise ExportError(f"the converter left a batch norm of {model.name} unfolded")
        if node.op_type not in ("Mul", "Add"):
            continue
        constant = [name for name in node.input if name in graph.constants]
        makers = [graph.maker[name].op_type for name in node.input if name in graph.maker]
        if constant and makers == ["Conv"]:
            raise ExportError(
                f"the converter left {node.op_type} after a convolution of {model.name} unfolded"
            )


def _check_input_quantization(
    graph: _Graph, model: FloatModel, folded: Quantization | None, *, tensorrt: bool
) -> None:
    """Raise ExportError unless pixels are read by `folded`, or as they are."""
    name = graph.input
    users = graph.users.get(name, [])
    while len(users) == 1 and users[0].op_type in ("Transpose", "Reshape"):
        name = users[0].output[0]
        users = graph.users.get(name, [])
    promised = folded or Quantization(1.0, 0)
    if tensorrt and [user.op_type for user in users] == ["Cast"]:
        _check_input_arithmetic(graph, users[0], model, promised)
        return
    for user in users:
        found = [graph.constants[key] for key in user.input[1:] if key in graph.constants]
        if (
            user.op_type != "DequantizeLinear"
            or float(found[0]) != float(np.float32(promised.scale))
            or int(found[1]) != promised.zero_point
        ):
            raise ExportError(
                f"the converter reads the pixels of {model.name} through {user.op_type}, "
                f"not through {promised}; use precision fp16"
            )


def _check_input_arithmetic(
    graph: _Graph, node: Any, model: FloatModel, promised: Quantization
) -> None:
    """Raise ExportError unless what follows the cast `node` computes the normalization."""
    found = {"Sub": np.float32(0), "Mul": np.float32(1)}
    while len(users := graph.users.get(node.output[0], [])) == 1 and users[0].op_type in found:
        node = users[0]
        found[node.op_type] = graph.constants[node.input[1]]
    expected = {"Sub": np.float32(promised.zero_point), "Mul": np.float32(promised.scale)}
    if not all(np.array_equal(found[kind], value) for kind, value in expected.items()):
        raise ExportError(
            f"the converter reads the pixels of {model.name} as (x - {found['Sub']}) * "
            f"{found['Mul']}, not through {promised}; use precision fp16"
        )


def _check_int8_node(graph: _Graph, node: Any) -> None:
    """Raise ExportError if `node` computes on floats that integers could carry."""
    if node.op_type in ("QuantizeLinear", "DequantizeLinear") or node.op_type in _FLOAT_BORDER:
        return
    where = f"{node.op_type} ('{node.output[0]}')"
    if node.op_type in _WEIGHTED:
        weights = graph.maker.get(node.input[1])
        stored = None if weights is None else graph.constants.get(weights.input[0])
        if stored is None or stored.dtype != np.int8:
            raise ExportError(
                f"the converter did not store the weights of {where} as int8; use precision fp16"
            )
    if set(node.output) <= graph.integers:
        return
    fused = node.op_type in _ACTIVATIONS
    if not all(graph.goes_to_integers(name) for name in node.output) or not (
        fused or all(graph.comes_from_integers(name) for name in graph.variables(node))
    ):
        raise ExportError(f"the converter left {where} in float; use precision fp16")

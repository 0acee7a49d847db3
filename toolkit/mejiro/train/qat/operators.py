"""Compute TFLite's operators with TensorFlow, on batches, so that gradients flow through them.

Each row of `OPERATORS` is given the node, its tensors and the graph. Kernels come in TensorFlow's
layouts: (height, width, in, out), depthwise (height, width, channels, multiplier), dense (in,
out). Sizes come from the file, which has a batch of one, so shapes are made for any batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from mejiro.errors import ExportError
from mejiro.tensorflow import load_tensorflow
from mejiro.train.qat.reading import Graph, Node

Compute = Callable[[Node, Sequence[Any], Graph], Any]
_PADDING = ("SAME", "VALID")
# What holds weights: they are brought into TensorFlow's layout before they come here.
WEIGHTED = frozenset({"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"})


def check_known(nodes: Iterable[Node], graph: Graph) -> None:
    """Raise ExportError for an operator that `OPERATORS` does not have."""
    for node in nodes:
        if node.kind not in OPERATORS:
            raise ExportError(
                f"the file holds {node.kind} ('{graph.values[node.output].name}'), which cannot "
                "be trained for int8; use a model without it"
            )


def _fused(node: Node, value: Any) -> Any:
    """Apply the activation function that the operator ends with."""
    tf = load_tensorflow()
    functions: dict[int, Callable[[Any], Any]] = {
        0: lambda x: x,
        1: tf.nn.relu,
        2: lambda x: tf.clip_by_value(x, -1.0, 1.0),
        3: tf.nn.relu6,
        4: tf.math.tanh,
    }
    return functions[getattr(node.options, "fusedActivationFunction", 0)](value)


def _convolution(node: Node, inputs: Sequence[Any], graph: Graph) -> Any:
    tf, options = load_tensorflow(), node.options
    strides = (options.strideH, options.strideW)
    dilations = (options.dilationHFactor, options.dilationWFactor)
    padding = _PADDING[options.padding]
    if node.kind == "CONV_2D":
        value = tf.nn.conv2d(inputs[0], inputs[1], strides, padding, dilations=dilations)
    else:
        value = tf.nn.depthwise_conv2d(
            inputs[0], inputs[1], (1, *strides, 1), padding, dilations=dilations
        )
    return _fused(node, value + inputs[2] if len(inputs) > 2 else value)


def _dense(node: Node, inputs: Sequence[Any], graph: Graph) -> Any:
    tf = load_tensorflow()
    rows = tf.reshape(inputs[0], (-1, inputs[1].shape[0]))
    value = tf.matmul(rows, inputs[1])
    if len(inputs) > 2:
        value = value + inputs[2]
    return _fused(node, _shaped(value, graph.values[node.output].shape))


def _pool(name: str) -> Compute:
    def run(node: Node, inputs: Sequence[Any], graph: Graph) -> Any:
        options = node.options
        pooled = getattr(load_tensorflow().nn, name)(
            inputs[0],
            (options.filterHeight, options.filterWidth),
            (options.strideH, options.strideW),
            _PADDING[options.padding],
        )
        return _fused(node, pooled)

    return run


def _reduce(name: str) -> Compute:
    def run(node: Node, inputs: Sequence[Any], graph: Graph) -> Any:
        axes = tuple(int(axis) for axis in np.ravel(inputs[1]))
        return getattr(load_tensorflow(), name)(inputs[0], axes, node.options.keepDims)

    return run


def _elementwise(function: Callable[[Any, Any], Any]) -> Compute:
    return lambda node, inputs, graph: _fused(node, function(inputs[0], inputs[1]))


def _simple(function: Callable[[Any, Any], Any]) -> Compute:
    """Wrap a function of TensorFlow's module and one tensor."""
    return lambda node, inputs, graph: function(load_tensorflow(), inputs[0])


def _concatenation(node: Node, inputs: Sequence[Any], graph: Graph) -> Any:
    return _fused(node, load_tensorflow().concat(inputs, node.options.axis))


def _reshape(node: Node, inputs: Sequence[Any], graph: Graph) -> Any:
    return _shaped(inputs[0], graph.values[node.output].shape)


def _shaped(value: Any, shape: tuple[int, ...]) -> Any:
    if not shape or shape[0] != 1:
        raise ExportError(f"the file reshapes its batch into {list(shape)}; it cannot be trained")
    return load_tensorflow().reshape(value, (-1, *shape[1:]))


def _pad(node: Node, inputs: Sequence[Any], graph: Graph) -> Any:
    fill = float(inputs[2]) if len(inputs) > 2 else 0.0
    return load_tensorflow().pad(inputs[0], inputs[1], constant_values=fill)


def _transpose(node: Node, inputs: Sequence[Any], graph: Graph) -> Any:
    return load_tensorflow().transpose(inputs[0], inputs[1])


def _leaky(node: Node, inputs: Sequence[Any], graph: Graph) -> Any:
    return load_tensorflow().nn.leaky_relu(inputs[0], node.options.alpha)


def _gelu(node: Node, inputs: Sequence[Any], graph: Graph) -> Any:
    return load_tensorflow().nn.gelu(inputs[0], approximate=node.options.approximate)


OPERATORS: dict[str, Compute] = {
    "CONV_2D": _convolution,
    "DEPTHWISE_CONV_2D": _convolution,
    "FULLY_CONNECTED": _dense,
    "ADD": _elementwise(lambda a, b: a + b),
    "SUB": _elementwise(lambda a, b: a - b),
    "MUL": _elementwise(lambda a, b: a * b),
    "DIV": _elementwise(lambda a, b: a / b),
    "MAXIMUM": _elementwise(lambda a, b: load_tensorflow().maximum(a, b)),
    "MINIMUM": _elementwise(lambda a, b: load_tensorflow().minimum(a, b)),
    "MEAN": _reduce("reduce_mean"),
    "SUM": _reduce("reduce_sum"),
    "REDUCE_MAX": _reduce("reduce_max"),
    "MAX_POOL_2D": _pool("max_pool2d"),
    "AVERAGE_POOL_2D": _pool("avg_pool2d"),
    "CONCATENATION": _concatenation,
    "RESHAPE": _reshape,
    "SQUEEZE": _reshape,
    "EXPAND_DIMS": _reshape,
    "PAD": _pad,
    "PADV2": _pad,
    "TRANSPOSE": _transpose,
    "RELU": _simple(lambda tf, x: tf.nn.relu(x)),
    "RELU6": _simple(lambda tf, x: tf.nn.relu6(x)),
    "RELU_N1_TO_1": _simple(lambda tf, x: tf.clip_by_value(x, -1.0, 1.0)),
    "RELU_0_TO_1": _simple(lambda tf, x: tf.clip_by_value(x, 0.0, 1.0)),
    "ELU": _simple(lambda tf, x: tf.nn.elu(x)),
    "HARD_SWISH": _simple(lambda tf, x: x * tf.nn.relu6(x + 3.0) * (1 / 6)),
    "LOGISTIC": _simple(lambda tf, x: tf.math.sigmoid(x)),
    "TANH": _simple(lambda tf, x: tf.math.tanh(x)),
    "LEAKY_RELU": _leaky,
    "GELU": _gelu,
    "QUANTIZE": _simple(lambda tf, x: x),
    "DEQUANTIZE": _simple(lambda tf, x: x),
}

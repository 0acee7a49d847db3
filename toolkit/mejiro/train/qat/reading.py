"""Read the graph of a TFLite file: its tensors with their quantization, and its operators.

Training follows the graph of the very file that will be exported. What the converter folds,
fuses or leaves out need not be guessed then: it has been done.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mejiro.errors import ExportError

_DTYPES = {
    "FLOAT32": np.float32,
    "FLOAT16": np.float16,
    "INT8": np.int8,
    "UINT8": np.uint8,
    "INT16": np.int16,
    "INT32": np.int32,
    "INT64": np.int64,
    "BOOL": np.bool_,
}
ABSENT = -1


@dataclass(frozen=True, eq=False)
class Value:
    """Hold one tensor. `shape` begins with a batch of one where there is a batch.

    `scale` holds one number, or one for each channel along `axis`; None if it is not quantized.
    `stored` are the integers or floats that the file holds, None for what is computed.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    scale: NDArray[np.float32] | None = None
    zero_point: int = 0
    axis: int = 0
    stored: NDArray[Any] | None = None

    @property
    def quantized(self) -> bool:
        """Whether it holds integers that stand for real numbers."""
        return self.scale is not None

    @property
    def constant(self) -> NDArray[Any] | None:
        """What the stored values stand for: float32, or integers that are none's quantization."""
        stored = self.stored
        if stored is None or self.scale is None:
            if stored is None or stored.dtype != np.float16:
                return stored
            return stored.astype(np.float32)
        shape = [1] * len(self.shape)
        if self.scale.size > 1:
            shape[self.axis] = -1
        scale = self.scale.reshape(shape) if shape else self.scale[0]
        real = (stored.astype(np.float64) - self.zero_point) * scale
        return np.asarray(real, dtype=np.float32)


@dataclass(frozen=True, eq=False)
class Node:
    """Hold one operator: its name in the schema, the places of its tensors, and its options.

    An input that is left out has the place `ABSENT`.
    """

    kind: str
    inputs: tuple[int, ...]
    output: int
    options: Any = None


@dataclass(frozen=True, eq=False)
class Graph:
    """Hold a file's tensors by their places, and its operators in the order of execution."""

    values: tuple[Value, ...]
    nodes: tuple[Node, ...]
    input: int
    output: int
    makers: dict[int, Node] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "makers", {node.output: node for node in self.nodes})

    @property
    def logits(self) -> int:
        """The place of what enters the last softmax; raises ExportError if there is none."""
        place = self.output
        while place in self.makers:
            node = self.makers[place]
            place = node.inputs[0]
            if node.kind == "SOFTMAX":
                return place
            if node.kind not in ("DEQUANTIZE", "QUANTIZE"):
                break
        raise ExportError(
            "the network does not end in a softmax, which training for int8 needs; give a "
            "classifier whose scores are logits, or the softmax of logits"
        )


def read_graph(data: bytes) -> Graph:
    """Return the graph of a TFLite file; raises ExportError unless it is one line of operators."""
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(data, 0))
    graph = model.subgraphs[0]
    types, names = _names_of(schema.TensorType), _names_of(schema.BuiltinOperator)
    values = [_value(tensor, model.buffers, types, data) for tensor in graph.tensors]
    nodes = []
    for operator in graph.operators:
        code = model.operatorCodes[operator.opcodeIndex]
        kind = names[max(code.builtinCode, code.deprecatedBuiltinCode)]
        inputs = tuple(int(place) for place in operator.inputs)
        output = int(operator.outputs[0])
        if kind == "DEQUANTIZE" and values[inputs[0]].stored is not None:
            values[output] = values[inputs[0]]  # weights that are stored smaller than computed with
            continue
        if len(operator.outputs) != 1:
            raise ExportError(
                f"{kind} ('{values[output].name}') has {len(operator.outputs)} outputs; training "
                "for int8 follows operators of one output"
            )
        nodes.append(Node(kind, inputs, output, operator.builtinOptions))
    return Graph(tuple(values), tuple(nodes), int(graph.inputs[0]), int(graph.outputs[0]))


def _value(tensor: Any, buffers: Any, types: dict[int, str], data: bytes) -> Value:
    shape = () if tensor.shape is None else tuple(int(size) for size in tensor.shape)
    kind = types[tensor.type]
    raw = _bytes_of(buffers[tensor.buffer], data)
    dtype = _DTYPES.get(kind)
    stored: NDArray[Any] | None = None
    if raw is not None and dtype is not None:
        stored = np.frombuffer(raw, dtype=dtype).reshape(shape)
    scale, zero_point, axis = None, 0, 0
    parameters = tensor.quantization
    if parameters is not None and parameters.scale is not None and len(parameters.scale):
        scale = np.asarray(parameters.scale, dtype=np.float32)
        zero_point, axis = int(parameters.zeroPoint[0]), int(parameters.quantizedDimension)
    name = (tensor.name or b"").decode("utf-8", "replace")
    return Value(name, shape, kind.lower(), scale, zero_point, axis, stored)


def _bytes_of(buffer: Any, data: bytes) -> bytes | None:
    """Return what a buffer holds, inside the flatbuffer or behind it; None if nothing."""
    if buffer.data is not None and len(buffer.data):
        return bytes(buffer.data)
    if buffer.offset > 1:  # 0 and 1 mark a buffer that lies inside
        return data[buffer.offset : buffer.offset + buffer.size]
    return None


def _names_of(enumeration: Any) -> dict[int, str]:
    return {value: name for name, value in vars(enumeration).items() if isinstance(value, int)}

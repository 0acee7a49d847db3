"""Read and amend TFLite files: a flatbuffer of tensors and the operators between them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from mejiro.errors import ExportError
from mejiro_runtime.preprocess import Quantization

_FILE_IDENTIFIER = b"TFL3"
BUFFER_ALIGNMENT = 16
_DTYPES = {
    "FLOAT32": "float32",
    "FLOAT16": "float16",
    "INT32": "int32",
    "INT64": "int64",
    "UINT8": "uint8",
    "INT8": "int8",
    "BOOL": "bool",
}


@dataclass(frozen=True)
class Tensor:
    """Describe one tensor; `constant` says that the file holds its values."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    constant: bool
    quantization: Quantization | None
    channels: int  # how many scales it has; above 1 it is quantized by channel


@dataclass(frozen=True)
class Operator:
    """Describe one operator by its name in the schema, as CONV_2D, and its tensors' places."""

    name: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


class TFLiteFile:
    """Hold a TFLite model of one subgraph as objects that can be looked at and changed."""

    def __init__(self, data: bytes) -> None:
        from ai_edge_litert import schema_py_generated as schema

        self._schema = schema
        self._model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(data, 0))
        if len(self._model.subgraphs) != 1:
            raise ExportError(
                f"the converter wrote {len(self._model.subgraphs)} subgraphs, one is expected; "
                "a model with branches or loops cannot be converted"
            )
        self._graph = self._model.subgraphs[0]
        self._names = _names_of(schema.BuiltinOperator)
        self._types = _names_of(schema.TensorType)

    @property
    def inputs(self) -> list[Tensor]:
        """The tensors that go in."""
        return [self.tensor(int(index)) for index in self._graph.inputs]

    @property
    def outputs(self) -> list[Tensor]:
        """The tensors that come out."""
        return [self.tensor(int(index)) for index in self._graph.outputs]

    @property
    def operators(self) -> list[Operator]:
        """The operators in the order of execution."""
        return [
            Operator(
                name=self._name_of(operator),
                inputs=tuple(int(index) for index in operator.inputs if index >= 0),
                outputs=tuple(int(index) for index in operator.outputs),
            )
            for operator in self._graph.operators
        ]

    def tensor(self, index: int) -> Tensor:
        """Describe the tensor at place `index`."""
        tensor = self._graph.tensors[index]
        data = self._model.buffers[tensor.buffer].data
        parameters = tensor.quantization
        scales = [] if parameters is None or parameters.scale is None else list(parameters.scale)
        quantization = None
        if len(scales) == 1:
            quantization = Quantization(float(scales[0]), int(parameters.zeroPoint[0]))
        kind = self._types[tensor.type]
        return Tensor(
            name=_text(tensor.name),
            shape=() if tensor.shape is None else tuple(int(size) for size in tensor.shape),
            dtype=_DTYPES.get(kind, kind.lower()),
            constant=data is not None and len(data) > 0,
            quantization=quantization,
            channels=len(scales),
        )

    def take_softmax_in_float(self) -> bool:
        """Move a final int8 softmax behind the dequantization; say whether there was one.

        An int8 softmax has steps of 1/256: all but a few classes become 0, and close ones equal.
        In float it costs nothing to speak of, and every engine takes it.
        """
        operators = self._graph.operators
        maker = {int(place): i for i, made in enumerate(operators) for place in made.outputs}
        last = maker[int(self._graph.outputs[0])]
        before = maker.get(int(operators[last].inputs[0]), last)
        pair = operators[before], operators[last]
        if [self._name_of(operator) for operator in pair] != ["SOFTMAX", "DEQUANTIZE"]:
            return False
        softmax, dequantize = pair
        output = self._graph.tensors[dequantize.outputs[0]]
        # The tensor between the two, so far the quantized probabilities, becomes the logits.
        between = self._graph.tensors[softmax.outputs[0]]
        between.type, between.quantization = output.type, None
        between.name = b"logits"
        middle, final = list(softmax.outputs), list(dequantize.outputs)
        dequantize.inputs, dequantize.outputs = list(softmax.inputs), middle
        softmax.inputs, softmax.outputs = middle, final
        operators[before], operators[last] = dequantize, softmax
        return True

    def put_scores_first(self) -> None:
        """Order the outputs: the row of scores, then the features.

        The converter orders them as it likes, and the runtime reads scores from the first.
        """
        self._graph.outputs = sorted(
            self._graph.outputs, key=lambda index: len(self._graph.tensors[index].shape)
        )

    def to_bytes(self) -> bytes:
        """Return the file."""
        builder = _aligned_builder()
        builder.Finish(self._model.Pack(builder), file_identifier=_FILE_IDENTIFIER)
        return bytes(builder.Output())

    def _name_of(self, operator: Any) -> str:
        code = self._model.operatorCodes[operator.opcodeIndex]
        # Codes above 126 do not fit the older field, which then holds a placeholder of 127.
        name = self._names[max(code.builtinCode, code.deprecatedBuiltinCode)]
        return _text(code.customCode) if name == "CUSTOM" else name


def _aligned_builder() -> Any:
    """Return a flatbuffers builder that lays vectors where the TFLite schema wants its buffers.

    The schema says `force_align: 16`, which the generated Python code does not know; kernels
    read weights in place and may fault on others.
    """
    import flatbuffers

    class AlignedBuilder(flatbuffers.Builder):  # type: ignore[misc]
        def CreateNumpyVector(self, x: Any) -> Any:  # noqa: N802
            self.Prep(BUFFER_ALIGNMENT, x.nbytes)
            return super().CreateNumpyVector(x)

    return AlignedBuilder(1 << 20)


def _names_of(enumeration: Any) -> dict[int, str]:
    """Return value -> name of one of the schema's enumerations."""
    return {value: name for name, value in vars(enumeration).items() if isinstance(value, int)}


def _text(value: Any) -> str:
    """Return a flatbuffer string, bytes or None, as text."""
    if value is None:
        return ""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def number_of_values(tensor: Tensor) -> int:
    """Return how many values `tensor` has."""
    return int(np.prod(tensor.shape, dtype=np.int64))

"""Read and amend TFLite files: a flatbuffer of tensors and the operators between them."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mejiro.errors import ExportError
from mejiro_runtime.preprocess import Quantization

_FILE_IDENTIFIER = b"TFL3"
BUFFER_ALIGNMENT = 16
_CODE_PLACEHOLDER = 127
_WIDENED = (("UINT8", "INT16"), ("INT8", "INT16"))
# Of QUANTIZE and of DEQUANTIZE.
_VERSION_WITH_INT16 = 3
_DTYPES = {
    "FLOAT32": "float32",
    "FLOAT16": "float16",
    "INT32": "int32",
    "INT64": "int64",
    "UINT8": "uint8",
    "INT8": "int8",
    "INT16": "int16",
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
    """Describe one operator by its name in the schema, as CONV_2D, and its tensors' places.

    `activation` is what it ends with, as RELU6, and `padding` SAME or VALID, where it has one.
    """

    name: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    activation: str = "NONE"
    padding: str = ""


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
        for buffer in self._model.buffers:
            _take_in(buffer, data)
        self._names = _names_of(schema.BuiltinOperator)
        self._types = _names_of(schema.TensorType)
        self._activations = _names_of(schema.ActivationFunctionType)
        self._paddings = _names_of(schema.Padding)

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
                activation=self._activations[
                    getattr(operator.builtinOptions, "fusedActivationFunction", 0)
                ],
                padding=self._paddings.get(getattr(operator.builtinOptions, "padding", -1), ""),
            )
            for operator in self._graph.operators
        ]

    def places_of_ends(self) -> set[int]:
        """Return the places of the tensors that go in and come out."""
        return {int(index) for index in (*self._graph.inputs, *self._graph.outputs)}

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

    def values(self, index: int) -> NDArray[Any]:
        """Return what the file holds of the constant at place `index`, as it is stored."""
        tensor, description = self._graph.tensors[index], self.tensor(index)
        data = self._model.buffers[tensor.buffer].data
        stored = np.frombuffer(bytes(data), np.dtype(description.dtype))
        return stored.reshape(description.shape)

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

    def name_apart(self) -> None:
        """Give tensors of the same name names of their own, for whoever goes by names."""
        taken: set[str] = set()
        for index, tensor in enumerate(self._graph.tensors):
            name = _text(tensor.name)
            if not name or name in taken:
                name = f"{name}:{index}"
                tensor.name = name.encode()
            taken.add(name)

    def set_input_quantization(self, quantization: Quantization) -> None:
        """Say by exactly which numbers the uint8 input is read, where they had been computed."""
        tensor = self._graph.tensors[self._graph.inputs[0]]
        if self._types[tensor.type] != "UINT8":
            raise ExportError(f"the input is {self._types[tensor.type]}, not uint8 pixels")
        tensor.quantization.scale = np.array([quantization.scale], np.float32)
        tensor.quantization.zeroPoint = np.array([quantization.zero_point], np.int64)

    def widen_by_way_of_float(self) -> None:
        """Turn int8 and uint8 into int16 in two steps, as floats between them.

        The direct way is unknown to tflite-runtime 2.14, the last of its name.
        """
        operators = []
        for operator in self._graph.operators:
            given, made = (
                self._graph.tensors[places[0]] for places in (operator.inputs, operator.outputs)
            )
            kinds = self._types[given.type], self._types[made.type]
            if self._name_of(operator) == "QUANTIZE" and kinds in _WIDENED:
                between = copy.copy(made)
                between.name = made.name + b"_float"
                between.type, between.quantization = self._schema.TensorType.FLOAT32, None
                step = copy.copy(operator)
                step.opcodeIndex = self._place_of_code("DEQUANTIZE")
                step.builtinOptionsType, step.builtinOptions = 0, None
                step.inputs, step.outputs = list(operator.inputs), [len(self._graph.tensors)]
                operator.inputs = list(step.outputs)
                self._graph.tensors.append(between)
                operators.append(step)
            operators.append(operator)
        self._graph.operators = operators

    def repeat_operator_codes(self) -> None:
        """Write each operator's code into the schema's older field too, where it fits.

        Readers that know only that one would take every operator without it for an addition.
        """
        for code in self._codes:
            newest = max(code.builtinCode, code.deprecatedBuiltinCode)
            code.builtinCode, code.deprecatedBuiltinCode = newest, min(newest, _CODE_PLACEHOLDER)

    def set_constant(self, place: int, values: NDArray[Any]) -> None:
        """Put `values`, of the tensor's type and shape, in place of what the file holds.

        Other tensors that shared the values keep them.
        """
        tensor = self.tensor(place)
        if not tensor.constant or values.shape != tensor.shape or values.dtype != tensor.dtype:
            raise ValueError(f"{values.dtype} {values.shape} are no values of {tensor}")
        data = np.frombuffer(np.ascontiguousarray(values).tobytes(), np.uint8)
        shared = self._graph.tensors[place].buffer
        if sum(one.buffer == shared for one in self._graph.tensors) == 1:
            self._model.buffers[shared].data = data  # nobody needs what was there
            return
        buffer = self._schema.BufferT()
        buffer.data = data
        self._model.buffers.append(buffer)
        self._graph.tensors[place].buffer = len(self._model.buffers) - 1

    def give_constant(self, operator: int, at: int, values: NDArray[Any]) -> None:
        """Put `values` in place of the constant that an operator has for its input `at`.

        Other operators that read the same tensor keep what they had.
        """
        reader = self._graph.operators[operator]
        places = [index for index in range(len(reader.inputs)) if reader.inputs[index] >= 0]
        place = int(reader.inputs[places[at]])
        if sum(place in one.inputs for one in self._graph.operators) > 1:
            tensor = copy.copy(self._graph.tensors[place])
            place = len(self._graph.tensors)
            tensor.name = f"{_text(tensor.name)}:{place}".encode()
            self._graph.tensors.append(tensor)
            reader.inputs = list(reader.inputs)
            reader.inputs[places[at]] = place
        self.set_constant(place, values)

    def set_activation(self, operator: int, name: str) -> None:
        """Let the operator at place `operator` end with another activation, as RELU."""
        options = self._graph.operators[operator].builtinOptions
        options.fusedActivationFunction = getattr(self._schema.ActivationFunctionType, name)

    def put_in_place_of(self, product: int, name: str, given: int, without: int) -> None:
        """Make the operator at place `product` one of `name`, without options, of one tensor.

        It reads the tensor `given`, and the operator at place `without`, which nothing reads any
        more, is taken out.
        """
        operator = self._graph.operators[product]
        operator.opcodeIndex = self._place_of_code(name)
        operator.builtinOptionsType, operator.builtinOptions = 0, None
        operator.inputs = [given]
        del self._graph.operators[without]

    def round_after(self, place: int, quantization: Quantization, dtype: str) -> None:
        """Let all that reads a float tensor read it quantized to `dtype` and made float again."""
        readers = [one for one in self._graph.operators if place in one.inputs]
        rounded = self._add_tensor(place, b"rounded", dtype, quantization)
        again = self._add_tensor(place, b"float", "float32", None)
        after = next(
            index + 1 for index, one in enumerate(self._graph.operators) if place in one.outputs
        )
        self._graph.operators[after:after] = [
            self._new_operator("QUANTIZE", place, rounded),
            self._new_operator("DEQUANTIZE", rounded, again),
        ]
        for one in readers:
            one.inputs = [again if index == place else int(index) for index in one.inputs]
        self._graph.outputs = [
            again if index == place else int(index) for index in self._graph.outputs
        ]

    def _add_tensor(
        self, like: int, suffix: bytes, dtype: str, quantization: Quantization | None
    ) -> int:
        """Add a tensor without values, shaped as another; return its place."""
        model = self._graph.tensors[like]
        tensor = self._schema.TensorT()
        tensor.shape, tensor.shapeSignature = model.shape, model.shapeSignature
        tensor.type = getattr(self._schema.TensorType, dtype.upper())
        tensor.name = (_text(model.name) + ":" + suffix.decode()).encode()
        tensor.buffer = 0  # by the schema, the empty one
        if quantization is not None:
            tensor.quantization = self._schema.QuantizationParametersT()
            tensor.quantization.scale = [quantization.scale]
            tensor.quantization.zeroPoint = [quantization.zero_point]
        self._graph.tensors.append(tensor)
        return len(self._graph.tensors) - 1

    def _new_operator(self, name: str, given: int, made: int) -> Any:
        code = self._schema.OperatorCodeT()
        code.builtinCode = code.deprecatedBuiltinCode = getattr(self._schema.BuiltinOperator, name)
        code.version = _VERSION_WITH_INT16
        self._model.operatorCodes.append(code)
        operator = self._schema.OperatorT()
        operator.opcodeIndex = len(self._model.operatorCodes) - 1
        operator.inputs, operator.outputs = [given], [made]
        return operator

    def to_bytes(self) -> bytes:
        """Return the file."""
        builder = _aligned_builder()
        builder.Finish(self._model.Pack(builder), file_identifier=_FILE_IDENTIFIER)
        return bytes(builder.Output())

    def _place_of_code(self, name: str) -> int:
        """Return where the list of operator codes has `name`, which is appended if it is not."""
        code = getattr(self._schema.BuiltinOperator, name)
        known = [max(one.builtinCode, one.deprecatedBuiltinCode) for one in self._codes]
        if code not in known:
            added = self._schema.OperatorCodeT()
            added.builtinCode, added.version = code, 1
            self._codes.append(added)
            known.append(code)
        return known.index(code)

    @property
    def _codes(self) -> list[Any]:
        codes: list[Any] = self._model.operatorCodes
        return codes

    def _name_of(self, operator: Any) -> str:
        code = self._model.operatorCodes[operator.opcodeIndex]
        # Codes above 126 do not fit the older field, which then holds a placeholder.
        name = self._names[max(code.builtinCode, code.deprecatedBuiltinCode)]
        return _text(code.customCode) if name == "CUSTOM" else name


def _take_in(buffer: Any, data: bytes) -> None:
    """Put the values of a buffer that lie behind the flatbuffer, where writers may put them, in."""
    if buffer.offset > 1:  # below, it is a placeholder
        end = buffer.offset + buffer.size
        if end > len(data):
            raise ExportError(f"the file ends at {len(data)} bytes, before its weights do at {end}")
        buffer.data = np.frombuffer(data, np.uint8, buffer.size, buffer.offset)
        buffer.offset = buffer.size = 0


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

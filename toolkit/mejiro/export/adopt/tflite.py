"""Read what a TFLite file says of itself; nothing is run.

Source of the layout: schema.fbs of TensorFlow Lite, as generated in ai-edge-litert.
"""

from __future__ import annotations

import importlib
import struct
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from mejiro.errors import MissingPackage
from mejiro.export.adopt.facts import (
    Described,
    ModelFacts,
    Steps,
    TensorFacts,
    picture_place,
    shown,
)
from mejiro.export.adopt.tflite_metadata import BUFFER_NAME, read_described
from mejiro_runtime.card import Format, Precision, Scores
from mejiro_runtime.errors import ModelError
from mejiro_runtime.preprocess import InputSpec, Quantization, TensorType

IDENTIFIER = b"TFL3"
POSTPROCESS = "TFLite_Detection_PostProcess"
VERSION = 3

_NAMES = {"FLOAT32": "float32", "FLOAT16": "float16", "UINT8": "uint8", "INT8": "int8"}
_PRECISIONS = {
    "FLOAT32": Precision.FP32,
    "FLOAT16": Precision.FP16,
    "UINT8": Precision.INT8,
    "INT8": Precision.INT8,
    "INT4": Precision.UNKNOWN,
}
_ITEM_BYTES = {"FLOAT32": 4, "FLOAT16": 2, "INT4": 0.5}
# Operators that change an output's form and not its meaning.
_PASSING = frozenset({"QUANTIZE", "DEQUANTIZE", "RESHAPE", "SQUEEZE", "EXPAND_DIMS", "CAST"})
_ENDS = {
    "SOFTMAX": Scores.PROBABILITIES,
    "LOGISTIC": Scores.PROBABILITIES,
    # Softmax undoes this logarithm, as it takes any logits.
    "LOG_SOFTMAX": Scores.LOGITS,
    "ADD": Scores.LOGITS,
    "AVERAGE_POOL_2D": Scores.LOGITS,
    "BATCH_MATMUL": Scores.LOGITS,
    "CONV_2D": Scores.LOGITS,
    "FULLY_CONNECTED": Scores.LOGITS,
    "MEAN": Scores.LOGITS,
}
_DAMAGE = (struct.error, ValueError, TypeError, IndexError, OverflowError, AttributeError)


def read_tflite(data: bytes, name: str, spec: InputSpec | None = None) -> ModelFacts:
    """Return what the TFLite file `data` says; `name` is for messages, `spec` is not needed.

    A batch that the file leaves open, with 1 as its default, is fixed to 1. Raises ModelError if
    the file is not TFLite, is damaged, or keeps its weights elsewhere.
    """
    if data[4:8] != IDENTIFIER:
        raise ModelError(
            f"{name} is not a TFLite file: bytes 4 to 8 are not {IDENTIFIER.decode()}; "
            "give a model converted by LiteRT or TensorFlow Lite"
        )
    schema = _load_schema()
    try:
        return _Reader(schema, data, name).read()
    except _DAMAGE:
        raise ModelError(
            f"{name} is damaged or cut short: its {len(data)} bytes are no whole TFLite model; "
            "get the file again"
        ) from None


def _load_schema() -> Any:
    """Import the generated reader of the schema."""
    try:
        return importlib.import_module("ai_edge_litert.schema_py_generated")
    except ImportError:
        raise MissingPackage(
            "ai-edge-litert",
            purpose="adopting a .tflite file",
            install="pip install ai-edge-litert",
        ) from None


class _Reader:
    """Walk one file's tables.

    Every vector read counts against the file's size, so that neither damaged lengths nor tables
    that overlap can keep the walk going.
    """

    def __init__(self, schema: Any, data: bytes, name: str) -> None:
        self._data = bytearray(data)  # vectors read from it are views that can be written to
        self._name = name
        self._left = len(data)
        self._types = _names_of(schema.TensorType)
        self._operators = _names_of(schema.BuiltinOperator)
        self._model = schema.Model.GetRootAs(self._data, 0)
        if self._model.Version() != VERSION:
            raise ModelError(
                f"{name} has schema version {self._model.Version()}, {VERSION} is read; "
                "convert the model with a current converter"
            )
        self._graph = self._table(self._model.SubgraphsLength(), self._model.Subgraphs, 0)
        self._codes = [
            self._code(code)
            for code in self._each(self._model.OperatorCodesLength(), self._model.OperatorCodes)
        ]
        self._tensors = list(self._each(self._graph.TensorsLength(), self._graph.Tensors))

    def read(self) -> ModelFacts:
        """Return all that the file says."""
        if self._external():
            raise ModelError(
                f"{self._name} keeps its weights in other files; convert the model to a single file"
            )
        inputs = self._ends(self._graph.InputsAsNumpy())
        outputs = self._ends(self._graph.OutputsAsNumpy())
        operators = list(self._each(self._graph.OperatorsLength(), self._graph.Operators))
        names = [self._codes[self._index(op.OpcodeIndex(), self._codes)] for op in operators]
        last = self._last_operator(operators, names, outputs[0]) if len(outputs) == 1 else ""
        changes = self._fix_batch(inputs)
        given = tuple(self._facts(index) for index in inputs)
        picture = picture_place(given)
        roles, boxed_classes = self._postprocess(operators, names, outputs)
        return ModelFacts(
            name=self._name,
            format=Format.TFLITE,
            data=bytes(self._data),
            precision=self._precision(),
            inputs=given,
            outputs=tuple(self._facts(index) for index in outputs),
            operators=frozenset(names),
            last_operator=shown(last),
            scores=_ENDS.get(last),
            steps=self._steps(operators, names, inputs[picture]) if inputs else None,
            described=self._described(),
            changes=changes,
            origin={"converter": shown(_text(self._model.Description()))},
            picture=picture,
            roles=roles,
            boxed_classes=boxed_classes,
        )

    def _postprocess(
        self, operators: list[Any], names: list[str], outputs: list[int]
    ) -> tuple[tuple[int, ...], int | None]:
        """Return which outputs are those of the operator POSTPROCESS, and its classes."""
        if POSTPROCESS not in names:
            return (), None
        operator = operators[names.index(POSTPROCESS)]
        made = self._numbers(operator.OutputsAsNumpy())
        roles = tuple(outputs.index(index) for index in made if index in outputs)
        options = operator.CustomOptionsAsNumpy()
        classes = _option(options, "num_classes") if isinstance(options, np.ndarray) else None
        return (roles if len(roles) == len(made) == 4 else ()), classes

    def _spend(self, count: int) -> None:
        self._left -= count
        if self._left < 0:
            raise ValueError("the file names more than it can hold")

    def _each(self, count: int, get: Callable[[int], Any]) -> Iterator[Any]:
        self._spend(count)
        return (get(index) for index in range(count))

    def _table(self, count: int, get: Callable[[int], Any], index: int) -> Any:
        if not 0 <= index < count:
            raise ValueError("an index points past its vector")
        return get(index)

    def _index(self, index: int, among: list[Any]) -> int:
        if not 0 <= index < len(among):
            raise ValueError("an index points past its vector")
        return index

    def _numbers(self, vector: Any) -> list[int]:
        """Return a vector of integers; flatbuffers gives the number 0 for one that is left out."""
        if not isinstance(vector, np.ndarray):
            return []
        self._spend(vector.size)
        return [int(number) for number in vector]

    def _ends(self, indices: Any) -> list[int]:
        """Return the indices of the graph's inputs or outputs."""
        return [self._index(index, self._tensors) for index in self._numbers(indices)]

    def _code(self, code: Any) -> str:
        """Return an operator's name; the older of its two fields ends at 127."""
        number = max(code.DeprecatedBuiltinCode(), code.BuiltinCode())
        name = self._operators.get(number, f"operator {number}")
        return _text(code.CustomCode()) if name == "CUSTOM" else name

    def _facts(self, index: int) -> TensorFacts:
        tensor = self._tensors[index]
        shape = self._numbers(tensor.ShapeAsNumpy())
        signature = self._numbers(tensor.ShapeSignatureAsNumpy())
        if len(signature) == len(shape):
            shape = signature
        kind = self._types.get(tensor.Type(), f"type {tensor.Type()}")
        return TensorFacts(
            name=_text(tensor.Name()),
            shape=tuple(shape),
            dtype=_NAMES.get(kind, kind.lower()),
            quantization=_quantization(tensor),
        )

    def _fix_batch(self, inputs: list[int]) -> tuple[str, ...]:
        """Fix an open batch to 1, in the file's own bytes, and return what was changed.

        The converter writes an open dimension as -1 in `shape_signature` and as 1 in `shape`,
        which is what the engine allocates; so the signature's -1 is overwritten where it lies.
        """
        if len(inputs) != 1:
            return ()
        tensor = self._tensors[inputs[0]]
        shape = self._numbers(tensor.ShapeAsNumpy())
        signature = self._numbers(tensor.ShapeSignatureAsNumpy())
        if not shape or shape[0] != 1 or signature != [-1, *shape[1:]]:
            return ()
        for tensor in self._tensors:
            shape = self._numbers(tensor.ShapeAsNumpy())
            view = tensor.ShapeSignatureAsNumpy()
            if shape and len(self._numbers(view)) == len(shape):
                view[view == -1] = np.array(shape, dtype=view.dtype)[view == -1]
        return ("the open batch was fixed to 1",)

    def _last_operator(self, operators: list[Any], names: list[str], output: int) -> str:
        """Return the operator that gives the output its meaning."""
        makers: dict[int, int] = {}
        for place, operator in enumerate(operators):
            made = self._numbers(operator.OutputsAsNumpy())
            makers.update(dict.fromkeys(made, place))
        # A graph of n operators has no longer way back, unless it goes in a circle.
        for _ in operators:
            if output not in makers:
                return ""
            place = makers[output]
            taken = self._numbers(operators[place].InputsAsNumpy())
            if names[place] not in _PASSING or not taken:
                return names[place]
            output = taken[0]
        return ""

    def _steps(self, operators: list[Any], names: list[str], given: int) -> Steps | None:
        """Return the quantization of the pixels: the input's own, or its QUANTIZE operator's."""
        facts = self._facts(given)
        if facts.dtype == "float32":
            users = [
                place
                for place, operator in enumerate(operators)
                if given in self._numbers(operator.InputsAsNumpy())
            ]
            if len(users) != 1 or names[users[0]] != "QUANTIZE":
                return None
            made = self._numbers(operators[users[0]].OutputsAsNumpy())
            if not made:
                return None
            facts = self._facts(self._index(made[0], self._tensors))
        if facts.dtype not in {"uint8", "int8"} or facts.quantization is None:
            return None
        return Steps(TensorType(facts.dtype), facts.quantization)

    def _precision(self) -> Precision:
        """Return what most of the weights are stored as, by their number."""
        weights: Counter[Precision] = Counter()
        count = self._model.BuffersLength()
        for tensor in self._tensors:
            kind = self._types.get(tensor.Type(), "")
            if kind not in _PRECISIONS or tensor.Buffer() == 0:
                continue
            size = int(self._table(count, self._model.Buffers, tensor.Buffer()).DataLength())
            weights[_PRECISIONS[kind]] += int(size / _ITEM_BYTES.get(kind, 1))
        most = weights.most_common(1)
        return most[0][0] if most and most[0][1] else Precision.UNKNOWN

    def _external(self) -> bool:
        """Say whether weights lie outside the file; older schemas know no such thing."""
        length = getattr(self._model, "ExternalBuffersLength", None)
        return length is not None and length() > 0

    def _described(self) -> Described:
        """Return the embedded description, empty where there is none that can be read."""
        buffers = self._model.BuffersLength()
        for entry in self._each(self._model.MetadataLength(), self._model.Metadata):
            if entry.Name() == BUFFER_NAME:
                content = self._table(buffers, self._model.Buffers, entry.Buffer()).DataAsNumpy()
                raw = content.tobytes() if isinstance(content, np.ndarray) else b""
                return read_described(raw, bytes(self._data), self._name) or Described()
        return Described()


def _option(options: Any, name: str) -> int | None:
    """Return a number of a custom operator's options, if it is there."""
    flexbuffers = importlib.import_module("flatbuffers.flexbuffers")
    try:
        return int(flexbuffers.GetRoot(options.tobytes()).AsMap[name].AsInt)
    except Exception:  # noqa: BLE001 - what a stranger's bytes make of the reader is open-ended
        return None


def _names_of(enum: Any) -> dict[int, str]:
    """Return the names of a generated enum's numbers."""
    return {number: name for name, number in vars(enum).items() if isinstance(number, int)}


def _text(raw: bytes | None) -> str:
    return (raw or b"").decode("utf-8", "replace")


def _quantization(tensor: Any) -> Quantization | None:
    """Return a tensor's quantization, if it has one for all its values together."""
    parameters = tensor.Quantization()
    if parameters is None or parameters.ScaleLength() != 1:
        return None
    scale = float(parameters.Scale(0))
    zero = int(parameters.ZeroPoint(0)) if parameters.ZeroPointLength() else 0
    if not (np.isfinite(scale) and scale > 0 and -(2**31) <= zero < 2**31):
        return None
    return Quantization(scale, zero)

"""Tiny classifiers, written table by table: each answers with the colour a picture has most of."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
import onnx
import pytest
from ai_edge_litert import schema_py_generated as schema
from onnx import TensorProto, helper

from mejiro_runtime.types import Label

COLOURS = ("red", "green", "blue")
TYPES = {"float32": 0, "int32": 2, "uint8": 3, "int64": 4, "int8": 9}


@dataclass(frozen=True)
class TinyTFLite:
    """Say how a TFLite file is to be: (1, size, size, 3) -> mean of each channel -> `end`.

    `given` and `made` are (scale, zero point) of input and output, None for a float.
    """

    dtype: str = "float32"
    given: tuple[float, int] | None = None
    made: tuple[float, int] | None = None
    end: str = "SOFTMAX"
    size: int = 8
    shape: tuple[int, ...] | None = None
    signature: tuple[int, ...] | None = None
    inputs: int = 1
    outputs: int = 1
    custom: str = ""
    input_name: str = "image"
    weights: str = ""
    external: bool = False
    version: int = 3
    metadata: bytes = b""
    files: dict[str, bytes] = field(default_factory=dict)


def _tensor(name: str, shape: tuple[int, ...], dtype: str, **more: Any) -> Any:
    tensor = schema.TensorT()
    tensor.name, tensor.shape, tensor.type = name, list(shape), TYPES[dtype]
    tensor.buffer = more.get("buffer", 0)
    if more.get("signature"):
        tensor.shapeSignature = list(more["signature"])
    if more.get("quantization"):
        scale, zero_point = more["quantization"]
        tensor.quantization = schema.QuantizationParametersT()
        tensor.quantization.scale = [scale]
        tensor.quantization.zeroPoint = [zero_point]
    return tensor


def _operator(code: int, inputs: list[int], outputs: list[int]) -> Any:
    operator = schema.OperatorT()
    operator.opcodeIndex, operator.inputs, operator.outputs = code, inputs, outputs
    return operator


def _code(name: str, custom: str = "") -> Any:
    code = schema.OperatorCodeT()
    code.builtinCode = getattr(schema.BuiltinOperator, name)
    code.deprecatedBuiltinCode = min(code.builtinCode, 127)
    code.customCode = custom or None
    code.version = 2 if name == "SOFTMAX" else 1
    return code


def write_tflite(tiny: TinyTFLite) -> bytes:
    """Return the bytes of the TFLite file that `tiny` describes."""
    shape = tiny.shape or (1, tiny.size, tiny.size, 3)
    mean = _operator(0, [0, 1], [2])
    mean.builtinOptionsType = schema.BuiltinOptions.ReducerOptions
    mean.builtinOptions = schema.ReducerOptionsT()
    mean.builtinOptions.keepDims = False
    last = _operator(1, [2], [3])
    if tiny.end == "SOFTMAX":
        last.builtinOptionsType = schema.BuiltinOptions.SoftmaxOptions
        last.builtinOptions = schema.SoftmaxOptionsT()
        last.builtinOptions.beta = 1.0
    graph = schema.SubGraphT()
    classes = (1, 3)
    open_classes = (-1, 3) if tiny.signature else None
    graph.tensors = [
        _tensor(
            tiny.input_name, shape, tiny.dtype, quantization=tiny.given, signature=tiny.signature
        ),
        _tensor("axes", (2,), "int32", buffer=1),
        _tensor("mean", classes, tiny.dtype, quantization=tiny.given, signature=open_classes),
        _tensor("scores", classes, tiny.dtype, quantization=tiny.made, signature=open_classes),
        *(_tensor(f"extra{i}", (1, 4), "float32") for i in range(1, tiny.inputs)),
    ]
    graph.inputs = [0, *range(4, 3 + tiny.inputs)]
    graph.outputs = [3, 2][: tiny.outputs]
    graph.operators = [mean, last]
    model = schema.ModelT()
    model.version, model.description = tiny.version, "made for a test"
    model.subgraphs = [graph]
    model.operatorCodes = [_code("MEAN"), _code("CUSTOM" if tiny.custom else tiny.end, tiny.custom)]
    model.buffers = [schema.BufferT(), schema.BufferT()]
    model.buffers[1].data = np.frombuffer(np.array([1, 2], "<i4").tobytes(), np.uint8)
    if tiny.weights:
        weights = _tensor("weights", (50,), tiny.weights, buffer=len(model.buffers))
        graph.tensors.append(weights)
        model.buffers.append(schema.BufferT())
        model.buffers[-1].data = np.zeros(50 * np.dtype(tiny.weights).itemsize, np.uint8)
    if tiny.metadata:
        entry = schema.MetadataT()
        entry.name, entry.buffer = "TFLITE_METADATA", len(model.buffers)
        model.metadata = [entry]
        model.buffers.append(schema.BufferT())
        model.buffers[-1].data = np.frombuffer(tiny.metadata, np.uint8)
    if tiny.external:
        model.externalBuffers = [schema.ExternalBufferT()]
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output()) + _archive(tiny.files)


def _archive(files: dict[str, bytes]) -> bytes:
    """Return a ZIP archive to append; its offsets count from its own start, as others write it."""
    if not files:
        return b""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return stream.getvalue()


class MetadataWriter:
    """Write TFLite Metadata by the ids of metadata_schema.fbs, for what the reader must meet."""

    def __init__(self) -> None:
        self._builder = flatbuffers.Builder(256)

    def _table(
        self, fields: int, slots: dict[int, int], small: dict[int, int] | None = None
    ) -> int:
        self._builder.StartObject(fields)
        for field_id, offset in slots.items():
            self._builder.PrependUOffsetTRelativeSlot(field_id, offset, 0)
        for field_id, value in (small or {}).items():
            self._builder.PrependUint8Slot(field_id, value, 0)
        return int(self._builder.EndObject())

    def _floats(self, values: tuple[float, ...]) -> int:
        return int(self._builder.CreateNumpyVector(np.array(values, np.float32)))

    def _tables(self, offsets: list[int]) -> int:
        self._builder.StartVector(4, len(offsets), 4)
        for offset in reversed(offsets):
            self._builder.PrependUOffsetTRelative(offset)
        return int(self._builder.EndVector())

    def write(
        self,
        *,
        mean: tuple[float, ...] = (),
        std: tuple[float, ...] = (),
        color_space: int = 1,
        labels: str = "",
        author: str = "",
    ) -> bytes:
        """Return a ModelMetadata buffer for one input and one output."""
        text = self._builder.CreateString
        given: dict[int, int] = {}
        if mean:
            options = self._table(2, {0: self._floats(mean), 1: self._floats(std)})
            given[4] = self._tables([self._table(2, {1: options}, {0: 1})])
        image = self._table(2, {}, {0: color_space})
        given[3] = self._table(3, {1: image}, {0: 2})
        made: dict[int, int] = {}
        if labels:
            made[6] = self._tables([self._table(4, {0: text(labels)}, {2: 2})])
        inputs = self._tables([self._table(7, given)])
        outputs = self._tables([self._table(7, made)])
        subgraphs = self._tables([self._table(7, {2: inputs, 3: outputs})])
        slots = {3: subgraphs}
        if author:
            slots[4] = text(author)
        self._builder.Finish(self._table(8, slots), file_identifier=b"M001")
        return bytes(self._builder.Output())


@dataclass(frozen=True)
class TinyONNX:
    """Say how an ONNX file is to be: (1, 3, size, size) -> mean of each channel -> `end`."""

    shape: tuple[int | str, ...] = (1, 3, 8, 8)
    dtype: int = TensorProto.FLOAT
    given: tuple[float, int] | None = None  # scale and zero point of the first operator
    end: str = "Softmax"
    keep_axes: bool = False
    made: tuple[int | str, ...] | None = None
    inputs: int = 1
    outputs: int = 1
    ir: int = 8
    opset: int = 17
    weights_are_inputs: bool = False
    external: str = ""


def write_onnx(tiny: TinyONNX) -> bytes:
    """Return the bytes of the ONNX file that `tiny` describes."""
    first, nodes, initial = "image", [], []
    if tiny.given:
        kind = np.int8 if tiny.dtype == TensorProto.INT8 else np.uint8
        scale, zero = tiny.given
        initial += [
            onnx.numpy_helper.from_array(np.array(scale, np.float32), "scale"),
            onnx.numpy_helper.from_array(np.array(zero, kind), "zero"),
        ]
        if tiny.dtype == TensorProto.FLOAT:
            nodes.append(helper.make_node("QuantizeLinear", ["image", "scale", "zero"], ["steps"]))
        source = "steps" if tiny.dtype == TensorProto.FLOAT else "image"
        nodes.append(helper.make_node("DequantizeLinear", [source, "scale", "zero"], ["real"]))
        first = "real"
    elif tiny.dtype != TensorProto.FLOAT:
        nodes.append(helper.make_node("Cast", ["image"], ["real"], to=TensorProto.FLOAT))
        first = "real"
    gain = onnx.numpy_helper.from_array(np.full((1, 3, 1, 1), 2, np.float32), "gain")
    if tiny.external:
        gain.data_location = TensorProto.EXTERNAL
        gain.external_data.add(key="location", value=tiny.external)
    initial.append(gain)
    nodes.append(helper.make_node("Mul", [first, "gain"], ["louder"]))
    nodes.append(helper.make_node("GlobalAveragePool", ["louder"], ["mean"]))
    flat = "mean"
    if not tiny.keep_axes:
        nodes.append(helper.make_node("Flatten", ["mean"], ["flat"]))
        flat = "flat"
    options = {"axis": 1} if "Softmax" in tiny.end else {}
    nodes.append(helper.make_node(tiny.end, [flat], ["scores"], **options))
    made = tiny.made or (tiny.shape[0], 3, *((1, 1) if tiny.keep_axes else ()))
    inputs = [helper.make_tensor_value_info("image", tiny.dtype, tiny.shape)]
    extra = [f"extra{i}" for i in range(1, tiny.inputs)]
    inputs += [helper.make_tensor_value_info(name, TensorProto.FLOAT, (1, 4)) for name in extra]
    if tiny.weights_are_inputs:
        inputs.append(helper.make_tensor_value_info("gain", TensorProto.FLOAT, (1, 3, 1, 1)))
    outputs = [helper.make_tensor_value_info("scores", TensorProto.FLOAT, made)]
    if tiny.outputs > 1:
        outputs.append(helper.make_tensor_value_info("mean", TensorProto.FLOAT, None))
    graph = helper.make_graph(nodes, "tiny", inputs, outputs, initializer=initial)
    opsets = [helper.make_opsetid("", tiny.opset)]
    model = helper.make_model(graph, producer_name="test", opset_imports=opsets, ir_version=tiny.ir)
    return bytes(model.SerializeToString())


def write_tiny(format: str, **options: Any) -> bytes:
    """Return the bytes of a tiny model: `options` are those of `TinyTFLite` or `TinyONNX`."""
    if format == "tflite":
        return write_tflite(TinyTFLite(**options))
    return write_onnx(TinyONNX(**options))


@pytest.fixture(scope="session")
def tiny() -> Callable[..., bytes]:
    """Return `write_tiny`."""
    return write_tiny


@pytest.fixture
def stranger(tmp_path: Path) -> Callable[..., Path]:
    """Return a function like `write_tiny` that writes a file and returns its path."""

    def write(format: str, **options: Any) -> Path:
        path = tmp_path / "stranger" / f"tiny.{format}"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(write_tiny(format, **options))
        return path

    return write


@pytest.fixture(scope="session")
def metadata() -> Callable[..., bytes]:
    """Return a function that writes a TFLite Metadata buffer."""
    return lambda **options: MetadataWriter().write(**options)


@pytest.fixture(scope="session")
def whole_metadata() -> bytes:
    """Return a metadata buffer that says all that is read."""
    return MetadataWriter().write(mean=(1.0, 2.0, 3.0), std=(4.0,), labels="n.txt", author="me")


@pytest.fixture(scope="session")
def whole_tflite(whole_metadata: bytes) -> bytes:
    """Return an undamaged TFLite file with a bit of everything."""
    quantized = {"dtype": "uint8", "given": (2 / 255, 127), "made": (1 / 256, 0)}
    files = {"n.txt": b"red\ngreen\nblue"}
    size = (-1, 8, 8, 3)
    return write_tiny(
        "tflite", **quantized, signature=size, weights="int8", metadata=whole_metadata, files=files
    )


@pytest.fixture(scope="session")
def whole_onnx() -> bytes:
    """Return an undamaged ONNX file."""
    return write_tiny("onnx", given=(2 / 255, 127), shape=("N", 3, 8, 8))


@pytest.fixture(scope="session")
def colours() -> tuple[Label, ...]:
    """Return the labels of the tiny models."""
    return tuple(Label(index, name) for index, name in enumerate(COLOURS))


@pytest.fixture
def constant(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes an ONNX file whose outputs are the arrays given, by name.

    Its input is a uint8 picture; `state` are further float inputs by name, with their shapes.
    """

    def write(outputs: dict[str, np.ndarray], state: dict[str, Any] | None = None) -> Path:
        given = {"image": (TensorProto.UINT8, (1, 8, 8, 3))}
        given |= {name: (TensorProto.FLOAT, shape) for name, shape in (state or {}).items()}
        nodes = [
            helper.make_node("Cast", ["image"], ["real"], to=TensorProto.FLOAT),
            helper.make_node("ReduceMean", ["real"], ["mean"], keepdims=0),
            helper.make_node("Mul", ["mean", "zero"], ["nothing"]),
        ]
        tensors = [onnx.numpy_helper.from_array(np.float32(0), "zero")]
        for name, array in outputs.items():
            kind = helper.np_dtype_to_tensor_dtype(array.dtype)
            tensors.append(onnx.numpy_helper.from_array(array, f"{name}-constant"))
            nodes += [
                helper.make_node("Cast", ["nothing"], [f"{name}-nothing"], to=kind),
                helper.make_node("Add", [f"{name}-constant", f"{name}-nothing"], [name]),
            ]
        made = [
            helper.make_tensor_value_info(
                name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape
            )
            for name, array in outputs.items()
        ]
        inputs = [helper.make_tensor_value_info(name, *about) for name, about in given.items()]
        graph = helper.make_graph(nodes, "constant", inputs, made, tensors)
        opsets = [helper.make_opsetid("", 17)]
        path = tmp_path / "constant.onnx"
        onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), path)
        return path

    return write

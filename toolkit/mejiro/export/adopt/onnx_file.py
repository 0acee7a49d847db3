"""Read what an ONNX file says of itself; nothing is run.

Source of the layout: onnx.proto and the operators' definitions of github.com/onnx/onnx.
"""

from __future__ import annotations

import importlib
import math
from collections import Counter
from collections.abc import Iterator
from typing import Any

from mejiro.errors import UsageError
from mejiro.export.adopt.facts import (
    DETECTION_OPERATORS,
    ModelFacts,
    Steps,
    TensorFacts,
    picture_place,
    shown,
)
from mejiro_runtime.card import Format, Precision, Scores
from mejiro_runtime.errors import ModelError
from mejiro_runtime.preprocess import InputSpec, Quantization, TensorType

# What onnxruntime 1.18, the oldest that the runtime supports, reads.
OLD_IR, OLD_OPSET = 10, 21

_NAMES = {"FLOAT": "float32", "FLOAT16": "float16", "DOUBLE": "float64"}
_PRECISIONS = {
    "FLOAT": Precision.FP32,
    "FLOAT16": Precision.FP16,
    "UINT8": Precision.INT8,
    "INT8": Precision.INT8,
    "INT4": Precision.UNKNOWN,
    "UINT4": Precision.UNKNOWN,
    "BFLOAT16": Precision.UNKNOWN,
}
# Operators that change an output's form and not its meaning.
_PASSING = frozenset(
    {
        "Cast",
        "DequantizeLinear",
        "Dropout",
        "Flatten",
        "Identity",
        "QuantizeLinear",
        "Reshape",
        "Squeeze",
        "Unsqueeze",
    }
)
_ENDS = {
    "Softmax": Scores.PROBABILITIES,
    "Sigmoid": Scores.PROBABILITIES,
    "QLinearSoftmax": Scores.PROBABILITIES,
    "QLinearSigmoid": Scores.PROBABILITIES,
    # Softmax undoes this logarithm, as it takes any logits.
    "LogSoftmax": Scores.LOGITS,
    "Add": Scores.LOGITS,
    "AveragePool": Scores.LOGITS,
    "Conv": Scores.LOGITS,
    "Gemm": Scores.LOGITS,
    "GlobalAveragePool": Scores.LOGITS,
    "MatMul": Scores.LOGITS,
    "QGemm": Scores.LOGITS,
    "QLinearAdd": Scores.LOGITS,
    "QLinearConv": Scores.LOGITS,
    "QLinearGlobalAveragePool": Scores.LOGITS,
    "QLinearMatMul": Scores.LOGITS,
    "ReduceMean": Scores.LOGITS,
}
# Operators whose inputs 1 and 2 are the scale and zero point of input 0.
_DEQUANTIZING = frozenset({"DequantizeLinear", "QLinearConv", "QLinearMatMul", "QGemm"})


def read_onnx(data: bytes, name: str, spec: InputSpec | None = None) -> ModelFacts:
    """Return what the ONNX file `data` says; `name` is for messages.

    An open batch is fixed to 1; an open height and width are fixed to those of `spec`. Raises
    ModelError if the file is not ONNX, is damaged, or keeps weights in other files, and
    UsageError if the size is open and there is no `spec`.
    """
    model = _parse(data, name)
    graph = model.graph
    _refuse_external(model, name)
    initial = {tensor.name for tensor in graph.initializer}
    initial |= {tensor.values.name for tensor in graph.sparse_initializer}
    # Before IR version 4 every weight was an input as well.
    inputs = [value for value in graph.input if value.name not in initial]
    operators = frozenset(str(node.op_type) for node in graph.node)
    plain = not operators & DETECTION_OPERATORS
    changes = _close_shapes(model, inputs[0], name, spec) if plain and len(inputs) == 1 else ()
    single = len(inputs) == len(graph.output) == 1 and plain
    last = _last_operator(graph) if single else ""
    given = tuple(_facts(value) for value in inputs)
    picture = picture_place(given)
    opsets = {entry.domain or "ai.onnx": int(entry.version) for entry in model.opset_import}
    return ModelFacts(
        name=name,
        format=Format.ONNX,
        data=model.SerializeToString() if changes else data,
        precision=_precision(model),
        inputs=given,
        outputs=tuple(_facts(value) for value in graph.output),
        operators=operators,
        last_operator=shown(last),
        scores=_ENDS.get(last),
        steps=_steps(graph, inputs[picture]) if plain and inputs else None,
        changes=changes,
        notes=_notes(int(model.ir_version), opsets.get("ai.onnx", 0)),
        origin={
            "producer": shown(f"{model.producer_name} {model.producer_version}".strip()),
            "ir": int(model.ir_version),
            "opsets": {shown(domain): version for domain, version in opsets.items()},
        },
        picture=picture,
    )


def _parse(data: bytes, name: str) -> Any:
    """Return the ModelProto, or raise ModelError."""
    import onnx

    decode_error: type[Exception] = importlib.import_module("google.protobuf.message").DecodeError
    try:
        model = onnx.load_model_from_string(data)
    except (decode_error, ValueError, RecursionError):
        raise ModelError(
            f"{name} is damaged or not ONNX: its {len(data)} bytes are no whole ONNX model; "
            "get the file again"
        ) from None
    # Almost any short text is a valid protobuf of some message; these a model cannot do without.
    if not model.ir_version or not model.opset_import or not model.graph.output:
        raise ModelError(
            f"{name} is not a whole ONNX model: it has no version, no operator set or no output; "
            "get the file again"
        )
    opset = max((e.version for e in model.opset_import if e.domain in {"", "ai.onnx"}), default=0)
    if opset > onnx.defs.onnx_opset_version() or model.ir_version > onnx.IR_VERSION:
        raise ModelError(
            f"{name} has opset {opset} and IR version {model.ir_version}, onnx {onnx.__version__} "
            f"reads up to {onnx.defs.onnx_opset_version()} and {onnx.IR_VERSION}; export it with "
            f"opset {OLD_OPSET}, or upgrade onnx"
        )
    return model


def _notes(ir: int, opset: int) -> tuple[str, ...]:
    """Say if the file is too new for the oldest engine that the runtime supports."""
    if ir <= OLD_IR and opset <= OLD_OPSET:
        return ()
    return (f"engine: opset {opset}, IR version {ir}; onnxruntime 1.18 does not read it",)


def _facts(value: Any) -> TensorFacts:
    """Describe an input or output."""
    kind = value.type.tensor_type
    return TensorFacts(name=value.name, shape=_shape(value), dtype=_dtype(kind.elem_type))


def _shape(value: Any) -> tuple[int, ...]:
    """Return a value's sizes, -1 where open, and (-1,) where not even the rank is told."""
    if not value.type.tensor_type.HasField("shape"):
        return (-1,)
    sizes = (int(dim.dim_value) for dim in value.type.tensor_type.shape.dim)
    return tuple(size if size > 0 else -1 for size in sizes)


def _dtype(number: int) -> str:
    kind = _type_name(number)
    return _NAMES.get(kind, kind.lower())


def _type_name(number: int) -> str:
    import onnx

    kinds = onnx.TensorProto.DataType
    return str(kinds.Name(number)) if number in kinds.values() else f"type {number}"


def _graphs(model: Any) -> Iterator[tuple[Any, Any]]:
    """Yield (nodes, tensors) for the graph, each graph inside it, and each function."""
    waiting = [(model.graph.node, list(_own_tensors(model.graph)))]
    waiting += [(function.node, []) for function in model.functions]
    while waiting:
        nodes, tensors = waiting.pop()
        for attribute in (attribute for node in nodes for attribute in node.attribute):
            tensors += [attribute.t, *attribute.tensors]
            for sparse in (attribute.sparse_tensor, *attribute.sparse_tensors):
                tensors += [sparse.values, sparse.indices]
            inner = [attribute.g] if attribute.HasField("g") else []
            for graph in (*inner, *attribute.graphs):
                waiting.append((graph.node, list(_own_tensors(graph))))
        yield nodes, tensors


def _own_tensors(graph: Any) -> Iterator[Any]:
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)


def _refuse_external(model: Any, name: str) -> None:
    """Raise ModelError if any tensor lies in another file: none is opened on a stranger's word."""
    import onnx

    for _, tensors in _graphs(model):
        for tensor in tensors:
            if onnx.external_data_helper.uses_external_data(tensor):
                where = next((e.value for e in tensor.external_data if e.key == "location"), "")
                raise ModelError(
                    f"{name} keeps weights in another file, {shown(where)}; save it as one file: "
                    "onnx.save_model(onnx.load(FILE), NEW, save_as_external_data=False)"
                )


def _close_shapes(model: Any, value: Any, name: str, spec: InputSpec | None) -> tuple[str, ...]:
    """Fix the open sizes of the input `value`, and of the output with it; say what was done."""
    shape = _shape(value)
    if len(shape) != 4:
        return ()  # no picture; `input_spec_for` says so
    wanted = [1 if shape[0] < 0 else shape[0], *shape[1:]]
    changes = []
    if shape[0] < 0:
        changes.append("the open batch was fixed to 1")
    if min(shape[1:]) < 0:
        if spec is None:
            raise UsageError(
                f"{name} leaves the size of its input open, {_facts(value)}; "
                "give --input-spec with height, width and layout"
            )
        wanted = [old if old > 0 else new for old, new in zip(wanted, spec.shape, strict=True)]
        changes.append(f"the open size was fixed to {spec.width}x{spec.height}")
    told = all(min(_shape(output), default=1) > 0 for output in model.graph.output)
    if changes or not told:
        _write_shapes(model, value.name, wanted, name)
    if not told and not changes:
        changes.append("the size of the output was written down")
    return tuple(changes)


def _write_shapes(model: Any, value: str, sizes: list[int], name: str) -> None:
    """Write `sizes` into the input `value`, and into the model what follows from them."""
    import onnx
    from onnxruntime.tools.onnx_model_utils import fix_output_shapes, make_input_shape_fixed

    failures = (onnx.shape_inference.InferenceError, onnx.checker.ValidationError, ValueError)
    try:
        make_input_shape_fixed(model.graph, value, sizes)
        fix_output_shapes(model)
    except failures as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ModelError(
            f"{name} leaves sizes open, and they cannot be fixed to {sizes}: {shown(reason)}; "
            "export it with a fixed batch of 1"
        ) from None


def _last_operator(graph: Any) -> str:
    """Return the operator that gives the output its meaning."""
    makers = {made: node for node in graph.node for made in node.output}
    value = graph.output[0].name
    # A graph of n operators has no longer way back, unless it goes in a circle.
    for _ in range(len(graph.node)):
        node = makers.get(value)
        if node is None:
            return ""
        if node.op_type not in _PASSING or not node.input:
            return str(node.op_type)
        value = node.input[0]
    return ""


def _steps(graph: Any, value: Any) -> Steps | None:
    """Return the quantization of the pixels, where the operators that take them state one."""
    users = [node for node in graph.node if value.name in node.input]
    dtype = _dtype(value.type.tensor_type.elem_type)
    if not users or len(users[0].input) < 2 or users[0].input[0] != value.name:
        return None
    if dtype == "float32":
        if len(users) != 1 or users[0].op_type != "QuantizeLinear":
            return None
    elif dtype not in {"uint8", "int8"} or any(u.op_type not in _DEQUANTIZING for u in users):
        return None
    scale = _constant(graph, users[0].input[1])
    zero_name = users[0].input[2] if len(users[0].input) > 2 else ""
    zero = _constant(graph, zero_name) if zero_name else (0, "uint8")
    if scale is None or zero is None or not 0 < scale[0] < float("inf"):
        return None
    kind = zero[1] if dtype == "float32" else dtype
    if kind not in {"uint8", "int8"}:
        return None
    return Steps(TensorType(kind), Quantization(float(scale[0]), int(zero[0])))


def _constant(graph: Any, name: str) -> tuple[float, str] | None:
    """Return the single number that the constant `name` holds, and its dtype, else None."""
    import onnx

    constants = {tensor.name: tensor for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant" and len(node.output) == 1:
            held = next((entry.t for entry in node.attribute if entry.name == "value"), None)
            constants[node.output[0]] = held
    tensor = constants.get(name)
    if tensor is None or any(size != 1 for size in tensor.dims):
        return None
    try:
        array = onnx.numpy_helper.to_array(tensor)
    except (ValueError, TypeError):
        return None
    return float(array.reshape(-1)[0]), array.dtype.name


def _precision(model: Any) -> Precision:
    """Return what most of the weights are stored as, by their number.

    Weights that operators make when the model is loaded are not stored, and do not count.
    """
    weights: Counter[Precision] = Counter()
    for _, tensors in _graphs(model):
        for tensor in tensors:
            kind = _type_name(tensor.data_type)
            if kind in _PRECISIONS:
                weights[_PRECISIONS[kind]] += math.prod(max(0, size) for size in tensor.dims)
    most = weights.most_common(1)
    return most[0][0] if most and most[0][1] else Precision.UNKNOWN

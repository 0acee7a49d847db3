"""Load SavedModels from strangers: computation, and no reach beyond it.

A SavedModel is a TensorFlow graph, and TensorFlow has operations that read and write files, call
into Python, and open connections. So the graph is read first as plain data, and loaded only if
every operation that can come to run is one of those listed here, which compute and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mejiro.tensorflow import load_keras, load_tensorflow
from mejiro.zoo.weights import first_line
from mejiro_runtime.errors import ModelError

MAX_GRAPH_BYTES = 1 << 30

_SHAPES = """
    BatchToSpaceND Bitcast BroadcastArgs BroadcastTo Cast Concat ConcatV2 Const DepthToSpace
    EnsureShape ExpandDims Fill Gather GatherNd GatherV2 Identity IdentityN InvertPermutation
    LinSpace MirrorPad NoOp OneHot OnesLike Pack Pad PadV2 Placeholder PlaceholderWithDefault
    PreventGradient Range Rank Reshape Reverse ReverseV2 Shape ShapeN Size Slice Snapshot
    SpaceToBatchND SpaceToDepth Split SplitV Squeeze StopGradient StridedSlice Tile Transpose
    Unpack Where ZerosLike
"""
_MATHEMATICS = """
    Abs Add AddN AddV2 All Any ArgMax ArgMin Atan Atan2 BatchMatMul BatchMatMulV2 BatchMatMulV3
    Ceil ClipByValue Cos Cosh Cumprod Cumsum Div DivNoNan Einsum Equal Erf Erfc Exp Expm1 Floor
    FloorDiv FloorMod Greater GreaterEqual Inv IsFinite IsInf IsNan L2Loss Less LessEqual Log
    Log1p LogicalAnd LogicalNot LogicalOr MatMul Max Maximum Mean Min Minimum Mod Mul MulNoNan
    Neg NotEqual Pow Prod RealDiv Reciprocal Rint Round Rsqrt Select SelectV2 Sigmoid Sign Sin
    Sinh Softplus Softsign Sqrt Square SquaredDifference Sub Sum Tan Tanh TopKV2 TruncateDiv
    Xdivy Xlogy
"""
_LAYERS = """
    AvgPool BiasAdd BiasAddV1 Conv2D Conv2DBackpropInput DepthwiseConv2dNative Elu
    FakeQuantWithMinMaxArgs FakeQuantWithMinMaxVars FakeQuantWithMinMaxVarsPerChannel
    FusedBatchNorm FusedBatchNormV2 FusedBatchNormV3 LRN LeakyRelu LogSoftmax MaxPool MaxPoolV2
    QuantizeAndDequantizeV2 QuantizeAndDequantizeV3 QuantizeAndDequantizeV4 Relu Relu6
    ResizeBicubic ResizeBilinear ResizeNearestNeighbor Selu Softmax
"""
_GRADIENTS = """
    BiasAddGrad EluGrad LeakyReluGrad Relu6Grad ReluGrad RsqrtGrad SeluGrad SigmoidGrad
    SoftplusGrad SoftsignGrad SqrtGrad TanhGrad
"""
_CONTROL = """
    Assert Case If Merge PartitionedCall StatefulPartitionedCall StatelessCase StatelessIf
    StatelessWhile Switch While
"""
_VARIABLES = """
    AssignAddVariableOp AssignSubVariableOp AssignVariableOp DisableCopyOnRead ReadVariableOp
    VarHandleOp VarIsInitializedOp
"""
_RANDOM = """
    RandomStandardNormal RandomUniform RandomUniformInt StatelessRandomGetAlg
    StatelessRandomGetKeyCounter StatelessRandomNormalV2 StatelessRandomUniformV2 TruncatedNormal
"""
HARMLESS = frozenset(
    f"{_SHAPES} {_MATHEMATICS} {_LAYERS} {_GRADIENTS} {_CONTROL} {_VARIABLES} {_RANDOM}".split()
)

_ENDPOINTS = ("serving_default", "serve")


def load_saved_model(folder: Path, size: tuple[int | None, int | None]) -> Any:
    """Return a Keras model around the SavedModel in `folder`, for use and for export.

    `size` is the height and width to build it for where the file leaves them open. Raises
    ModelError if there is none, if it was written by TensorFlow 1, if it uses an operation that
    is not in `HARMLESS`, or if it has not one float32 picture as its input.
    """
    graph = _read_graph(folder)
    _check_operations(folder, graph)
    endpoint, shape, output = _endpoint(folder, graph)
    if shape[1] is None and shape[2] is None:
        shape = (shape[0], *size, shape[3])
    keras = load_keras()
    try:
        inputs = keras.Input(batch_shape=shape, name="pixels")
        layer = keras.layers.TFSMLayer(str(folder), call_endpoint=endpoint, trainable=False)
        outputs = layer(inputs)
        return keras.Model(inputs, outputs[output], name="saved_model")
    except Exception as error:  # noqa: BLE001 - TensorFlow raises a dozen kinds for a bad folder
        raise ModelError(
            f"{folder} cannot be loaded ({first_line(error)}); save it again with TensorFlow 2"
        ) from None


def _read_graph(folder: Path) -> Any:
    """Return the one MetaGraphDef of a TensorFlow 2 SavedModel, parsed and not loaded."""
    load_tensorflow()
    from tensorflow.core.protobuf import saved_model_pb2

    path = folder / "saved_model.pb"
    if not path.is_file():
        raise ModelError(
            f"{folder} is no SavedModel (no saved_model.pb) and no model folder (no model.json)"
        )
    for other in ("saved_model.cpb", "saved_model.pbtxt"):
        # TensorFlow would choose between them; what is checked must be what is loaded.
        if (folder / other).exists():
            raise ModelError(f"{folder} has {other} beside saved_model.pb; remove one of the two")
    if path.stat().st_size > MAX_GRAPH_BYTES:
        raise ModelError(f"{path} is larger than {MAX_GRAPH_BYTES} bytes; no graph is")
    message = saved_model_pb2.SavedModel()
    try:
        message.ParseFromString(path.read_bytes())
    except Exception as error:  # noqa: BLE001 - DecodeError, of a module that moves about
        raise ModelError(f"{path} is damaged ({first_line(error)})") from None
    if len(message.meta_graphs) != 1:
        raise ModelError(f"{path} holds {len(message.meta_graphs)} graphs; one is needed")
    graph = message.meta_graphs[0]
    if not graph.HasField("object_graph_def"):
        raise ModelError(f"{folder} was written by TensorFlow 1; save it again with TensorFlow 2")
    return graph


def _check_operations(folder: Path, graph: Any) -> None:
    """Raise ModelError if anything that loading or inference can run is not in `HARMLESS`.

    That is all functions of the object graph, and all that they call. The functions that save
    and restore checkpoints are in the file too, but are not among them.
    """
    functions = {f.signature.name: f for f in graph.graph_def.library.function}
    left = list(graph.object_graph_def.concrete_functions)
    for node in graph.object_graph_def.nodes:
        for saveable in node.saveable_objects.values():
            if saveable.save_function or saveable.restore_function:
                raise ModelError(f"{folder} restores itself by code of its own; save it plainly")
    seen: set[str] = set()
    refused: set[str] = set()
    while left:
        name = left.pop()
        if name in seen or name not in functions:
            continue
        seen.add(name)
        for node in functions[name].node_def:
            left.extend(_called(node))
            if node.op not in HARMLESS and node.op not in functions:
                refused.add(node.op)
    if refused:
        raise ModelError(
            f"{folder} uses the operations {', '.join(sorted(refused))}, which are not known to "
            "compute and nothing else; save the network as .keras, or without them"
        )


def _called(node: Any) -> Iterator[str]:
    """Yield the names of the functions that one node can call."""
    yield node.op
    for value in node.attr.values():
        yield value.func.name
        for function in value.list.func:
            yield function.name


def _endpoint(folder: Path, graph: Any) -> tuple[str, tuple[int | None, ...], str]:
    """Return the signature to call, its input's shape, and its output's name."""
    from tensorflow.core.framework import types_pb2

    signatures = graph.signature_def
    endpoint = next((name for name in _ENDPOINTS if name in signatures), None)
    if endpoint is None:
        found = ", ".join(sorted(n for n in signatures if not n.startswith("__"))) or "none"
        raise ModelError(f"{folder} has no signature serving_default or serve, found {found}")
    entries, answers = signatures[endpoint].inputs, signatures[endpoint].outputs
    if len(entries) != 1 or len(answers) != 1:
        raise ModelError(
            f"{folder} has {len(entries)} inputs and {len(answers)} outputs; a classifier has "
            "one of each"
        )
    (entry,) = entries.values()
    if entry.dtype != types_pb2.DT_FLOAT or len(entry.tensor_shape.dim) != 4:
        raise ModelError(
            f"{folder} does not take float32 pictures of the shape (batch, height, width, "
            "channels); save it so"
        )
    shape = tuple(None if dim.size < 0 else dim.size for dim in entry.tensor_shape.dim)
    return endpoint, shape, next(iter(answers))

"""Make an ONNX file of a TFLite file: the same graph, the same weights, the same integers.

TensorFlow's converter has then folded the batch norms, fixed the shapes and, for int8, chosen
every scale and zero point; tf2onnx translates, an int8 file to QuantizeLinear/DequantizeLinear
pairs. So both formats of a model answer alike, and one calibration serves both.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from mejiro.errors import ExportError
from mejiro.export.flatbuffer import TFLiteFile
from mejiro.export.linear_head import LinearHead
from mejiro.export.onnx_check import check_onnx
from mejiro.export.onnx_names import name_canonically
from mejiro.export.qdq import (
    constants_of,
    drop_idle_activations,
    drop_requantizations,
    move_activations_to_uint8,
)
from mejiro.export.quiet import quietly
from mejiro.export.recipe import Engine, Recipe
from mejiro.export.tensorrt import check_tensorrt, fit_tensorrt
from mejiro.export.translate import translate
from mejiro.model import FloatModel
from mejiro_runtime.card import Precision
from mejiro_runtime.preprocess import Quantization

# What ONNX Runtime 1.18 reads: opset up to 21, IR up to 10. tf2onnx writes no opset above 18, and
# 17 has all that is used here.
OPSET = 17
IR_VERSION = 8
# Where a file says how to read an integer output; ONNX Runtime shows a session's metadata, but
# not its quantization.
OUTPUT_SCALE_KEY = "mejiro.output_scale"
OUTPUT_ZERO_POINT_KEY = "mejiro.output_zero_point"


def convert_from_tflite(
    data: bytes,
    model: FloatModel,
    precision: Precision,
    head: LinearHead | None = None,
    *,
    recipe: Recipe | None = None,
) -> bytes:
    """Return the ONNX file with the graph of the TFLite file `data`, made from `model`.

    If `data` has the features of `head` as its second output, so has the ONNX file.

    For FP16 give an FP32 file: its weights are stored as float16, and the arithmetic stays
    float32, as in TFLite's. An INT8 file that was made by `recipe` may have layers in float; its
    symmetric activations stay int8, where others become uint8. Raises ExportError if the graph
    cannot be translated whole.
    """
    import onnx
    import onnxslim

    if recipe is not None:
        _refuse_inexpressible(data)
    for_tensorrt = recipe is not None and recipe.engine is Engine.TENSORRT

    with quietly(f"converting {model.name} to ONNX {precision.value}"):
        proto = translate(data, OPSET)
        _refuse_foreign_operators(proto, model)
        if precision is Precision.INT8:
            if recipe is None or not recipe.symmetric:
                move_activations_to_uint8(proto)
            drop_requantizations(proto)
            drop_idle_activations(proto)
        name_canonically(proto)
        proto = onnxslim.slim(proto)
        if precision is Precision.FP16:
            _store_weights_as_float16(proto)
        if for_tensorrt:
            fit_tensorrt(proto)
            check_tensorrt(proto, model.name)
        _finish(proto)
        onnx.checker.check_model(proto, full_check=True)
        written: bytes = proto.SerializeToString(deterministic=True)
    check_onnx(written, model, precision, head, mixed=recipe is not None, tensorrt=for_tensorrt)
    return written


def _refuse_inexpressible(data: bytes) -> None:
    """Raise ExportError for what a recipe may ask for and an ONNX file of this opset cannot say."""
    file = TFLiteFile(data)
    for operator in file.operators:
        for index in (*operator.inputs, *operator.outputs):
            tensor = file.tensor(index)
            if tensor.dtype == "int16":
                raise ExportError(
                    f"'{tensor.name}' is int16, which ONNX cannot quantize to before opset 21, and "
                    f"{OPSET} is written; give the layer int8 or float, or export TFLite alone"
                )


def _refuse_foreign_operators(proto: Any, model: FloatModel) -> None:
    """Raise ExportError if tf2onnx left operators that it does not know."""
    known = {"", "ai.onnx"}
    foreign = sorted({node.op_type for node in proto.graph.node if node.domain not in known})
    foreign += sorted({node.op_type for node in proto.graph.node if node.op_type[:4] == "TFL_"})
    if foreign:
        raise ExportError(
            f"{model.name} uses {', '.join(foreign)}, which tf2onnx cannot express in ONNX; "
            "export it as TFLite"
        )


def _store_weights_as_float16(proto: Any) -> None:
    """Store each matrix and kernel as float16, followed by a cast back to float32.

    Engines do the cast once, when they load the file. Vectors (biases) stay float32: they are
    small in size and large in effect.
    """
    from onnx import TensorProto, helper, numpy_helper

    casts = []
    for value in proto.graph.initializer:
        array = numpy_helper.to_array(value)
        if array.dtype != np.float32 or array.ndim < 2:
            continue
        name = value.name
        half = numpy_helper.from_array(_to_float16(array, name), f"{name}_as_float16")
        value.CopyFrom(half)
        casts.append(helper.make_node("Cast", [half.name], [name], to=TensorProto.FLOAT))
    nodes = [*casts, *proto.graph.node]
    del proto.graph.node[:]
    proto.graph.node.extend(nodes)


def _to_float16(array: np.ndarray[Any, Any], name: str) -> np.ndarray[Any, Any]:
    limit = float(np.finfo(np.float16).max)
    if np.abs(array).max(initial=0.0) > limit:
        raise ExportError(
            f"the weights '{name}' reach beyond {limit:.0f}, the range of float16; "
            "use precision fp32"
        )
    return array.astype(np.float16)


def _finish(proto: Any) -> None:
    """Write down what the file is, and nothing that changes from run to run."""
    from onnx import helper

    proto.ir_version = IR_VERSION
    del proto.opset_import[:]
    proto.opset_import.append(helper.make_opsetid("", OPSET))
    proto.producer_name, proto.producer_version = "mejiro", ""
    proto.doc_string = ""
    proto.graph.name, proto.graph.doc_string = "classifier", ""
    del proto.graph.value_info[:]
    quantization = _output_quantization(proto)
    if quantization is not None:
        helper.set_model_props(
            proto,
            {
                OUTPUT_SCALE_KEY: repr(quantization.scale),
                OUTPUT_ZERO_POINT_KEY: str(quantization.zero_point),
            },
        )


def _output_quantization(proto: Any) -> Quantization | None:
    """Return how the output is quantized, or None if it is float."""
    from onnx import numpy_helper

    output = proto.graph.output[0].name
    constants = constants_of(proto)
    for node in proto.graph.node:
        if output in node.output and node.op_type == "QuantizeLinear":
            scale, zero_point = (numpy_helper.to_array(constants[name]) for name in node.input[1:])
            return Quantization(float(scale), int(zero_point))
    return None

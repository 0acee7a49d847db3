"""Look into ONNX files: what is folded, what is fused, what is refused."""

from __future__ import annotations

from collections import Counter

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from mejiro.errors import ExportError
from mejiro.export import onnx as onnx_module
from mejiro.export.exporter import Exporter
from mejiro.export.onnx import (
    IR_VERSION,
    OPSET,
    OUTPUT_SCALE_KEY,
    OUTPUT_ZERO_POINT_KEY,
    convert_from_tflite,
)
from mejiro.export.onnx_check import check_onnx
from mejiro_runtime.card import Precision


@pytest.fixture(scope="module")
def exporter(tiny):
    return Exporter(tiny.model(), calibration=tiny.noise())


@pytest.fixture(scope="module")
def int8(exporter):
    return exporter.onnx(Precision.INT8)


@pytest.fixture(scope="module")
def fp32(exporter):
    return exporter.onnx(Precision.FP32)


def operators(data: bytes) -> Counter[str]:
    return Counter(node.op_type for node in onnx.load_model_from_string(data).graph.node)


def as_run(data: bytes, path) -> Counter[str]:
    """Return the operators that ONNX Runtime really runs."""
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(path)
    options.log_severity_level = 3
    onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    return Counter(node.op_type for node in onnx.load(path).graph.node)


def test_old_engines_can_read_the_file(int8, fp32):
    for data in (int8, fp32):
        proto = onnx.load_model_from_string(data)
        assert proto.ir_version == IR_VERSION <= 10
        assert [(entry.domain, entry.version) for entry in proto.opset_import] == [("", OPSET)]
        assert OPSET <= 21
        assert [value.name for value in proto.graph.input] == ["pixels"]
        assert [value.name for value in proto.graph.output] == ["probabilities"]


def test_batch_norms_are_folded_and_one_transpose_is_left(int8, fp32):
    for data in (int8, fp32):
        counted = operators(data)
        assert counted["Conv"] == 3
        assert counted["BatchNormalization"] == 0
        assert counted["Transpose"] == 1
        assert counted["Add"] == (1 if data is int8 else 2)  # the shortcut; and normalization


def test_the_engine_runs_an_int8_file_on_integers_alone(int8, tmp_path):
    counted = as_run(int8, tmp_path / "optimized.onnx")
    assert counted["QLinearConv"] == 3
    assert counted["QLinearAdd"] == 1
    assert counted["QGemm"] == 1
    assert counted["Conv"] == counted["FusedConv"] == counted["QuantizeLinear"] == 0
    assert counted["DequantizeLinear"] == 1  # before the softmax


def test_float_and_int8_files_are_made_of_equal_bytes_every_time(exporter, int8, fp32):
    assert exporter.onnx(Precision.FP32) == fp32
    assert exporter.onnx(Precision.INT8) == int8


def test_fp16_weights_stand_in_the_file_and_biases_stay(exporter):
    proto = onnx.load_model_from_string(exporter.onnx(Precision.FP16))
    arrays = [numpy_helper.to_array(value) for value in proto.graph.initializer]
    matrices = [array for array in arrays if array.ndim >= 2]
    assert len(matrices) == 4
    assert {array.dtype for array in matrices} == {np.dtype("float16")}
    assert any(array.dtype == np.float32 and array.ndim == 1 for array in arrays)


def test_weights_beyond_float16_are_refused(exporter):
    proto = onnx.load_model_from_string(exporter.onnx(Precision.FP32))
    for value in proto.graph.initializer:
        array = numpy_helper.to_array(value)
        if array.ndim == 4:
            value.CopyFrom(numpy_helper.from_array(array * np.float32(1e8), value.name))
    with pytest.raises(ExportError, match="beyond 65504"):
        onnx_module._store_weights_as_float16(proto)


def test_an_integer_output_says_how_it_is_read(tiny):
    data = Exporter(tiny.model(), calibration=tiny.noise(2), full_integer=True).onnx(Precision.INT8)
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    said = session.get_modelmeta().custom_metadata_map
    assert float(said[OUTPUT_SCALE_KEY]) == 1 / 256
    assert int(said[OUTPUT_ZERO_POINT_KEY]) == 0


def test_an_operator_that_cannot_be_expressed_is_named(tiny, exporter, monkeypatch):
    proto = onnx_module.translate(exporter.tflite(Precision.FP32), OPSET)
    proto.graph.node.append(helper.make_node("TFL_STRANGE", ["x"], ["y"]))
    monkeypatch.setattr(onnx_module, "translate", lambda data, opset: proto)
    with pytest.raises(ExportError, match="TFL_STRANGE, which tf2onnx cannot express"):
        convert_from_tflite(b"", tiny.model(), Precision.FP32)


def test_what_is_not_tflite_is_one_line(tiny):
    with pytest.raises(ExportError, match="converting tiny to ONNX fp32 failed") as caught:
        convert_from_tflite(b"not a model at all, but bytes", tiny.model(), Precision.FP32)
    assert "\n" not in str(caught.value)
    assert caught.value.__cause__ is not None


def test_a_float_file_is_no_int8_file(tiny, fp32, int8):
    with pytest.raises(ExportError, match="through Cast"):
        check_onnx(fp32, tiny.model(), Precision.INT8)
    with pytest.raises(ExportError, match="not through"):
        check_onnx(int8, tiny.model(tiny.input(((1 / 255,), (0.0,)))), Precision.INT8)


def _inserted(data: bytes, op_type: str) -> bytes:
    """Return the file with an operator of `op_type` behind its first convolution."""
    proto = onnx.load_model_from_string(data)
    graph = proto.graph
    place, conv = next((i, n) for i, n in enumerate(graph.node) if n.op_type == "Conv")
    inputs = ["unfolded", "factor"]
    values = [np.ones((1, 8, 1, 1), np.float32)]
    if op_type == "BatchNormalization":
        inputs = ["unfolded", "factor", "factor", "factor", "factor"]
        values = [np.ones(8, np.float32)]
    if op_type == "Sigmoid":
        inputs = ["unfolded"]
    node = helper.make_node(op_type, inputs, [conv.output[0]])
    conv.output[0] = "unfolded"
    graph.node.insert(place + 1, node)
    graph.initializer.append(numpy_helper.from_array(values[0], "factor"))
    return proto.SerializeToString()


@pytest.mark.parametrize(
    ("op_type", "message"),
    [
        ("BatchNormalization", "left a batch norm"),
        ("Mul", "left Mul after a convolution"),
        ("Sigmoid", "in float; use precision fp16"),
    ],
)
def test_what_was_not_folded_or_quantized_is_refused(tiny, int8, op_type, message):
    with pytest.raises(ExportError, match=message):
        check_onnx(_inserted(int8, op_type), tiny.model(), Precision.INT8)


def test_float_weights_in_an_int8_file_are_refused(tiny, int8):
    proto = onnx.load_model_from_string(int8)
    constants = {value.name: value for value in proto.graph.initializer}
    maker = {node.output[0]: node for node in proto.graph.node}
    conv = next(node for node in proto.graph.node if node.op_type == "Conv")
    stored = constants[maker[conv.input[1]].input[0]]
    real = numpy_helper.to_array(stored).astype(np.float32)
    proto.graph.initializer.append(numpy_helper.from_array(real, "real"))
    conv.input[1] = "real"
    assert proto.graph.initializer[-1].data_type == TensorProto.FLOAT
    with pytest.raises(ExportError, match="did not store the weights"):
        check_onnx(proto.SerializeToString(), tiny.model(), Precision.INT8)

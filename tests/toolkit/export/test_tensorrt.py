"""A file for TensorRT has int8 with zero points of 0 alone, and answers as it did before."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from onnx import TensorProto, helper, numpy_helper

from mejiro.errors import ExportError
from mejiro.export import Exporter, export_with
from mejiro.export.recipe import Calibration, Engine, Method, Recipe
from mejiro.export.tensorrt import check_tensorrt, fit_tensorrt, tensorrt_faults
from mejiro_runtime.card import Format, Precision

SIZE = 16


def write(tiny, out, recipe: Recipe | None, normalization) -> tuple:
    model = tiny.model(tiny.input(normalization))
    exporter = Exporter(model, calibration=tiny.noise(), recipe=recipe)
    artifact = export_with(exporter, format=Format.ONNX, precision=Precision.INT8, out=out)
    return model, artifact, onnx.load(str(artifact.path))


def graph(nodes, kind: int = TensorProto.UINT8, **constants) -> onnx.ModelProto:
    """Return a model from `x`, of SIZE numbers of a type, to float32 `y`."""
    made = helper.make_graph(
        nodes,
        "test",
        [helper.make_tensor_value_info("x", kind, [SIZE])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [SIZE])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def run(proto: onnx.ModelProto, x: np.ndarray) -> np.ndarray:
    import onnxruntime

    onnx.checker.check_model(proto, full_check=True)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(
        proto.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return session.run(None, {"x": x})[0]


@pytest.mark.parametrize("normalization", ["FOLDED", "PER_CHANNEL"])
def test_a_file_for_tensorrt_answers_like_the_symmetric_one(tiny, tmp_path, normalization):
    norm = getattr(tiny, normalization)
    method = Calibration(Method.MSE)
    usual = Recipe(symmetric=True, calibration=method)
    ours = Recipe(symmetric=True, calibration=method, engine=Engine.TENSORRT)
    _, plain, _ = write(tiny, tmp_path / "plain", usual, norm)
    model, fitted, proto = write(tiny, tmp_path / "fitted", ours, norm)
    assert tensorrt_faults(proto) == []
    kinds = {value.data_type for value in proto.graph.initializer}
    assert TensorProto.INT32 not in kinds
    assert {node.op_type for node in proto.graph.node} >= {"Cast", "QuantizeLinear", "Conv"}
    pixels = tiny.pixels()
    rows = tiny.run(fitted, pixels)
    assert np.abs(rows - tiny.expected(model, pixels)).max() < 0.08
    assert np.abs(rows - tiny.run(plain, pixels)).max() < 0.02
    assert fitted.card.lineage["export"]["recipe"]["engine"] == "tensorrt"


def test_an_asymmetric_file_is_refused_by_name(tiny, tmp_path):
    _, _, proto = write(tiny, tmp_path, None, tiny.FOLDED)
    faults = tensorrt_faults(proto)
    assert faults[0].tensor
    assert {fault.found for fault in faults} == {"type uint8", "type int32"}
    with pytest.raises(
        ExportError, match=r"in flower\.onnx '.+' has type .*, and \d+ more; "
    ) as told:
        check_tensorrt(proto, "flower.onnx")
    assert "\n" not in str(told.value)
    assert 'engine = "tensorrt"' in str(told.value)


@pytest.mark.parametrize(
    ("zero_point", "found"),
    [
        (np.int8(0), None),
        (np.int8(-3), "the zero point -3"),
        (np.uint8(0), "type uint8"),
        (np.int8([0, 0, 7]), "the zero point 7"),
    ],
)
def test_a_tensor_is_named_with_its_zero_point(zero_point, found):
    scale = np.full(np.shape(zero_point), 0.5, np.float32)
    nodes = [helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"])]
    nodes.append(helper.make_node("DequantizeLinear", ["q", "s", "z"], ["y"]))
    proto = graph(nodes, TensorProto.FLOAT, s=scale, z=zero_point)
    assert [(one.tensor, one.found) for one in tensorrt_faults(proto)] == (
        [("q", found)] if found else []
    )


def test_zero_points_that_are_left_out_or_computed_are_judged_too():
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "s"], ["r"]),
        helper.make_node("DequantizeLinear", ["bias", "s"], ["b"]),
        helper.make_node("QuantizeLinear", ["r", "s", "c"], ["t"]),
    ]
    proto = graph(nodes, TensorProto.FLOAT, s=np.float32(1), bias=np.int32([1]))
    assert [(one.tensor, one.found) for one in tensorrt_faults(proto)] == [
        ("q", "type uint8, the usual one without a zero point"),
        ("bias", "type int32"),
        ("t", "a zero point that the graph computes"),
    ]
    assert tensorrt_faults(graph([helper.make_node("Cast", ["x"], ["y"], to=1)])) == []


@settings(max_examples=30, deadline=None)
@given(
    scale=st.floats(2**-10, 4, width=32),
    zero_point=st.integers(0, 255),
    bias=arrays.arrays(np.int32, SIZE, elements=st.integers(-(2**31), 2**31 - 1)),
    x=arrays.arrays(np.uint8, SIZE),
)
def test_fitting_changes_no_number(scale, zero_point, bias, x):
    nodes = [
        helper.make_node("DequantizeLinear", ["x", "s", "z"], ["r"]),
        helper.make_node("DequantizeLinear", ["bias", "s"], ["b"]),
        helper.make_node("Add", ["r", "b"], ["y"]),
    ]
    constants = {"s": np.float32(scale), "z": np.uint8(zero_point), "bias": bias}
    before = run(graph(nodes, **constants), x)
    proto = graph(nodes, **constants)
    fit_tensorrt(proto)
    assert tensorrt_faults(proto) == []
    np.testing.assert_array_equal(run(proto, x), before)

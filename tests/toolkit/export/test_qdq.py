"""Tidy quantized graphs without changing one number that comes out."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from mejiro.export.qdq import (
    drop_idle_activations,
    drop_requantizations,
    move_activations_to_uint8,
)

SIZE = 64


def graph(nodes, **constants) -> onnx.ModelProto:
    """Return a model from float32 `x` to float32 `y`, each of SIZE numbers."""
    made = helper.make_graph(
        nodes,
        "test",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [SIZE])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [SIZE])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def run(proto: onnx.ModelProto, x: np.ndarray) -> np.ndarray:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(
        proto.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return session.run(None, {"x": x})[0]


def clipped(scale: float, zero_point: np.ndarray, low: float, high: float) -> onnx.ModelProto:
    return graph(
        [
            helper.make_node("Clip", ["x", "low", "high"], ["c"]),
            helper.make_node("QuantizeLinear", ["c", "s", "z"], ["q"]),
            helper.make_node("DequantizeLinear", ["q", "s", "z"], ["y"]),
        ],
        s=np.float32(scale),
        z=zero_point,
        low=np.float32(low),
        high=np.float32(high),
    )


@settings(max_examples=40)
@given(
    scale=st.floats(1e-4, 0.1),
    zero_point=st.sampled_from([0, 0, 1, 60]),
    low=st.sampled_from([0.0, -1.0, 0.5]),
    high=st.sampled_from([6.0, 1.0, 100.0]),
    seed=st.integers(0, 1000),
)
def test_removing_an_idle_clip_changes_nothing(scale, zero_point, low, high, seed):
    proto = clipped(scale, np.uint8(zero_point), low, high)
    x = np.random.default_rng(seed).uniform(-2, 12, SIZE).astype(np.float32)
    before = run(proto, x)
    drop_idle_activations(proto)
    np.testing.assert_array_equal(run(proto, x), before)


@pytest.mark.parametrize(
    ("scale", "zero_point", "left"),
    [(6 / 255, 0, 0), (3 / 255, 0, 0), (7 / 255, 0, 1), (6 / 255, 1, 1)],
)
def test_a_relu6_goes_where_quantization_ends_at_0_and_6_or_before(scale, zero_point, left):
    proto = clipped(scale, np.uint8(zero_point), 0.0, 6.0)
    drop_idle_activations(proto)
    assert [node.op_type for node in proto.graph.node].count("Clip") == left


def test_a_clip_with_another_user_stays():
    proto = clipped(6 / 255, np.uint8(0), 0.0, 6.0)
    proto.graph.node.append(helper.make_node("Identity", ["c"], ["other"]))
    drop_idle_activations(proto)
    assert proto.graph.node[0].op_type == "Clip"


@pytest.mark.parametrize("zero_point", [-128, -1, 0, 127])
def test_moving_to_uint8_changes_nothing(zero_point):
    proto = clipped(0.02, np.int8(zero_point), -10.0, 10.0)
    x = np.random.default_rng(1).uniform(-4, 4, SIZE).astype(np.float32)
    before = run(proto, x)
    move_activations_to_uint8(proto)
    kinds = {value.name: value.data_type for value in proto.graph.initializer if value.dims == []}
    assert {kinds[node.input[2]] for node in proto.graph.node[1:]} == {TensorProto.UINT8}
    np.testing.assert_array_equal(run(proto, x), before)


@pytest.mark.parametrize(("second", "left"), [(127, 1), (126, 2)])
def test_only_a_requantization_to_the_same_goes(second, left):
    proto = graph(
        [
            helper.make_node("QuantizeLinear", ["x", "s", "z"], ["a"]),
            helper.make_node("DequantizeLinear", ["a", "s", "z"], ["b"]),
            helper.make_node("QuantizeLinear", ["b", "s", "w"], ["c"]),
            helper.make_node("DequantizeLinear", ["c", "s", "w"], ["y"]),
        ],
        s=np.float32(1 / 128),
        z=np.uint8(127),
        w=np.uint8(second),
    )
    x = np.random.default_rng(2).uniform(-1, 1, SIZE).astype(np.float32)
    before = run(proto, x)
    drop_requantizations(proto)
    assert [node.op_type for node in proto.graph.node].count("QuantizeLinear") == left
    np.testing.assert_array_equal(run(proto, x), before)

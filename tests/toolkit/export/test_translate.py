"""Check that the quicker way through tf2onnx ends at the same graph as its own."""

from __future__ import annotations

from collections import Counter

import numpy as np
import onnx
import onnxruntime
import pytest
from tf2onnx import convert

from mejiro.export import Exporter
from mejiro.export.onnx import OPSET
from mejiro.export.translate import translate
from mejiro_runtime.card import Precision


@pytest.fixture(scope="module", params=[Precision.INT8, Precision.FP32])
def both(request, tiny, tmp_path_factory):
    """Give the graph by tf2onnx's own way, and by ours."""
    data = Exporter(tiny.model(), calibration=tiny.noise(2)).tflite(request.param)
    path = tmp_path_factory.mktemp("tflite") / "tiny.tflite"
    path.write_bytes(data)
    theirs, _ = convert.from_tflite(str(path), opset=OPSET)
    return theirs, translate(data, OPSET)


def test_the_operators_are_the_same(both):
    theirs, ours = (Counter(node.op_type for node in proto.graph.node) for proto in both)
    assert ours == theirs
    # One at the input, where NHWC pixels become NCHW, and none on the way.
    assert ours["Transpose"] <= 1


def test_the_answers_are_the_same(both, tiny):
    for proto in both:
        onnx.checker.check_model(proto)
    picture = tiny.pixels(1)
    rows = []
    for proto in both:
        session = onnxruntime.InferenceSession(
            proto.SerializeToString(), providers=["CPUExecutionProvider"]
        )
        rows.append(session.run(None, {session.get_inputs()[0].name: picture})[0])
    np.testing.assert_array_equal(*rows)

"""Look into TFLite files: the promised border, integers inside, aligned buffers."""

from __future__ import annotations

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from mejiro.errors import ExportError
from mejiro.export.flatbuffer import BUFFER_ALIGNMENT, TFLiteFile
from mejiro.export.tflite import check_float, check_int8, convert_float, convert_int8
from mejiro_runtime.card import Precision
from mejiro_runtime.preprocess import Quantization


@pytest.fixture(scope="module")
def int8(tiny):
    """Return an int8 file calibrated with dull pictures that hold neither black nor white."""
    dull = tiny.noise(4, low=90, high=110)
    return convert_int8(tiny.model(), dull.tensors, full_integer=False)


def test_the_input_is_read_exactly_whatever_the_pictures_hold(int8):
    (given,) = TFLiteFile(int8).inputs
    assert (given.dtype, given.quantization) == ("uint8", Quantization(1 / 128, 127))


def test_operators_are_int8_but_for_the_last_step_into_float(int8):
    file = TFLiteFile(int8)
    names = [operator.name for operator in file.operators]
    assert names[0] == "QUANTIZE"
    assert names[-2:] == ["DEQUANTIZE", "SOFTMAX"]
    for operator in file.operators[1:-2]:
        assert file.tensor(operator.outputs[0]).dtype == "int8"
    convolutions = [op for op in file.operators if op.name.endswith("CONV_2D")]
    assert len(convolutions) == 3
    for operator in convolutions:
        assert file.tensor(operator.inputs[1]).channels == 8  # a scale for each of 8 channels


def test_pixels_that_need_operations_are_read_as_bytes(tiny):
    model = tiny.model(tiny.input(tiny.PER_CHANNEL))
    data = convert_int8(model, tiny.noise(2).tensors, full_integer=False)
    file = TFLiteFile(data)
    assert file.inputs[0].quantization == Quantization(1.0, 0)
    first = [op.name for op in file.operators[:2]]
    assert first == ["QUANTIZE", "DEPTHWISE_CONV_2D"]  # one rounding, not two


def test_pixels_from_minus_one_to_one_need_no_operation(tiny):
    model = tiny.model(tiny.input(tiny.SIGNED))
    dull = tiny.noise(2, low=90, high=110)
    file = TFLiteFile(convert_int8(model, dull.tensors, full_integer=False))
    expected = Quantization(float(np.float32(1 / 127.5)), 127)
    assert file.inputs[0].quantization == expected
    assert [op.name for op in file.operators[:2]] == ["QUANTIZE", "CONV_2D"]


def test_buffers_lie_where_kernels_may_read_them(int8):
    model = schema.Model.GetRootAs(int8, 0)
    seen = 0
    for index in range(model.BuffersLength()):
        buffer = model.Buffers(index)
        if buffer.DataLength():
            place = buffer._tab.Vector(buffer._tab.Offset(4))
            assert place % BUFFER_ALIGNMENT == 0
            seen += 1
    assert seen > 5


def test_equal_models_give_equal_files(tiny):
    model = tiny.model()
    files = [convert_int8(model, tiny.noise(2).tensors, full_integer=False) for _ in range(2)]
    assert files[0] == files[1]


def test_a_file_of_other_precision_is_refused(tiny, int8):
    model = tiny.model()
    fp32 = convert_float(model, Precision.FP32)
    with pytest.raises(ExportError, match="quantization None"):
        check_int8(fp32, model, full_integer=False)
    with pytest.raises(ExportError, match="float32; use precision fp32"):
        check_float(fp32, model, Precision.FP16)
    with pytest.raises(ExportError, match="not one row of uint8"):
        check_int8(int8, model, full_integer=True)
    with pytest.raises(ExportError, match="its normalization is"):
        check_int8(int8, tiny.model(tiny.input(((1 / 255,), (0.0,)))), full_integer=False)


def test_an_operator_left_in_float_is_refused(tiny, int8):
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(int8, 0))
    graph = model.subgraphs[0]
    for operator in graph.operators[2:3]:
        graph.tensors[operator.outputs[0]].type = schema.TensorType.FLOAT32
    file = TFLiteFile(int8)
    file._model, file._graph = model, graph
    with pytest.raises(ExportError, match="in float; this model cannot be int8"):
        check_int8(file.to_bytes(), tiny.model(), full_integer=False)


def test_a_calibrated_range_is_not_stretched_by_more_than_two_pixels(tiny):
    from mejiro.export.tflite import _with_full_range, calibration_input

    spec = calibration_input(tiny.model().input)
    before = list(tiny.noise(2, low=90, high=110).tensors(spec))
    after = list(_with_full_range((tensor.copy() for tensor in before), spec))
    changed = np.any(after[0] != before[0], axis=-1)
    assert int(changed.sum()) == 2
    np.testing.assert_array_equal(after[1], before[1])
    assert (after[0].min(), after[0].max()) == (-127 / 128, 1.0)

from __future__ import annotations

import random
from collections.abc import Callable

import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper

from mejiro.errors import UsageError
from mejiro.export.adopt.facts import require_classifier
from mejiro.export.adopt.onnx_file import read_onnx
from mejiro_runtime.card import Precision, Scores
from mejiro_runtime.errors import MejiroError, ModelError
from mejiro_runtime.preprocess import InputSpec, Layout, Quantization, TensorType


@pytest.fixture
def build(tiny: Callable[..., bytes]) -> Callable[..., bytes]:
    """Return a function that makes the bytes of an ONNX file."""
    return lambda **options: tiny("onnx", **options)


def test_a_file_tells_all_about_itself(build: Callable[..., bytes]) -> None:
    data = build()
    facts = read_onnx(data, "m.onnx")
    require_classifier(facts)
    assert facts.data is data
    assert [str(tensor) for tensor in facts.inputs] == ["float32 (1, 3, 8, 8)"]
    assert [str(tensor) for tensor in facts.outputs] == ["float32 (1, 3)"]
    assert (facts.last_operator, facts.scores) == ("Softmax", Scores.PROBABILITIES)
    assert facts.precision is Precision.FP32
    assert facts.origin == {"producer": "test", "ir": 8, "opsets": {"ai.onnx": 17}}
    assert (facts.changes, facts.notes, facts.steps) == ((), (), None)


def test_weights_that_are_listed_as_inputs_are_no_inputs(build: Callable[..., bytes]) -> None:
    facts = read_onnx(build(weights_are_inputs=True, ir=3, opset=9), "m.onnx")
    assert [tensor.name for tensor in facts.inputs] == ["image"]


@pytest.mark.parametrize("size", ["N", "", 0, -1])
def test_an_open_batch_is_fixed_to_1(build: Callable[..., bytes], size: int | str) -> None:
    data = build(shape=(size, 3, 8, 8))
    facts = read_onnx(data, "m.onnx")
    assert facts.changes == ("the open batch was fixed to 1",)
    model = onnx.load_model_from_string(facts.data)
    for value, shape in ((model.graph.input[0], [1, 3, 8, 8]), (model.graph.output[0], [1, 3])):
        assert [dim.dim_value for dim in value.type.tensor_type.shape.dim] == shape
    assert facts.inputs[0].shape == (1, 3, 8, 8)
    assert facts.outputs[0].shape == (1, 3)
    assert read_onnx(facts.data, "m.onnx").changes == ()


def test_an_open_size_is_asked_for_and_taken(build: Callable[..., bytes]) -> None:
    data = build(shape=("N", 3, "H", "W"))
    with pytest.raises(UsageError, match=r"float32 \(\?, 3, \?, \?\); give --input-spec"):
        read_onnx(data, "m.onnx")
    spec = InputSpec(6, 8, dtype=TensorType.FLOAT32, layout=Layout.NCHW)
    facts = read_onnx(data, "m.onnx", spec)
    assert facts.inputs[0].shape == spec.shape
    assert facts.changes == ("the open batch was fixed to 1", "the open size was fixed to 8x6")


def test_sizes_that_cannot_be_fixed_are_refused(build: Callable[..., bytes]) -> None:
    model = onnx.load_model_from_string(build(shape=("N", 3, 8, 8)))
    model.graph.node.append(helper.make_node("NoSuchOperator", ["image"], ["more"]))
    with pytest.raises(ModelError, match=r"cannot be fixed to \[1, 3, 8, 8\].*fixed batch of 1"):
        read_onnx(model.SerializeToString(), "m.onnx")


def test_an_output_of_untold_size_is_written_down(build: Callable[..., bytes]) -> None:
    facts = read_onnx(build(made=("a", "b")), "m.onnx")
    assert facts.outputs[0].shape == (1, 3)
    assert facts.changes == ("the size of the output was written down",)


@pytest.mark.parametrize(
    ("dtype", "steps"),
    [
        (TensorProto.UINT8, TensorType.UINT8),
        (TensorProto.INT8, TensorType.INT8),
        (TensorProto.FLOAT, TensorType.UINT8),
    ],
)
def test_the_operator_that_takes_the_pixels_tells_their_steps(
    build: Callable[..., bytes], dtype: int, steps: TensorType
) -> None:
    found = read_onnx(build(dtype=dtype, given=(0.5, 7)), "m.onnx").steps
    assert found is not None
    assert (found.dtype, found.quantization) == (steps, Quantization(0.5, 7))


def test_steps_that_are_no_constants_are_not_guessed(build: Callable[..., bytes]) -> None:
    model = onnx.load_model_from_string(build(dtype=TensorProto.UINT8, given=(0.5, 7)))
    kept = [tensor for tensor in model.graph.initializer if tensor.name != "scale"]
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)
    made = helper.make_node("ConstantOfShape", ["shape"], ["scale"])
    model.graph.node.insert(0, made)
    assert read_onnx(model.SerializeToString(), "m.onnx").steps is None


@pytest.mark.parametrize(
    ("end", "scores"),
    [("Softmax", Scores.PROBABILITIES), ("LogSoftmax", Scores.LOGITS), ("Identity", None)],
)
def test_the_last_operator_that_means_something_tells_the_scores(
    build: Callable[..., bytes], end: str, scores: Scores | None
) -> None:
    facts = read_onnx(build(end=end), "m.onnx")
    # Identity is passed, and so is Flatten before it: the mean of each channel is what counts.
    assert facts.scores is (scores or Scores.LOGITS)
    assert facts.last_operator == (end if scores else "GlobalAveragePool")


def test_a_circle_of_operators_ends(build: Callable[..., bytes]) -> None:
    model = onnx.load_model_from_string(build(end="Identity"))
    for node in model.graph.node:
        if node.op_type == "Flatten":
            node.input[0] = "scores"
    assert read_onnx(model.SerializeToString(), "m.onnx").scores is None


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"inputs": 2}, r"has 2 inputs \(image, extra1\)"),
        ({"outputs": 2}, r"has 2 outputs \(scores, mean\)"),
        ({"made": (1, 8, 8, 3)}, "is a segmentation model"),
        ({"made": (1, 5, 3)}, r"gives float32 \(1, 5, 3\)"),
        ({"made": (1, 1)}, "gives a single number"),
        ({"end": "NonMaxSuppression"}, "is an object detector"),
    ],
)
def test_what_is_no_classifier_is_named(
    build: Callable[..., bytes], options: dict[str, object], said: str
) -> None:
    with pytest.raises(ModelError, match=said):
        require_classifier(read_onnx(build(**options), "m.onnx"))


@pytest.mark.parametrize("where", ["weights.bin", "../../etc/passwd", "/etc/passwd"])
def test_weights_in_other_files_are_refused(build: Callable[..., bytes], where: str) -> None:
    with pytest.raises(ModelError, match=f"keeps weights in another file, {where};"):
        read_onnx(build(external=where), "m.onnx")


def test_weights_in_other_files_are_found_wherever_they_are_named(
    build: Callable[..., bytes],
) -> None:
    model = onnx.load_model_from_string(build())
    hidden = TensorProto(name="w", data_location=TensorProto.EXTERNAL)
    hidden.external_data.add(key="location", value="x.bin")
    inner = helper.make_node("Constant", [], ["w"])
    inner.attribute.add(name="value", type=onnx.AttributeProto.TENSOR).t.CopyFrom(hidden)
    branch = helper.make_graph([inner], "branch", [], [])
    outer = helper.make_node("If", ["c"], ["x"], then_branch=branch)
    model.graph.node.append(outer)
    with pytest.raises(ModelError, match=r"another file, x\.bin"):
        read_onnx(model.SerializeToString(), "m.onnx")


def test_a_file_for_newer_engines_says_so(build: Callable[..., bytes]) -> None:
    assert read_onnx(build(ir=10, opset=21), "m.onnx").notes == ()
    notes = read_onnx(build(ir=11, opset=22), "m.onnx").notes
    assert notes == ("engine: opset 22, IR version 11; onnxruntime 1.18 does not read it",)


def test_a_file_newer_than_onnx_itself_is_refused(build: Callable[..., bytes]) -> None:
    with pytest.raises(ModelError, match="has opset 99 and IR version 8.*upgrade onnx"):
        read_onnx(build(opset=99), "m.onnx")


@pytest.mark.parametrize("data", [b"", b"hello, I am a text", b"\x08\x07", bytes(100)])
def test_another_file_is_refused(data: bytes) -> None:
    with pytest.raises(
        ModelError, match=r"m\.onnx is (damaged or not ONNX|not a whole ONNX model)"
    ):
        read_onnx(data, "m.onnx")


@given(st.data())
def test_a_file_cut_short_is_refused_in_one_line(whole_onnx: bytes, data: st.DataObject) -> None:
    end = data.draw(st.integers(0, len(whole_onnx) - 1))
    with pytest.raises(ModelError) as caught:
        read_onnx(whole_onnx[:end], "m.onnx")
    assert "\n" not in str(caught.value)


@given(st.integers(0, 2**32), st.sampled_from([1, 4, 30]))
def test_damage_is_read_through_or_refused(whole_onnx: bytes, seed: int, bytes_hit: int) -> None:
    chance = random.Random(seed)
    damaged = bytearray(whole_onnx)
    for _ in range(bytes_hit):
        damaged[chance.randrange(len(damaged))] = chance.choice([0, 1, 8, 127, 128, 255])
    message = ""
    try:
        require_classifier(read_onnx(bytes(damaged), "m.onnx"))
    except MejiroError as error:
        message = str(error)
    assert "\n" not in message

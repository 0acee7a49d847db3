"""Files get the ends that LiteRT.js knows, and mean the same; what it cannot run is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mejiro.errors import MejiroError, SiteError
from mejiro.export.ends import EndsFile
from mejiro.site.convert import check_same, convert, shifted


def inner_of(path: Path) -> EndsFile:
    """Return the classifier with uint8 at its ends without its first and last operators: int8."""
    file = EndsFile(path.read_bytes())
    graph = file._graph
    graph.inputs = list(graph.operators[0].outputs)
    graph.outputs = list(graph.operators[-1].inputs)
    graph.operators = graph.operators[1:-1]
    return file


@pytest.fixture
def full_integer(model_fixtures: Path) -> Path:
    return model_fixtures / "full-integer" / "colours-int8.tflite"


def tensors_of(file: EndsFile) -> list[np.ndarray]:
    end = file.inputs[0]
    rng = np.random.default_rng(4)
    limits = np.iinfo(end.dtype)
    return [rng.integers(limits.min, limits.max + 1, end.shape).astype(end.dtype) for _ in range(3)]


def test_int8_ends_become_uint8_of_the_same_scale(full_integer: Path, tmp_path: Path) -> None:
    before = inner_of(full_integer)
    data = before.to_bytes()
    made, told = convert(data, "some.tflite")
    after = EndsFile(made)
    for old, new in zip(
        [*before.inputs, *before.outputs], [*after.inputs, *after.outputs], strict=True
    ):
        assert (old.dtype, new.dtype) == ("int8", "uint8")
        assert (new.name, new.shape) == (old.name, old.shape)
        assert old.quantization is not None
        assert new.quantization is not None
        assert new.quantization.scale == old.quantization.scale
        assert new.quantization.zero_point == old.quantization.zero_point + 128
    assert told == (
        "some.tflite is served with uint8 input, uint8 output; it gives the same numbers",
    )
    one, other = tmp_path / "one.tflite", tmp_path / "other.tflite"
    one.write_bytes(data)
    other.write_bytes(made)
    check_same(one, other, tensors_of(before))
    # The same file again, and a file that needs nothing, stay as they are.
    assert convert(made, "x") == (made, ())
    untouched = full_integer.read_bytes()
    assert convert(untouched, "x") == (untouched, ())


def test_int64_outputs_become_int32(full_integer: Path, tmp_path: Path) -> None:
    file = EndsFile(full_integer.read_bytes())
    place = int(file._graph.outputs[0])
    wide = file._add_tensor(place, b"wide", "int64", None)
    file._graph.operators.append(file._new_cast(place, wide))
    file._graph.outputs = [wide]
    data = file.to_bytes()
    made, told = convert(data, "some.tflite")
    assert [end.dtype for end in EndsFile(made).outputs] == ["int32"]
    assert EndsFile(made).outputs[0].name == EndsFile(data).outputs[0].name
    assert "int32 output" in told[0]
    one, other = tmp_path / "one.tflite", tmp_path / "other.tflite"
    one.write_bytes(data)
    other.write_bytes(made)
    check_same(one, other, tensors_of(file))


def test_an_open_batch_is_fixed(full_integer: Path) -> None:
    file = EndsFile(full_integer.read_bytes())
    tensor = file._graph.tensors[int(file._graph.inputs[0])]
    tensor.shapeSignature = [-1, *list(tensor.shape)[1:]]
    made, told = convert(file.to_bytes(), "some.tflite")
    assert "a fixed shape" in told[0]
    again = EndsFile(made)
    assert again._graph.tensors[int(again._graph.inputs[0])].shapeSignature is None
    assert again.inputs[0].shape[0] == 1


def test_outputs_without_a_shape_get_the_one_that_was_seen(model_fixtures: Path) -> None:
    """Published files with TFLite_Detection_PostProcess do not say how many boxes they give."""
    file = EndsFile((model_fixtures / "tasks" / "blocks-postprocessed.tflite").read_bytes())
    seen = [end.shape for end in file.outputs]
    for place in file._graph.outputs:
        file._graph.tensors[int(place)].shape = []
    made, told = convert(file.to_bytes(), "some.tflite", shapes=seen)
    assert [end.shape for end in EndsFile(made).outputs] == seen
    assert "shapes of outputs" in told[0]


def test_several_outputs_come_in_the_order_of_the_graph(model_fixtures: Path) -> None:
    path = model_fixtures / "tasks" / "blocks-ssd.tflite"
    before = EndsFile(path.read_bytes())
    assert before._model.signatureDefs
    made, told = convert(path.read_bytes(), path.name)
    after = EndsFile(made)
    assert not after._model.signatureDefs
    assert [end.name for end in after.outputs] == [end.name for end in before.outputs]
    assert told == ()


def test_another_answer_is_refused(full_integer: Path, tmp_path: Path) -> None:
    file = inner_of(full_integer)
    one, other = tmp_path / "one.tflite", tmp_path / "other.tflite"
    one.write_bytes(file.to_bytes())
    changed = EndsFile(convert(file.to_bytes(), "x")[0])
    weights = next(
        index
        for operator in changed.operators
        if operator.name == "CONV_2D"
        for index in operator.inputs[1:2]
    )
    changed.set_constant(weights, changed.values(weights)[..., ::-1].copy())
    other.write_bytes(changed.to_bytes())
    with pytest.raises(SiteError, match=r"one\.tflite answers golden frame 0 otherwise"):
        check_same(one, other, tensors_of(file))


def test_what_no_page_can_run_is_told_in_one_line(
    full_integer: Path,
) -> None:
    file = EndsFile(full_integer.read_bytes())
    place = int(file._graph.outputs[0])
    short = file._add_tensor(place, b"short", "int16", None)
    file._graph.operators.append(file._new_cast(place, short))
    file._graph.outputs = [short]
    with pytest.raises(SiteError, match="int16, which pages do not know; convert it"):
        convert(file.to_bytes(), "some.tflite")
    file = EndsFile(full_integer.read_bytes())
    code = file._model.operatorCodes[file._graph.operators[1].opcodeIndex]
    code.builtinCode = code.deprecatedBuiltinCode = 32
    code.customCode = "FlexSomething"
    with pytest.raises(SiteError, match="has the operator FlexSomething, which LiteRT.js"):
        convert(file.to_bytes(), "some.tflite")


@settings(max_examples=40)
@given(cut=st.integers(0, 20_000), noise=st.binary(max_size=40))
def test_damaged_files_are_refused_in_one_line(
    model_fixtures: Path, cut: int, noise: bytes
) -> None:
    data = (model_fixtures / "full-integer" / "colours-int8.tflite").read_bytes()
    place = min(cut, len(data))
    broken = data[:place] + noise + data[place + len(noise) : -max(1, cut % 97)]
    told = "some.tflite: nothing"
    try:
        convert(broken, "some.tflite")
    except MejiroError as error:
        told = str(error)
    assert "some.tflite" in told
    assert "\n" not in told


def test_a_shift_keeps_what_is_no_int8() -> None:
    for dtype in ("uint8", "float32"):
        array: Any = np.arange(4).astype(dtype)
        assert shifted(array) is array
    assert shifted(np.int8([-128, -1, 0, 127])).tolist() == [0, 127, 128, 255]

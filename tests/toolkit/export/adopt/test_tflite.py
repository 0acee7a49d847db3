from __future__ import annotations

import random
import struct
import zipfile
from collections.abc import Callable
from contextlib import suppress
from io import BytesIO

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mejiro.errors import MissingPackage
from mejiro.export.adopt import tflite as reader
from mejiro.export.adopt.facts import Steps, require_classifier
from mejiro.export.adopt.tflite import read_tflite
from mejiro.export.adopt.tflite_metadata import read_described
from mejiro_runtime.card import Precision, Scores
from mejiro_runtime.errors import MejiroError, ModelError
from mejiro_runtime.preprocess import Quantization, TensorType
from mejiro_runtime.types import PixelOrder

BYTES = {"dtype": "uint8", "given": (2 / 255, 127), "made": (1 / 256, 0)}


@pytest.fixture
def build(tiny: Callable[..., bytes]) -> Callable[..., bytes]:
    """Return a function that makes the bytes of a TFLite file."""
    return lambda **options: tiny("tflite", **options)


def test_a_quantized_file_tells_all_about_itself(build: Callable[..., bytes]) -> None:
    data = build(**BYTES)
    facts = read_tflite(data, "m.tflite")
    require_classifier(facts)
    assert facts.data == data
    assert [str(tensor) for tensor in facts.inputs] == ["uint8 (1, 8, 8, 3)"]
    assert [str(tensor) for tensor in facts.outputs] == ["uint8 (1, 3)"]
    assert facts.outputs[0].quantization == Quantization(1 / 256, 0)
    scale = float(np.float32(2 / 255))
    assert facts.steps == Steps(TensorType.UINT8, Quantization(scale, 127))
    assert (facts.last_operator, facts.scores) == ("SOFTMAX", Scores.PROBABILITIES)
    assert facts.origin == {"converter": "made for a test"}
    assert facts.changes == ()


def test_a_float_file_has_no_steps(build: Callable[..., bytes]) -> None:
    facts = read_tflite(build(end="LOG_SOFTMAX"), "m.tflite")
    assert facts.steps is None
    assert facts.scores is Scores.LOGITS


def test_weights_tell_the_precision(build: Callable[..., bytes]) -> None:
    assert read_tflite(build(), "m.tflite").precision is Precision.UNKNOWN
    for dtype, precision in (("int8", Precision.INT8), ("float32", Precision.FP32)):
        data = build(weights=dtype)
        assert read_tflite(data, "m.tflite").precision is precision


def test_an_open_batch_is_fixed_where_it_lies(build: Callable[..., bytes]) -> None:
    data = build(**BYTES, signature=(-1, 8, 8, 3), files={"a.txt": b"kept"})
    facts = read_tflite(data, "m.tflite")
    assert facts.changes == ("the open batch was fixed to 1",)
    assert facts.inputs[0].shape == (1, 8, 8, 3)
    assert facts.outputs[0].shape == (1, 3)
    different = [i for i, (old, new) in enumerate(zip(data, facts.data, strict=True)) if old != new]
    assert len(different) == 3 * 4  # input, mean and scores: one -1 each
    again = read_tflite(facts.data, "m.tflite")
    assert again.changes == ()
    assert again.data == facts.data


def test_an_open_size_stays_open(build: Callable[..., bytes]) -> None:
    facts = read_tflite(build(**BYTES, signature=(-1, -1, -1, 3)), "m.tflite")
    assert facts.changes == ()
    assert str(facts.inputs[0]) == "uint8 (?, ?, ?, 3)"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"inputs": 2}, r"has 2 inputs \(image, extra1\)"),
        ({"outputs": 2}, r"has 2 outputs \(scores, mean\)"),
        ({"custom": "TFLite_Detection_PostProcess"}, "is an object detector"),
        ({"input_name": "a\x1b[31m\n" + 70 * "b", "inputs": 2}, r"\(a\?\[31m\?b{52}…, extra1\)"),
    ],
)
def test_what_is_no_classifier_is_named(
    build: Callable[..., bytes], options: dict[str, object], said: str
) -> None:
    facts = read_tflite(build(**BYTES, **options), "m.tflite")
    with pytest.raises(ModelError, match=said) as caught:
        require_classifier(facts)
    assert "only classifiers" in str(caught.value)


@pytest.mark.parametrize(
    "data", [b"", b"TFL3", b"PK\x03\x04abcdefgh", b"\x1c\0\0\0TFL2" + bytes(99)]
)
def test_another_file_is_refused(data: bytes) -> None:
    with pytest.raises(ModelError, match="is not a TFLite file"):
        read_tflite(data, "m.tflite")


def test_another_schema_is_refused(build: Callable[..., bytes]) -> None:
    with pytest.raises(ModelError, match="has schema version 4, 3 is read"):
        read_tflite(build(version=4), "m.tflite")


def test_a_missing_schema_names_the_package(
    build: Callable[..., bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(name: str) -> object:
        raise ImportError(name)

    monkeypatch.setattr(reader.importlib, "import_module", refuse)
    with pytest.raises(MissingPackage, match="ai-edge-litert"):
        read_tflite(build(), "m.tflite")


def test_weights_in_other_files_are_refused(build: Callable[..., bytes]) -> None:
    with pytest.raises(ModelError, match="keeps its weights in other files"):
        read_tflite(build(external=True), "m.tflite")


@given(st.data())
def test_a_file_cut_short_is_refused_in_one_line(whole_tflite: bytes, data: st.DataObject) -> None:
    end = data.draw(st.integers(0, len(whole_tflite) - 1))
    with pytest.raises(ModelError) as caught:
        read_tflite(whole_tflite[:end], "m.tflite")
    assert "\n" not in str(caught.value)


@given(st.integers(0, 2**32), st.sampled_from([1, 4, 30, 300]))
def test_damage_is_read_through_or_refused(whole_tflite: bytes, seed: int, bytes_hit: int) -> None:
    chance = random.Random(seed)
    damaged = bytearray(whole_tflite)
    for _ in range(bytes_hit):
        damaged[chance.randrange(8, len(damaged))] = chance.choice([0, 1, 127, 128, 255])
    message = ""
    try:
        require_classifier(read_tflite(bytes(damaged), "m.tflite"))
    except MejiroError as error:
        message = str(error)
    assert "\n" not in message


def test_lengths_that_overlap_do_not_keep_the_reader_going(whole_tflite: bytes) -> None:
    """Make every vector as long as the file allows: a walk without a budget never ends."""
    damaged = bytearray(whole_tflite)
    for place in range(8, len(damaged) - 4, 4):
        if struct.unpack_from("<I", damaged, place)[0] in {1, 2, 3, 4, 5}:
            struct.pack_into("<I", damaged, place, len(damaged) // 8)
    with pytest.raises(ModelError):
        read_tflite(bytes(damaged), "m.tflite")


def test_metadata_is_read(build: Callable[..., bytes], metadata: Callable[..., bytes]) -> None:
    described = metadata(
        mean=(127.0, 128.0, 129.0), std=(128.0,), labels="names.txt", author="someone"
    )
    data = build(metadata=described, files={"names.txt": b"a\nb\nc"})
    found = read_tflite(data, "m.tflite").described
    assert found.mean == (127.0, 128.0, 129.0)
    assert found.std == (128.0,)
    assert found.order is PixelOrder.RGB
    assert found.labels == b"a\nb\nc"
    assert found.about == {"author": "someone"}


def test_metadata_may_say_little(
    build: Callable[..., bytes], metadata: Callable[..., bytes]
) -> None:
    found = read_tflite(build(metadata=metadata(color_space=0)), "m.tflite").described
    assert (found.mean, found.std, found.order, found.labels, found.about) == (
        (),
        (),
        None,
        None,
        {},
    )


def test_metadata_of_another_schema_is_left_alone(
    build: Callable[..., bytes], metadata: Callable[..., bytes]
) -> None:
    other = bytearray(metadata(mean=(1.0,), std=(2.0,)))
    other[4:8] = b"M002"
    assert read_tflite(build(metadata=bytes(other)), "m.tflite").described.mean == ()


@pytest.mark.parametrize("files", [{}, {"other.txt": b"a"}])
def test_labels_that_are_named_and_absent_are_an_error(
    build: Callable[..., bytes], metadata: Callable[..., bytes], files: dict[str, bytes]
) -> None:
    data = build(metadata=metadata(labels="names.txt"), files=files)
    with pytest.raises(ModelError, match=r"names its labels names\.txt, but they cannot be read"):
        read_tflite(data, "m.tflite")


def test_labels_that_unpack_without_end_are_refused(
    build: Callable[..., bytes], metadata: Callable[..., bytes]
) -> None:
    bomb = {"names.txt": bytes(5 * 1024 * 1024)}
    data = build(metadata=metadata(labels="names.txt"), files=bomb)
    assert len(data) < 20_000
    with pytest.raises(ModelError, match="cannot be labels"):
        read_tflite(data, "m.tflite")


def test_an_encrypted_archive_is_refused(
    build: Callable[..., bytes], metadata: Callable[..., bytes]
) -> None:
    data = bytearray(build(metadata=metadata(labels="n.txt"), files={"n.txt": b"a"}))
    with zipfile.ZipFile(BytesIO(bytes(data))) as archive:
        header = archive.infolist()[0].header_offset
    directory = data.rindex(b"PK\x01\x02")
    data[header + 6] |= 1
    data[directory + 8] |= 1
    with pytest.raises(ModelError, match="cannot be read from it"):
        read_tflite(bytes(data), "m.tflite")


@given(st.data())
def test_damaged_metadata_is_read_through_or_refused(
    whole_metadata: bytes, data: st.DataObject
) -> None:
    damaged = bytearray(whole_metadata)
    for _ in range(data.draw(st.integers(1, 6))):
        place = data.draw(st.integers(0, len(damaged) - 1).filter(lambda p: not 4 <= p < 8))
        damaged[place] = data.draw(st.sampled_from([0, 1, 7, 127, 128, 255]))
    end = data.draw(st.integers(0, len(damaged)))
    # These are what the reader of the whole file turns into one line; any other would escape it.
    with suppress(ValueError, TypeError, struct.error, ModelError):
        found = read_described(bytes(damaged[:end]), b"", "m.tflite")
        assert found is None or len(found.mean) <= len(damaged)

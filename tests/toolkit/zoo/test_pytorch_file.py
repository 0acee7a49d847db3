"""Check that PyTorch's legacy files are read exactly, and that hostile ones are only refused."""

from __future__ import annotations

import os
import pickle
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from mejiro.errors import WeightsError
from mejiro.zoo.pytorch_file import MAGIC, MAX_OPERATIONS, PROTOCOL, read_tensors

SYSTEM = {"protocol_version": 1001, "little_endian": True, "type_sizes": {"int": 4}}


def text(value: str) -> bytes:
    data = value.encode()
    return pickle.BINUNICODE + struct.pack("<I", len(data)) + data


def integer(value: int) -> bytes:
    if -(2**31) <= value < 2**31:
        return pickle.BININT + struct.pack("<i", value)
    data = pickle.encode_long(value)
    return pickle.LONG1 + bytes([len(data)]) + data


def integers(values: tuple[int, ...]) -> bytes:
    return pickle.MARK + b"".join(integer(value) for value in values) + pickle.TUPLE


def word(module: str, name: str) -> bytes:
    return pickle.GLOBAL + f"{module}\n{name}\n".encode()


def tensor(
    key: str,
    elements: int,
    shape: tuple[int, ...],
    strides: tuple[int, ...],
    *,
    offset: int = 0,
    kind: str = "FloatStorage",
) -> bytes:
    """The pickle of one tensor, as torch.save writes it."""
    storage = pickle.MARK + text("storage") + word("torch", kind) + text(key) + text("cpu")
    storage += integer(elements) + pickle.NONE + pickle.TUPLE + pickle.BINPERSID
    hooks = word("collections", "OrderedDict") + pickle.EMPTY_TUPLE + pickle.REDUCE
    arguments = pickle.MARK + storage + integer(offset) + integers(shape) + integers(strides)
    arguments += pickle.NEWFALSE + hooks + pickle.TUPLE
    return word("torch._utils", "_rebuild_tensor_v2") + arguments + pickle.REDUCE


def dictionary(items: dict[str, bytes]) -> bytes:
    body = b"".join(text(name) + item for name, item in items.items())
    start = word("collections", "OrderedDict") + pickle.EMPTY_TUPLE + pickle.REDUCE
    attributes = pickle.EMPTY_DICT + text("_metadata") + pickle.EMPTY_DICT + pickle.SETITEM
    return start + pickle.MARK + body + pickle.SETITEMS + attributes + pickle.BUILD


def whole(body: bytes, keys: list[str], storages: bytes) -> bytes:
    """A file: three headers, the object whose pickle is `body`, the keys, the storages."""
    dump = [pickle.dumps(value, protocol=2) for value in (MAGIC, PROTOCOL, SYSTEM)]
    proto = pickle.PROTO + b"\x02"
    return b"".join(dump) + proto + body + pickle.STOP + pickle.dumps(keys, protocol=2) + storages


def stored(array: NDArray[Any]) -> bytes:
    return struct.pack("<q", array.size) + array.tobytes()


def file_of(arrays: dict[str, NDArray[Any]]) -> bytes:
    """A file of the arrays, each in a storage of its own, in its own memory order."""
    items, storages = {}, b""
    for place, (name, array) in enumerate(arrays.items()):
        base = array if array.base is None else array.base
        kind = "FloatStorage" if array.dtype == np.float32 else "LongStorage"
        strides = tuple(stride // array.itemsize for stride in array.strides)
        items[name] = tensor(str(place), base.size, array.shape, strides, kind=kind)
        storages += stored(base)
    return whole(dictionary(items), [str(n) for n in range(len(arrays))], storages)


SAMPLE = {
    "conv.weight": np.arange(24, dtype=np.float32).reshape(2, 3, 2, 2).transpose(3, 2, 0, 1),
    "conv.bias": np.array([1.5, -2.0], dtype=np.float32),
    "steps": np.array(7, dtype=np.int64),
}

arrays = st.one_of(
    hnp.arrays(np.float32, hnp.array_shapes(min_dims=0, max_dims=4, max_side=4)),
    hnp.arrays(np.int64, hnp.array_shapes(min_dims=0, max_dims=4, max_side=4)),
)


@given(st.dictionaries(st.text(max_size=12), st.tuples(arrays, st.booleans()), max_size=4))
def test_what_is_written_is_read(drawn: dict[str, tuple[NDArray[Any], bool]]) -> None:
    wanted = {name: array.copy().T if turn else array for name, (array, turn) in drawn.items()}
    found = read_tensors(file_of(wanted), "it")
    assert list(found) == list(wanted)
    for name, array in wanted.items():
        assert found[name].dtype == array.dtype
        assert found[name].shape == array.shape
        assert found[name].tobytes() == array.tobytes()
        assert found[name].flags.c_contiguous
        assert found[name].flags.writeable


def test_two_tensors_may_share_a_storage() -> None:
    items = {
        "a": tensor("s", 6, (2, 3), (3, 1)),
        "b": tensor("s", 6, (2,), (2,), offset=1),
    }
    data = whole(dictionary(items), ["s"], stored(np.arange(6, dtype=np.float32)))
    found = read_tensors(data, "it")
    np.testing.assert_array_equal(found["a"], [[0, 1, 2], [3, 4, 5]])
    np.testing.assert_array_equal(found["b"], [1, 3])


@given(st.integers(0, len(file_of(SAMPLE)) - 1))
def test_a_truncated_file_is_refused(length: int) -> None:
    with pytest.raises(WeightsError, match="^it is not a usable PyTorch weights file: "):
        read_tensors(file_of(SAMPLE)[:length], "it")


def test_bytes_after_the_end_are_refused() -> None:
    with pytest.raises(WeightsError, match="1 bytes follow the last storage"):
        read_tensors(file_of(SAMPLE) + b"\0", "it")


@given(st.data())
@settings(max_examples=300)
def test_a_damaged_file_is_read_or_refused_and_nothing_else(data: st.DataObject) -> None:
    damaged = bytearray(file_of(SAMPLE))
    for _ in range(data.draw(st.integers(1, 6))):
        place = data.draw(st.integers(0, len(damaged) - 1))
        damaged[place] = data.draw(st.integers(0, 255))
    try:
        found = read_tensors(bytes(damaged), "it")
    except WeightsError:
        return
    assert sum(array.nbytes for array in found.values()) <= 4 * len(damaged)


@given(st.binary(max_size=300))
def test_any_bytes_in_the_place_of_the_object_are_refused(body: bytes) -> None:
    headers = whole(b"", [], b"")
    start = headers[: headers.index(b"little_endian")]  # in the middle of the third pickle
    for data in (body, start + body, whole(body, [], b"")):
        try:
            assert read_tensors(data, "it") == {}
        except WeightsError:
            continue


class Attack:
    """Unpickled by Python, this would run a command."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> Any:
        return os.system, (self.command,)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("place", range(5))
def test_code_is_never_run(tmp_path: Path, protocol: int, place: int) -> None:
    trace = tmp_path / "run"
    attack = pickle.dumps({"a": Attack(f"touch {trace}")}, protocol=protocol)
    pickle.loads(attack)  # the attack is a real one
    assert trace.exists()
    trace.unlink()
    parts = [pickle.dumps(value, protocol=2) for value in (MAGIC, PROTOCOL, SYSTEM, {}, [])]
    parts[place] = attack
    with pytest.raises(WeightsError):
        read_tensors(b"".join(parts), "it")
    assert not trace.exists()


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("os", "system"),
        ("builtins", "eval"),
        ("torch", "load"),
        ("torch.FloatStorage", "x"),
        ("torch", "FloatStorage.__class__"),
        ("collections", "OrderedDict\x00"),
    ],
)
def test_other_names_are_refused_by_name(module: str, name: str) -> None:
    with pytest.raises(WeightsError, match="it names .* which is not allowed"):
        read_tensors(whole(word(module, name), [], b""), "it")


def one(item: bytes, elements: int = 4) -> bytes:
    return whole(dictionary({"w": item}), ["s"], stored(np.zeros(elements, np.float32)))


@pytest.mark.parametrize(
    "item",
    [
        tensor("s", 4, (5,), (1,)),
        tensor("s", 4, (4,), (1,), offset=1),
        tensor("s", 4, (2, 2), (3, 1)),
        tensor("s", 4, (2**40,), (0,)),
        tensor("s", 4, (2**62, 2**62), (0, 0)),
        tensor("s", 4, (1,), (1,), offset=4),
        tensor("s", 4, (), (), offset=2**70),
    ],
)
def test_a_tensor_outside_its_storage_is_refused(item: bytes) -> None:
    with pytest.raises(WeightsError, match="'w' reaches outside its storage"):
        read_tensors(one(item), "it")


@pytest.mark.parametrize(
    "item",
    [
        tensor("s", 4, (-1,), (1,)),
        tensor("s", 4, (0,), (1,)),
        tensor("s", 4, (2,), (-1,), offset=1),
        tensor("s", 4, (2,), (1,), offset=-1),
        tensor("s", 4, (2, 2), (1,)),
        tensor("s", 4, (1,) * 9, (1,) * 9),
    ],
)
def test_a_tensor_of_impossible_shape_is_refused(item: bytes) -> None:
    with pytest.raises(WeightsError, match="described in an unknown way"):
        read_tensors(one(item), "it")


def test_a_stride_that_is_never_taken_may_be_anything() -> None:
    found = read_tensors(one(tensor("s", 4, (1, 4), (2**90, 1))), "it")
    assert found["w"].shape == (1, 4)


@pytest.mark.parametrize("elements", [-1, 3, 5, 2**62, 2**80])
def test_a_storage_of_another_size_than_declared_is_refused(elements: int) -> None:
    with pytest.raises(WeightsError):
        read_tensors(one(tensor("s", elements, (1,), (1,))), "it")


def test_a_storage_larger_than_the_file_is_not_allocated() -> None:
    elements = 2**40
    body = dictionary({"w": tensor("s", elements, (1,), (1,))})
    with pytest.raises(WeightsError, match="the file is truncated"):
        read_tensors(whole(body, ["s"], struct.pack("<q", elements)), "it")


@pytest.mark.parametrize("keys", [[], ["s", "s"], ["s", "t"], ["t"]])
def test_the_list_of_storages_must_be_the_one_in_use(keys: list[str]) -> None:
    body = dictionary({"w": tensor("s", 1, (1,), (1,))})
    data = whole(body, keys, stored(np.zeros(1, np.float32)) * max(1, len(keys)))
    with pytest.raises(WeightsError, match="is not the one that its tensors use"):
        read_tensors(data, "it")


def test_a_storage_declared_twice_must_be_the_same() -> None:
    items = {"a": tensor("s", 4, (1,), (1,)), "b": tensor("s", 5, (1,), (1,))}
    with pytest.raises(WeightsError, match="declared twice"):
        read_tensors(whole(dictionary(items), ["s"], b""), "it")


def test_a_key_is_a_string_so_that_no_hash_takes_forever() -> None:
    bomb = pickle.EMPTY_TUPLE
    for place in range(200):
        bomb += pickle.BINPUT + bytes([place]) + pickle.BINGET + bytes([place]) + pickle.TUPLE2
    body = pickle.EMPTY_DICT + bomb + pickle.NONE + pickle.SETITEM
    with pytest.raises(WeightsError, match="tuple for a key"):
        read_tensors(whole(body, [], b""), "it")


def test_a_far_memory_place_costs_nothing() -> None:
    body = pickle.EMPTY_DICT + pickle.LONG_BINPUT + struct.pack("<I", 2**32 - 1)
    assert read_tensors(whole(body, [], b""), "it") == {}


def test_endless_operations_are_refused() -> None:
    body = pickle.NONE * (MAX_OPERATIONS + 1)
    with pytest.raises(WeightsError, match="more than"):
        read_tensors(whole(body, [], b""), "it")


def test_deep_nesting_is_no_recursion() -> None:
    body = pickle.EMPTY_TUPLE + pickle.TUPLE1 * 200_000
    with pytest.raises(WeightsError, match="holds a tuple, not a dictionary"):
        read_tensors(whole(body, [], b""), "it")


def test_a_zip_file_is_told_apart() -> None:
    with pytest.raises(WeightsError, match="zip archive"):
        read_tensors(b"PK\x03\x04" + b"\0" * 64, "it")


def test_a_big_endian_file_is_refused() -> None:
    parts = (MAGIC, PROTOCOL, {**SYSTEM, "little_endian": False}, {}, [])
    data = b"".join(pickle.dumps(part, protocol=2) for part in parts)
    with pytest.raises(WeightsError, match="not little-endian"):
        read_tensors(data, "it")


def test_another_protocol_is_refused() -> None:
    data = b"".join(pickle.dumps(part, protocol=2) for part in (MAGIC, 1002))
    with pytest.raises(WeightsError, match="protocol is not 1001"):
        read_tensors(data, "it")


def test_a_long_name_does_not_flood_the_message() -> None:
    with pytest.raises(WeightsError) as caught:
        read_tensors(whole(word("evil\x1b[2J", "x" * 5000), [], b""), "it")
    assert len(str(caught.value)) < 200
    assert "\x1b" not in str(caught.value)

"""Read tensors from PyTorch's legacy file format, without PyTorch and without Python's unpickler.

A file that `torch.save` wrote before version 1.6 is five pickles followed by raw storages: a
magic number, a protocol number, the writer's type sizes, the object, the list of storage keys;
then for each key its number of elements (int64) and its elements. The pickles are interpreted
here, one operation at a time, by a machine that knows only what a dictionary of tensors needs.
It has no way to name, let alone call, anything of Python's: a pickle that asks for
`os.system` is refused like any other word that is not in the list.

Source of the format: `_legacy_save` in torch/serialization.py.
"""

from __future__ import annotations

import io
import math
import pickletools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from mejiro.errors import WeightsError

MAGIC = 0x1950A86A20F9469CFC6C
PROTOCOL = 1001
MAX_OPERATIONS = 1_000_000
MAX_DIMENSIONS = 8

_STORAGE_TYPES: dict[str, np.dtype[Any]] = {
    "torch FloatStorage": np.dtype("<f4"),
    "torch LongStorage": np.dtype("<i8"),
}
_DICTIONARY = "collections OrderedDict"
_TENSOR = "torch._utils _rebuild_tensor_v2"
_NAMES = frozenset({*_STORAGE_TYPES, _DICTIONARY, _TENSOR})


@dataclass(frozen=True)
class _Name:
    """Stand for one of `_NAMES`; it is compared, never looked up."""

    text: str


@dataclass(frozen=True)
class _Storage:
    """Name a run of numbers that follows the pickles."""

    key: str
    dtype: np.dtype[Any]
    elements: int


@dataclass(frozen=True)
class _View:
    """Describe a tensor: which part of which storage, seen in which shape. Counts elements."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class _Mark:
    """Stand for the pickle machine's mark on the stack."""


def read_tensors(data: bytes, what: str) -> dict[str, NDArray[Any]]:
    """Return the named tensors of a legacy PyTorch file, as arrays of float32 and int64.

    `data` is the whole file and `what` names it in messages. Raises WeightsError if it is
    anything but a flat dictionary of tensors, with every storage complete.
    """
    try:
        return _read(io.BytesIO(data), len(data))
    except _Refused as error:
        raise WeightsError(f"{what} is not a usable PyTorch weights file: {error}") from None


class _Refused(Exception):
    """Say why a file is refused; `read_tensors` adds which file."""


def _read(stream: BinaryIO, size: int) -> dict[str, NDArray[Any]]:
    if stream.read(2) == b"PK":
        raise _Refused("it is a zip archive, as PyTorch 1.6 and later write, which is not read")
    stream.seek(0)
    if _unpickle(stream) != MAGIC:
        raise _Refused("it does not begin with the legacy format's magic number")
    if _unpickle(stream) != PROTOCOL:
        raise _Refused(f"its protocol is not {PROTOCOL}")
    sizes = _unpickle(stream)
    if not isinstance(sizes, dict) or sizes.get("little_endian") is not True:
        raise _Refused("its numbers are not little-endian")
    views = _unpickle(stream)
    if not isinstance(views, dict):
        raise _Refused(f"it holds a {type(views).__name__}, not a dictionary of tensors")
    keys = _unpickle(stream)
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
        raise _Refused("its list of storages is no list of names")
    declared: dict[str, _Storage] = {}
    for name, view in views.items():
        if not isinstance(view, _View):
            raise _Refused(f"{_quoted(name)} is a {type(view).__name__}, not a tensor")
        if declared.setdefault(view.storage.key, view.storage) != view.storage:
            raise _Refused(f"storage {_quoted(view.storage.key)} is declared twice, differently")
    storages = _read_storages(stream, size, keys, declared)
    return {name: _tensor(name, view, storages) for name, view in views.items()}


def _read_storages(
    stream: BinaryIO, size: int, keys: list[str], declared: dict[str, _Storage]
) -> dict[str, NDArray[Any]]:
    """Read each storage in the order of `keys`; all of `declared`, no others, to the last byte."""
    if len(set(keys)) != len(keys) or set(keys) != set(declared):
        raise _Refused("its list of storages is not the one that its tensors use")
    storages: dict[str, NDArray[Any]] = {}
    for key in keys:
        storage = declared[key]
        count = int.from_bytes(stream.read(8), "little", signed=True)
        if count != storage.elements:
            raise _Refused(
                f"storage {_quoted(key)} has not the {storage.elements} elements declared"
            )
        length = count * storage.dtype.itemsize
        if length > size - stream.tell():
            raise _Refused(f"it ends within storage {_quoted(key)}; the file is truncated")
        storages[key] = np.frombuffer(stream.read(length), dtype=storage.dtype)
    if stream.tell() != size:
        raise _Refused(f"{size - stream.tell()} bytes follow the last storage")
    return storages


def _tensor(name: str, view: _View, storages: dict[str, NDArray[Any]]) -> NDArray[Any]:
    """Return one tensor as a contiguous array of its own."""
    storage = storages[view.storage.key]
    # A stride over an axis of length 1 is never taken, and may say anything.
    strides = [s if n > 1 else 0 for n, s in zip(view.shape, view.strides, strict=True)]
    last = view.offset + sum((n - 1) * s for n, s in zip(view.shape, strides, strict=True))
    # The count rules out a tensor that repeats a small storage into an enormous array.
    if math.prod(view.shape) > storage.size or last >= storage.size:
        raise _Refused(f"{_quoted(name)} reaches outside its storage")
    item = storage.dtype.itemsize
    array: NDArray[Any] = np.ndarray(
        shape=view.shape,
        dtype=storage.dtype,
        buffer=storage.data,
        offset=view.offset * item,
        strides=tuple(stride * item for stride in strides),
    )
    return np.array(array, order="C")


def _quoted(text: str) -> str:
    """Return a file's own word, fit to be printed: short, and without control characters."""
    return repr(text if len(text) <= 60 else text[:60] + "…")


def _unpickle(stream: BinaryIO) -> Any:
    """Interpret one pickle and return its value; raises _Refused for all that is not needed."""
    machine = _Machine()
    try:
        for count, (opcode, argument, _) in enumerate(pickletools.genops(stream)):
            if count > MAX_OPERATIONS:
                raise _Refused(f"it takes more than {MAX_OPERATIONS} operations")
            if opcode.name == "STOP":
                return machine.result()
            operation = _OPERATIONS.get(opcode.name)
            if operation is None:
                raise _Refused(f"it uses the pickle operation {opcode.name}, which is not allowed")
            operation(machine, argument)
    except (ValueError, IndexError, OverflowError, EOFError) as error:
        raise _Refused(f"its pickle is damaged ({error})") from None
    raise _Refused("its pickle has no end; the file is truncated")


class _Machine:
    """Hold the pickle machine's stack and memory. Dictionaries take only strings as keys."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def result(self) -> Any:
        if len(self.stack) != 1:
            raise _Refused("its pickle leaves no single value")
        return self.stack[0]

    def push(self, value: Any) -> None:
        self.stack.append(value)

    def pop_to_mark(self) -> list[Any]:
        for place in range(len(self.stack) - 1, -1, -1):
            if isinstance(self.stack[place], _Mark):
                items = self.stack[place + 1 :]
                del self.stack[place:]
                return items
        raise _Refused("its pickle is damaged (no mark)")

    def remember(self, key: int) -> None:
        self.memo[key] = self.stack[-1]

    def recall(self, key: int) -> None:
        if key not in self.memo:
            raise _Refused(f"its pickle is damaged (nothing remembered as {key})")
        self.stack.append(self.memo[key])

    def make_tuple(self, length: int | None) -> None:
        if length is None:
            self.stack.append(tuple(self.pop_to_mark()))
            return
        items = [self.stack.pop() for _ in range(length)]
        self.stack.append(tuple(reversed(items)))

    def set_items(self, pairs: list[Any]) -> None:
        target = self.stack[-1]
        if not isinstance(target, dict) or len(pairs) % 2:
            raise _Refused("its pickle is damaged (items for no dictionary)")
        for key, value in zip(pairs[::2], pairs[1::2], strict=True):
            if not isinstance(key, str):
                raise _Refused(f"a dictionary has a {type(key).__name__} for a key")
            target[key] = value

    def append(self, items: list[Any]) -> None:
        if not isinstance(self.stack[-1], list):
            raise _Refused("its pickle is damaged (items for no list)")
        self.stack[-1].extend(items)

    def name(self, text: str) -> None:
        if text not in _NAMES:
            raise _Refused(f"it names {_quoted(text.replace(' ', '.'))}, which is not allowed")
        self.stack.append(_Name(text))

    def storage(self) -> None:
        """Turn a persistent id into the storage that it names."""
        reference = self.stack.pop()
        match reference:
            case ("storage", _Name(text=kind), str(key), str(), int(elements), None) if (
                kind in _STORAGE_TYPES and elements >= 0
            ):
                self.stack.append(_Storage(key, _STORAGE_TYPES[kind], elements))
            case _:
                raise _Refused("a storage is described in an unknown way")

    def reduce(self) -> None:
        """Make the two objects that may be made: an empty dictionary, or a tensor."""
        arguments, function = self.stack.pop(), self.stack.pop()
        if function == _Name(_DICTIONARY) and arguments == ():
            self.stack.append({})
            return
        match arguments:
            case (_Storage() as storage, int(offset), tuple(shape), tuple(strides), bool(), {}) if (
                function == _Name(_TENSOR)
                and len(shape) == len(strides) <= MAX_DIMENSIONS
                and all(type(n) is int and n >= 0 for n in (offset, *strides))
                and all(type(n) is int and n >= 1 for n in shape)
            ):
                self.stack.append(_View(storage, offset, shape, strides))
            case _:
                raise _Refused("a tensor is described in an unknown way")

    def build(self) -> None:
        """Drop the attributes that PyTorch hangs on a dictionary: module versions, of no use."""
        self.stack.pop()
        if not isinstance(self.stack[-1], dict):
            raise _Refused("its pickle is damaged (attributes for no dictionary)")


_OPERATIONS: dict[str, Callable[[_Machine, Any], None]] = {
    "PROTO": lambda machine, _: None,
    "MARK": lambda machine, _: machine.push(_Mark()),
    "NONE": lambda machine, _: machine.push(None),
    "NEWTRUE": lambda machine, _: machine.push(True),
    "NEWFALSE": lambda machine, _: machine.push(False),
    "BININT": _Machine.push,
    "BININT1": _Machine.push,
    "BININT2": _Machine.push,
    "LONG1": _Machine.push,
    "BINUNICODE": _Machine.push,
    "EMPTY_DICT": lambda machine, _: machine.push({}),
    "EMPTY_LIST": lambda machine, _: machine.push([]),
    "EMPTY_TUPLE": lambda machine, _: machine.push(()),
    "TUPLE": lambda machine, _: machine.make_tuple(None),
    "TUPLE1": lambda machine, _: machine.make_tuple(1),
    "TUPLE2": lambda machine, _: machine.make_tuple(2),
    "TUPLE3": lambda machine, _: machine.make_tuple(3),
    "BINPUT": _Machine.remember,
    "LONG_BINPUT": _Machine.remember,
    "BINGET": _Machine.recall,
    "LONG_BINGET": _Machine.recall,
    "SETITEM": lambda machine, _: machine.set_items(
        [machine.stack.pop(), machine.stack.pop()][::-1]
    ),
    "SETITEMS": lambda machine, _: machine.set_items(machine.pop_to_mark()),
    "APPEND": lambda machine, _: machine.append([machine.stack.pop()]),
    "APPENDS": lambda machine, _: machine.append(machine.pop_to_mark()),
    "GLOBAL": _Machine.name,
    "BINPERSID": lambda machine, _: machine.storage(),
    "REDUCE": lambda machine, _: machine.reduce(),
    "BUILD": lambda machine, _: machine.build(),
}

"""Read the archives in which CIFAR is published, without letting them run or write anything.

The Python version is pickles of a dictionary with an array, its numbers and names; the binary
version is records of one or two label bytes and 3,072 bytes of pixels, red, green, blue. Members
are read from the tar file in memory and told by their names; nothing is unpacked.
"""

from __future__ import annotations

import io
import lzma
import pickle
import tarfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mejiro.errors import DataError

SIDE = 32
PICTURE_BYTES = 3 * SIDE * SIDE
MAX_MEMBER_BYTES = 512 * 1024 * 1024


@dataclass(frozen=True)
class CifarFormat:
    """Say which files an archive holds, without their ending, and how it keeps labels.

    `key` is the name of the labels in the Python version; in the binary version the last of
    `label_bytes` bytes before the pixels is the label.
    """

    train: tuple[str, ...]
    val: tuple[str, ...]
    key: str
    label_bytes: int


@dataclass(frozen=True, eq=False)
class CifarPart:
    """Hold pictures, uint8 (N, 32, 32, 3) in RGB, and the indices of their classes (N,)."""

    pixels: NDArray[np.uint8]
    truth: NDArray[np.integer[Any]]


def read_archive(path: Path, form: CifarFormat) -> tuple[CifarPart, CifarPart]:
    """Return the training and the test pictures of the tar file `path`, compressed or not.

    Raises DataError if it is no such archive, is truncated, or lacks one of its files.
    """
    try:
        members = _read_members(path, {*form.train, *form.val})
        parts = []
        for names in (form.train, form.val):
            missing = [name for name in names if name not in members]
            if missing:
                raise DataError(
                    f"{path} has no file '{missing[0]}'; give CIFAR's archive as it was "
                    "downloaded, the Python or the binary version"
                )
            parts.append(_joined([_read_batch(*members[name], form) for name in names]))
    except (tarfile.TarError, EOFError, zlib.error, lzma.LZMAError, OSError) as error:
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise DataError(
            f"{path} is not a whole tar archive ({reason}); download it again"
        ) from None
    except _Refused as error:
        raise DataError(f"{path} is not CIFAR as it was published: {error}") from None
    return parts[0], parts[1]


class _Refused(Exception):
    """Say why a batch is refused; `read_archive` adds in which file."""


def _read_members(path: Path, names: set[str]) -> dict[str, tuple[bool, bytes]]:
    """Return (binary version, content) of the archive's files whose stem is one of `names`."""
    found = {}
    with tarfile.open(path) as archive:
        for member in archive:
            place = PurePosixPath(member.name)
            binary = place.suffix == ".bin"
            name = place.stem if binary else place.name
            if name not in names or not member.isfile():
                continue
            if member.size > MAX_MEMBER_BYTES:
                raise _Refused(f"'{name}' has {member.size} bytes")
            stream = archive.extractfile(member)
            found[name] = (binary, b"" if stream is None else stream.read())
    return found


def _joined(parts: Sequence[CifarPart]) -> CifarPart:
    return CifarPart(
        np.concatenate([part.pixels for part in parts]),
        np.concatenate([part.truth for part in parts]),
    )


def _read_batch(binary: bool, data: bytes, form: CifarFormat) -> CifarPart:
    if binary:
        record = form.label_bytes + PICTURE_BYTES
        if len(data) % record:
            raise _Refused(f"a file of {len(data)} bytes is no row of {record}-byte records")
        rows = np.frombuffer(data, np.uint8).reshape(-1, record)
        return _part(rows[:, form.label_bytes :], rows[:, form.label_bytes - 1])
    batch = _unpickle(data)
    if not isinstance(batch, dict):
        raise _Refused("a batch is no dictionary")
    by_name = {
        key.decode("latin-1") if isinstance(key, bytes) else key: value
        for key, value in batch.items()
    }
    pixels: Any = by_name.get("data")
    truth: Any = by_name.get(form.key)
    if not isinstance(pixels, _Array) or not isinstance(truth, list):
        raise _Refused(f"a batch has no array 'data' or no list '{form.key}'")
    if not all(type(label) is int and 0 <= label < 256 for label in truth):
        raise _Refused(f"'{form.key}' holds something else than class numbers")
    return _part(pixels.rows(len(truth)), np.array(truth, dtype=np.uint8))


def _part(rows: NDArray[np.uint8], truth: NDArray[np.uint8]) -> CifarPart:
    return CifarPart(rows.reshape(-1, 3, SIDE, SIDE).transpose(0, 2, 3, 1), truth)


class _Array:
    """Stand for a numpy array in a pickle: keep its state as data, build nothing from it."""

    def __init__(self, *_: Any) -> None:
        self._data: Any = b""

    def __setstate__(self, state: Any) -> None:
        if isinstance(state, tuple) and len(state) == 5:
            raw = state[4]
            # Pickles of Python 2 hold bytes as text of the same numbers.
            self._data = raw.encode("latin-1") if isinstance(raw, str) else raw

    def rows(self, count: int) -> NDArray[np.uint8]:
        """Return the pixels of `count` pictures, (count, 3072)."""
        if not isinstance(self._data, bytes) or len(self._data) != count * PICTURE_BYTES:
            raise _Refused(f"'data' does not hold {count} pictures of 3 x {SIDE} x {SIDE}")
        return np.frombuffer(self._data, np.uint8).reshape(count, PICTURE_BYTES)


class _DataType:
    """Stand for a numpy dtype in a pickle; what the bytes are is known beforehand."""

    def __init__(self, *_: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        pass


def _encode(text: Any, encoding: Any) -> bytes:
    """Stand for `_codecs.encode`, with which Python 3 writes bytes in an old protocol."""
    if not isinstance(text, str) or encoding != "latin1":
        raise _Refused("a batch asks for an encoding other than latin1")
    return text.encode("latin-1")


_STAND_INS: dict[tuple[str, str], Any] = {
    ("numpy.core.multiarray", "_reconstruct"): _Array,
    ("numpy._core.multiarray", "_reconstruct"): _Array,
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _DataType,
    ("_codecs", "encode"): _encode,
}


class _Unpickler(pickle.Unpickler):
    """Know the few names that a batch needs, each by a stand-in that does nothing."""

    def find_class(self, module: str, name: str) -> Any:
        """Return the stand-in; raises _Refused for any other name."""
        try:
            return _STAND_INS[module, name]
        except KeyError:
            raise _Refused(f"a batch asks for {module}.{name}") from None


def _unpickle(data: bytes) -> Any:
    try:
        return _Unpickler(io.BytesIO(data), encoding="bytes").load()
    except _Refused:
        raise
    except Exception as error:  # noqa: BLE001 - a damaged pickle raises nearly anything
        raise _Refused(f"a batch cannot be read ({type(error).__name__})") from None

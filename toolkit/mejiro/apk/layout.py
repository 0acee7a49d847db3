"""Find the parts of an Android package: its files, the signatures, and the zip's directory.

Source: APK Signature Scheme v2, source.android.com/docs/security/features/apksigning/v2.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from mejiro.errors import ApkError

V2_ID = 0x7109871A
V3_ID = 0xF05368C0
_MAGIC = b"APK Sig Block 42"
_END = struct.Struct("<4sHHHHIIH")  # a zip's end-of-central-directory record
_END_SIGNATURE = b"PK\x05\x06"
_DIRECTORY_OFFSET_AT = 16
_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class Layout:
    """Hold a package's bytes and where its parts begin; `files_end` is that of its last file."""

    data: memoryview
    files_end: int
    directory: int
    end: int

    @property
    def block(self) -> bytes:
        """Return the block of signatures, empty in a package that has none."""
        return bytes(self.data[self.files_end : self.directory])


def find_layout(data: bytes) -> Layout:
    """Return where the parts of a package are. Raises ApkError for what is no zip file of one disk.

    A comment after the end is refused: none is written here, and one could hide another end.
    """
    end = len(data) - _END.size
    if end < 0 or data[end : end + 4] != _END_SIGNATURE:
        raise ApkError("it is no Android package: a zip's end is not where it should be")
    _, disk, first_disk, here, total, size, directory, comment = _END.unpack_from(data, end)
    if disk or first_disk or comment or here != total or directory + size != end:
        raise ApkError("its zip directory is not where its end says")
    files_end = directory
    if data[max(0, directory - len(_MAGIC)) : directory] == _MAGIC:
        files_end = directory - 8 - _read_block_size(data, directory)
    return Layout(memoryview(data), files_end, directory, end)


def _read_block_size(data: bytes, directory: int) -> int:
    """Return how many bytes a block has after the first of its two sizes, which must agree."""
    at = directory - len(_MAGIC) - 8
    if at < 8:
        raise ApkError("its block of signatures begins before the file does")
    (size,) = struct.unpack_from("<Q", data, at)
    start = directory - size - 8
    if size < len(_MAGIC) + 8 or start < 0 or struct.unpack_from("<Q", data, start) != (size,):
        raise ApkError("its block of signatures has two sizes that differ")
    return int(size)


def write_block(pairs: dict[int, bytes]) -> bytes:
    """Return a block of signatures out of values by their ID, in the order given."""
    body = b"".join(
        struct.pack("<QI", 4 + len(value), number) + value for number, value in pairs.items()
    )
    size = struct.pack("<Q", len(body) + 8 + len(_MAGIC))
    return size + body + size + _MAGIC


def read_block(block: bytes) -> dict[int, bytes]:
    """Return the values of a block of signatures by their ID; empty without a block."""
    pairs: dict[int, bytes] = {}
    at, end = 8, len(block) - 8 - len(_MAGIC)
    while at < end:
        if at + 12 > end:
            raise ApkError("its block of signatures is damaged")
        size, number = struct.unpack_from("<QI", block, at)
        if size < 4 or at + 8 + size > end or number in pairs:
            raise ApkError("its block of signatures is damaged")
        pairs[number] = block[at + 12 : at + 8 + size]
        at += 8 + size
    return pairs


def with_block(layout: Layout, block: bytes) -> bytes:
    """Return the package with `block` for signatures, and a directory that is found behind it."""
    data = layout.data
    end = bytearray(data[layout.end :])
    struct.pack_into("<I", end, _DIRECTORY_OFFSET_AT, layout.files_end + len(block))
    directory = data[layout.directory : layout.end]
    return b"".join((data[: layout.files_end], block, directory, end))


def content_digest(layout: Layout) -> bytes:
    """Return the SHA-256 over all but the block of signatures, in chunks of 1 MiB, as v2 has it.

    The end of the directory counts as if no block stood before the directory.
    """
    end = bytearray(layout.data[layout.end :])
    struct.pack_into("<I", end, _DIRECTORY_OFFSET_AT, layout.files_end)
    sections = (
        layout.data[: layout.files_end],
        layout.data[layout.directory : layout.end],
        memoryview(end),
    )
    digests = [_chunk_digest(chunk) for section in sections for chunk in _chunks(section)]
    head = b"\x5a" + struct.pack("<I", len(digests))
    return hashlib.sha256(head + b"".join(digests)).digest()


def _chunks(section: memoryview) -> Iterator[memoryview]:
    for start in range(0, len(section), _CHUNK_BYTES):
        yield section[start : start + _CHUNK_BYTES]


def _chunk_digest(chunk: memoryview) -> bytes:
    digest = hashlib.sha256(b"\xa5" + struct.pack("<I", len(chunk)))
    digest.update(chunk)
    return digest.digest()

"""Read and write a pool of strings, as Android's binary resource files keep them.

Source: ResourceTypes.h of the Android Open Source Project (ResStringPool_header).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace

from mejiro.errors import ApkError

CHUNK_TYPE = 0x0001
_HEADER = struct.Struct("<HHIIIIII")
_UTF8 = 1 << 8
# Two bytes of length at most, in characters and in bytes: 32767 of either for UTF-8.
_MAX_UTF8 = 0x7FFF
_MAX_UTF16 = 0x7FFFFFFF


@dataclass(frozen=True)
class StringPool:
    """Strings by index, and how they are stored; `styles` (spans of rich text) are not read."""

    strings: tuple[str, ...]
    utf8: bool
    flags: int

    def with_string(self, index: int, text: str) -> StringPool:
        """Return the pool with another string at `index`."""
        strings = list(self.strings)
        strings[index] = text
        # Whether strings are sorted is a flag; what is replaced may break the order.
        return replace(self, strings=tuple(strings), flags=self.flags & ~1)


def read_pool(chunk: bytes) -> StringPool:
    """Return the strings of one chunk. Raises ApkError if it is not a whole pool."""
    try:
        kind, header_bytes, size, count, styles, flags, start, _ = _HEADER.unpack_from(chunk)
        if kind != CHUNK_TYPE or header_bytes != _HEADER.size or size != len(chunk) or styles:
            raise ApkError("a pool of strings has a header that is not understood")
        offsets = struct.unpack_from(f"<{count}I", chunk, header_bytes)
        utf8 = bool(flags & _UTF8)
        read = _read_utf8 if utf8 else _read_utf16
        strings = tuple(read(chunk, start + offset) for offset in offsets)
    except (struct.error, IndexError, UnicodeDecodeError):
        raise ApkError("a pool of strings is damaged: a string reaches beyond its end") from None
    return StringPool(strings, utf8, flags)


def write_pool(pool: StringPool) -> bytes:
    """Return the chunk of a pool, each string stored once for each index, in order."""
    encode = _write_utf8 if pool.utf8 else _write_utf16
    offsets = []
    data = bytearray()
    for text in pool.strings:
        offsets.append(len(data))
        data += encode(text)
    data += bytes(-len(data) % 4)
    start = _HEADER.size + 4 * len(offsets)
    header = _HEADER.pack(
        CHUNK_TYPE, _HEADER.size, start + len(data), len(offsets), 0, pool.flags, start, 0
    )
    return header + struct.pack(f"<{len(offsets)}I", *offsets) + bytes(data)


def _read_utf16(chunk: bytes, at: int) -> str:
    (length,) = struct.unpack_from("<H", chunk, at)
    at += 2
    if length & 0x8000:
        (low,) = struct.unpack_from("<H", chunk, at)
        length = (length & 0x7FFF) << 16 | low
        at += 2
    data = _slice(chunk, at, 2 * length)
    _slice(chunk, at + 2 * length, 2)
    return data.decode("utf-16-le")


def _write_utf16(text: str) -> bytes:
    data = text.encode("utf-16-le")
    length = len(data) // 2
    if length > _MAX_UTF16:
        raise ApkError("a string is too long for an Android package")
    head = (
        struct.pack("<H", length)
        if length < 0x8000
        else struct.pack("<HH", 0x8000 | length >> 16, length & 0xFFFF)
    )
    return head + data + b"\0\0"


def _read_utf8(chunk: bytes, at: int) -> str:
    _, at = _read_length8(chunk, at)  # in UTF-16 units; the bytes that follow say all
    length, at = _read_length8(chunk, at)
    _slice(chunk, at + length, 1)
    return _slice(chunk, at, length).decode("utf-8")


def _write_utf8(text: str) -> bytes:
    data = text.encode("utf-8")
    units = len(text.encode("utf-16-le")) // 2
    return _length8(units) + _length8(len(data)) + data + b"\0"


def _read_length8(chunk: bytes, at: int) -> tuple[int, int]:
    first = chunk[at]
    if first & 0x80:
        return (first & 0x7F) << 8 | chunk[at + 1], at + 2
    return first, at + 1


def _length8(length: int) -> bytes:
    if length > _MAX_UTF8:
        raise ApkError(f"a string is too long for an Android package: {length} bytes")
    return bytes([length]) if length < 0x80 else bytes([0x80 | length >> 8, length & 0xFF])


def _slice(chunk: bytes, at: int, length: int) -> bytes:
    piece = chunk[at : at + length]
    if len(piece) != length:
        raise IndexError(at)
    return piece

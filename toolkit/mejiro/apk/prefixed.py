"""Pack and unpack values that each follow their length, as the signature schemes nest them."""

from __future__ import annotations

import struct

from mejiro.errors import ApkError


def pack(*values: bytes) -> bytes:
    """Return values one after another, each behind its length in 4 bytes, little-endian."""
    return b"".join(struct.pack("<I", len(value)) + value for value in values)


class Reader:
    """Take values one after another; ApkError where one reaches beyond the end."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def take(self) -> bytes:
        """Return the next value that follows its length."""
        return self._bytes(self.number())

    def number(self) -> int:
        """Return the next number of 4 bytes."""
        return int.from_bytes(self._bytes(4), "little")

    def rest(self) -> bytes:
        """Return all that is left."""
        return self._bytes(len(self._data) - self._at)

    def items(self) -> list[bytes]:
        """Return all values that are left, each of which follows its length."""
        found = []
        while self._at < len(self._data):
            found.append(self.take())
        return found

    def finish(self) -> None:
        """Raise ApkError if something is left."""
        if self._at != len(self._data):
            raise ApkError("its signature is damaged: something follows where nothing should")

    def _bytes(self, count: int) -> bytes:
        piece = self._data[self._at : self._at + count]
        if len(piece) != count:
            raise ApkError("its signature is damaged: a value reaches beyond its end")
        self._at += count
        return piece

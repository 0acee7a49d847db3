"""Speak in frames over two pipes: a JSON object, and bytes beside it.

A frame is two lengths of four bytes each, most significant first, then the object in UTF-8, then
the bytes. Both sides use this file.
"""

from __future__ import annotations

import json
import os
import select
import struct
import time
from typing import Any, NamedTuple

from mejiro_agent.errors import Cut

# What stands before the first frame; a login script may have printed something ahead of it.
GREETING = b"mejiro-agent 1\n"
MAX_NOISE_BYTES = 64 * 1024
MAX_HEADER_BYTES = 16 * 1024 * 1024
MAX_PAYLOAD_BYTES = 1024 * 1024
_LENGTHS = struct.Struct("!II")
_PIECE_BYTES = 256 * 1024


class WireError(Exception):
    """Report bytes that are no frame."""


class Frame(NamedTuple):
    """Hold one message."""

    header: dict[str, Any]
    payload: bytes = b""


def pack(frame: Frame) -> bytes:
    """Return a frame's bytes; WireError if it is larger than the other side takes."""
    header = json.dumps(frame.header, ensure_ascii=False).encode("utf-8", "surrogatepass")
    if len(header) > MAX_HEADER_BYTES or len(frame.payload) > MAX_PAYLOAD_BYTES:
        raise WireError(f"a frame of {len(header)} and {len(frame.payload)} bytes is too large")
    return _LENGTHS.pack(len(header), len(frame.payload)) + header + frame.payload


def send(descriptor: int, frame: Frame) -> int:
    """Write a frame, return its size in bytes; Cut if nobody reads any more."""
    data = memoryview(pack(frame))
    size = len(data)
    try:
        while data:
            data = data[os.write(descriptor, data) :]
    except OSError as error:
        raise Cut("the connection has ended") from error
    return size


class Reader:
    """Read frames from a descriptor, and tell its end while waiting for something else."""

    def __init__(self, descriptor: int, buffered: bytes = b"") -> None:
        self.descriptor = descriptor
        self._buffer = bytearray(buffered)

    def fill(self, timeout_s: float | None = None) -> bool:
        """Take in what has arrived, waiting at most `timeout_s`; Cut at the end."""
        ready, _, _ = select.select([self.descriptor], [], [], timeout_s)
        if not ready:
            return False
        try:
            piece = os.read(self.descriptor, _PIECE_BYTES)
        except OSError as error:
            raise Cut("the connection has ended") from error
        if not piece:
            raise Cut("the connection has ended")
        self._buffer += piece
        return True

    def take(self) -> Frame | None:
        """Return a frame that has arrived whole, else None; WireError for what is none."""
        if len(self._buffer) < _LENGTHS.size:
            return None
        header_size, payload_size = _LENGTHS.unpack_from(self._buffer)
        if header_size > MAX_HEADER_BYTES or payload_size > MAX_PAYLOAD_BYTES:
            raise WireError(f"a frame claims {header_size} and {payload_size} bytes")
        end = _LENGTHS.size + header_size + payload_size
        if len(self._buffer) < end:
            return None
        middle = _LENGTHS.size + header_size
        try:
            header = json.loads(bytes(self._buffer[_LENGTHS.size : middle]))
        except (ValueError, RecursionError) as error:
            raise WireError(f"a frame's header is no JSON: {error}") from None
        if not isinstance(header, dict):
            raise WireError("a frame's header is no JSON object")
        payload = bytes(self._buffer[middle:end])
        del self._buffer[:end]
        return Frame(header, payload)

    def frame(self, timeout_s: float | None = None) -> Frame:
        """Wait for a frame; Cut at the end, WireError for what is none, TimeoutError."""
        end_s = None if timeout_s is None else time.monotonic() + timeout_s
        while True:
            found = self.take()
            if found is not None:
                return found
            left_s = None if end_s is None else end_s - time.monotonic()
            if left_s is not None and left_s <= 0:
                raise TimeoutError(f"nothing came for {timeout_s:g} s")
            self.fill(left_s)

    def skip_noise(self, timeout_s: float) -> bytes:
        """Drop all up to the greeting and return it; WireError if none comes, Cut at the end."""
        end_s = time.monotonic() + timeout_s
        while (at := self._buffer.find(GREETING)) < 0:
            left_s = end_s - time.monotonic()
            if len(self._buffer) > MAX_NOISE_BYTES or left_s <= 0:
                raise WireError("no greeting came")
            self.fill(left_s)
        noise = bytes(self._buffer[:at])
        del self._buffer[: at + len(GREETING)]
        return noise

    def rest(self) -> bytes:
        """Return what has arrived and was not taken."""
        return bytes(self._buffer)

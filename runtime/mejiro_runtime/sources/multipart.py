"""Take the pictures out of an MJPEG stream: `multipart/x-mixed-replace` after RFC 2046.

Streams come from strangers: no line, header, gap or picture is read beyond its limit.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from mejiro_runtime.errors import SourceError

MAX_PICTURE_BYTES = 16 * 1024 * 1024
MAX_GAP_BYTES = 256 * 1024  # between pictures
MAX_HEADERS = 64
LINE_BYTES = 8192


class Stream(Protocol):
    """Be read as binary files are: at most so many bytes, and none at the end."""

    def read(self, size: int, /) -> bytes:
        """Return up to `size` bytes."""
        ...

    def readline(self, size: int, /) -> bytes:
        """Return up to `size` bytes, no further than the next line feed."""
        ...


def pictures(stream: Stream, boundary: str | None) -> Iterator[bytes | bytearray]:
    """Give the bytes of each part until the stream ends; one that is cut off is left out.

    Parts end where their `Content-Length` says, or at the next boundary. A `boundary` that is
    None, or already begins with the two hyphens (as many cameras have it), is understood.
    Raises SourceError where a limit is exceeded.
    """
    mark = ("--" + (boundary or "").removeprefix("--")).encode("latin-1", "replace")
    line = _next_mark(stream, mark)
    while line and not (boundary and line.strip() == mark + b"--"):
        length = _read_headers(stream)
        if length is not None:
            data = _exactly(stream, length)
            if len(data) < length:
                return
            # Given before the next boundary is looked for: that may come with the next picture.
            yield data
            line = _next_mark(stream, mark)
        else:
            data, line = _until_mark(stream, mark)
            if line:
                yield data


def _next_mark(stream: Stream, mark: bytes) -> bytes:
    """Pass over everything up to a boundary; return its line, empty at the stream's end."""
    left, fresh = MAX_GAP_BYTES, True
    while left > 0:
        line = stream.readline(LINE_BYTES)
        if not line or (fresh and line.startswith(mark)):
            return line
        fresh = line.endswith(b"\n")
        left -= len(line)
    raise SourceError(f"the stream has no boundary within {MAX_GAP_BYTES} bytes; is it MJPEG?")


def _read_headers(stream: Stream) -> int | None:
    """Read a part's headers; return its length if they tell it."""
    length: int | None = None
    for _ in range(MAX_HEADERS):
        line = stream.readline(LINE_BYTES)
        if not line.strip():
            return length
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-length" and value.strip().isdigit():
            digits = value.strip()
            if len(digits) > 12 or int(digits) > MAX_PICTURE_BYTES:
                raise SourceError(f"a picture of the stream is over {MAX_PICTURE_BYTES} bytes")
            length = int(digits)
    raise SourceError(f"a picture of the stream has over {MAX_HEADERS} header lines; is it MJPEG?")


def _exactly(stream: Stream, length: int) -> bytearray:
    """Return `length` bytes, fewer at the stream's end."""
    data = bytearray()
    while len(data) < length and (more := stream.read(min(length - len(data), 1 << 20))):
        data += more
    return data


def _until_mark(stream: Stream, mark: bytes) -> tuple[bytearray, bytes]:
    """Return what stands before the next boundary, and that boundary's line (or empty)."""
    data, fresh = bytearray(), True
    while len(data) <= MAX_PICTURE_BYTES:
        line = stream.readline(LINE_BYTES)
        if not line or (fresh and line.startswith(mark)):
            # The line break before a boundary belongs to the boundary.
            del data[len(data) - (2 if data.endswith(b"\r\n") else data.endswith(b"\n")) :]
            return data, line
        fresh = line.endswith(b"\n")
        data += line
    raise SourceError(f"a picture of the stream is over {MAX_PICTURE_BYTES} bytes")

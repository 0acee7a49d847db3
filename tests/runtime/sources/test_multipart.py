"""Streams of pictures are taken apart as they were put together, and no stream is read for ever."""

from __future__ import annotations

import io
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mejiro_runtime.errors import SourceError
from mejiro_runtime.sources import multipart
from mejiro_runtime.sources.multipart import pictures

LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789'()+_,-./:=?"
BOUNDARIES = st.text(LETTERS, min_size=1, max_size=70).filter(lambda b: not b.startswith("--"))
PICTURES = st.lists(st.binary(max_size=300), max_size=5)


class Drip(io.BytesIO):
    """Give less than is asked for, as a network does."""

    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(min(size or 0, 7) if size and size > 0 else size)


def put_together(parts: list[bytes], boundary: str, *, lengths: bool, end: bool) -> bytes:
    stream = b""
    for data in parts:
        stream += f"--{boundary}\r\nContent-Type: image/jpeg\r\n".encode("latin-1")
        if lengths:
            stream += b"Content-Length: %d\r\n" % len(data)
        stream += b"\r\n" + data + b"\r\n"
    return stream + (f"--{boundary}--\r\n".encode("latin-1") if end else b"")


@given(PICTURES, BOUNDARIES, st.booleans(), st.booleans(), st.binary(max_size=50))
def test_with_lengths_any_picture_comes_back(
    parts: list[bytes], boundary: str, end: bool, doubled: bool, before: bytes
) -> None:
    preamble = before.replace(b"-", b"") + b"\r\n"
    stream = preamble + put_together(parts, boundary, lengths=True, end=end)
    told = "--" + boundary if doubled else boundary
    assert list(pictures(Drip(stream), told)) == parts


@given(PICTURES, BOUNDARIES)
def test_without_lengths_pictures_end_at_a_boundary(parts: list[bytes], boundary: str) -> None:
    parts = [data.replace(b"-", b"").rstrip(b"\r\n") for data in parts]
    stream = put_together(parts, boundary, lengths=False, end=True)
    assert list(pictures(Drip(stream), boundary)) == parts


@given(PICTURES)
def test_an_untold_boundary_is_found(parts: list[bytes]) -> None:
    stream = put_together(parts, "frame", lengths=True, end=False)
    assert list(pictures(io.BytesIO(stream), None)) == parts


@given(PICTURES.filter(bool), st.integers(1, 400))
def test_a_picture_that_is_cut_off_is_left_out(parts: list[bytes], cut: int) -> None:
    stream = put_together(parts, "frame", lengths=True, end=False)
    found = list(pictures(io.BytesIO(stream[:-cut]), "frame"))
    assert found == parts[: len(found)]


@given(st.binary(), st.none() | BOUNDARIES)
def test_any_bytes_end(stream: bytes, boundary: str | None) -> None:
    try:
        found = list(pictures(io.BytesIO(stream), boundary))
    except SourceError:
        return
    assert sum(map(len, found)) <= len(stream)


def test_a_picture_is_given_before_the_next_is_waited_for() -> None:
    class Hanging(io.BytesIO):
        def readline(self, size: int | None = -1, /) -> bytes:
            line = super().readline(size)
            assert line, "the next picture was waited for"
            return line

    stream = put_together([b"one"], "b", lengths=True, end=False)
    assert next(pictures(Hanging(stream), "b")) == b"one"


def test_a_length_that_is_too_small_loses_only_its_picture() -> None:
    stream = put_together([b"12345", b"67890"], "b", lengths=True, end=True)
    stream = stream.replace(b"Length: 5", b"Length: 2", 1)
    assert list(pictures(io.BytesIO(stream), "b")) == [b"12", b"67890"]


class Endless:
    """Give bytes for ever, and count them."""

    def __init__(self, first: bytes, then: bytes) -> None:
        self.first, self.then, self.given = io.BytesIO(first), then, 0

    def readline(self, size: int, /) -> bytes:
        line = self.first.readline(size) or self.then[:size]
        self.given += len(line)
        return line

    read = readline


@pytest.mark.parametrize(
    ("first", "then", "message"),
    [
        (b"", b"x" * 10_000, "no boundary within"),
        (b"", b"\n", "no boundary within"),
        (b"--b\r\n", b"A: b\r\n", "over 64 header lines"),
        (b"--b\r\n\r\n", b"x" * 10_000, "is over 5000 bytes"),
        (b"--b\r\nContent-Length: 5001\r\n\r\n", b"x", "is over 5000 bytes"),
        (b"--b\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n", b"x", "is over 5000 bytes"),
        (b"--b\r\nContent-Length: 5000\r\n\r\n", b"x" * 9000, "no boundary within"),
    ],
)
def test_nothing_is_read_beyond_its_limit(
    monkeypatch, first: bytes, then: bytes, message: str
) -> None:
    monkeypatch.setattr(multipart, "MAX_PICTURE_BYTES", 5000)
    monkeypatch.setattr(multipart, "MAX_GAP_BYTES", 2000)
    stream = Endless(first, then)
    with pytest.raises(SourceError, match=message):
        list(islice(pictures(stream, "b"), 3))
    assert stream.given < 30_000

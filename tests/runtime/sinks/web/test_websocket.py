"""Frames go out whole; what comes in is short, masked and simple, or ends the conversation."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mejiro_runtime.sinks.web import websocket
from mejiro_runtime.sinks.web.http import Refused, Request

HEADERS = {
    "upgrade": "websocket",
    "connection": "keep-alive, Upgrade",
    "sec-websocket-version": "13",
    "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
}


def masked(kind: int, payload: bytes, mask: bytes = b"\1\2\3\4") -> bytes:
    """Return a frame as a viewer sends it."""
    body = bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload))
    return bytes([0x80 | kind, 0x80 | len(payload)]) + mask + body


def read(data: bytes) -> tuple[int, bytes]:
    async def run() -> tuple[int, bytes]:
        reader = asyncio.StreamReader()
        reader.feed_data(data)
        reader.feed_eof()
        return await websocket.read_frame(reader)

    return asyncio.run(run())


def test_the_handshake_is_that_of_the_standard() -> None:
    answer = websocket.accept(Request("/live", {}, HEADERS))  # the example of RFC 6455
    assert b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n" in answer
    assert answer.startswith(b"HTTP/1.1 101 ")


@pytest.mark.parametrize("missing", sorted(HEADERS))
def test_what_is_no_handshake_is_refused(missing: str) -> None:
    headers = {name: value for name, value in HEADERS.items() if name != missing}
    with pytest.raises(Refused, match="version 13"):
        websocket.accept(Request("/live", {}, headers))


@pytest.mark.parametrize("key", ["x", "é", "QUJD", "?" * 24])
def test_a_key_is_sixteen_bytes(key: str) -> None:
    with pytest.raises(Refused):
        websocket.accept(Request("/live", {}, {**HEADERS, "sec-websocket-key": key}))


@pytest.mark.parametrize(
    ("size", "head"),
    [
        (0, b"\x82\x00"),
        (125, b"\x82\x7d"),
        (126, b"\x82\x7e\x00\x7e"),
        (65_536, b"\x82\x7f\0\0\0\0\0\1\0\0"),
    ],
)
def test_a_frame_tells_its_length(size: int, head: bytes) -> None:
    frame = websocket.encode(websocket.BINARY, bytes(size))
    assert frame[: len(head)] == head
    assert len(frame) == len(head) + size


@given(
    st.sampled_from([websocket.TEXT, websocket.CLOSE, websocket.PING, websocket.PONG]),
    st.binary(max_size=125),
    st.binary(min_size=4, max_size=4),
)
def test_what_a_viewer_masks_is_read(kind: int, payload: bytes, mask: bytes) -> None:
    assert read(masked(kind, payload, mask)) == (kind, payload)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (websocket.encode(websocket.TEXT, b"bare"), websocket.PROTOCOL_ERROR),
        (b"\x01\x84\0\0\0\0abcd", websocket.PROTOCOL_ERROR),  # a fragment
        (b"\xc1\x84\0\0\0\0abcd", websocket.PROTOCOL_ERROR),  # an extension
        (masked(websocket.BINARY, b"x"), websocket.PROTOCOL_ERROR),
        (b"\x81\xfe\xff\xff", websocket.TOO_LARGE),
        (b"\x81\xff" + b"\xff" * 8, websocket.TOO_LARGE),
    ],
)
def test_anything_else_ends_the_conversation(data: bytes, code: int) -> None:
    with pytest.raises(websocket.ProtocolError) as ended:
        read(data)
    assert ended.value.code == code


@given(st.binary(max_size=40))
def test_any_bytes_are_a_frame_or_an_end(data: bytes) -> None:
    try:
        _, payload = read(data)
    except (websocket.ProtocolError, asyncio.IncompleteReadError):
        return
    assert len(payload) <= websocket.MAX_PAYLOAD

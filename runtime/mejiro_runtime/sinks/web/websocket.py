"""Speak as much of the WebSocket protocol as one page needs.

Text and binary messages go out; short text messages come in. Source: RFC 6455.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
from http import HTTPStatus

from mejiro_runtime.sinks.web.http import Refused, Request

GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
MAX_PAYLOAD = 125  # what a page says fits the shortest kind of frame
GOING_AWAY, PROTOCOL_ERROR, TOO_LARGE = 1001, 1002, 1009


class ProtocolError(Exception):
    """Report a frame that ends the connection, with the code that says why."""

    def __init__(self, code: int) -> None:
        super().__init__(f"closed with {code}")
        self.code = code


def accept(request: Request) -> bytes:
    """Return the head that turns a request into a web socket; raises Refused if it is no such."""
    key = request.headers.get("sec-websocket-key", "")
    try:
        sound = len(base64.b64decode(key, validate=True)) == 16
    except (binascii.Error, ValueError):
        sound = False
    if (
        not sound
        or request.headers.get("upgrade", "").lower() != "websocket"
        or "upgrade" not in request.headers.get("connection", "").lower()
        or request.headers.get("sec-websocket-version") != "13"
    ):
        raise Refused(HTTPStatus.BAD_REQUEST, "a web socket, version 13, is expected here")
    # The protocol demands SHA-1; nothing here rests on its strength.
    digest = hashlib.sha1((key + GUID).encode(), usedforsecurity=False).digest()
    return (
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Accept: {base64.b64encode(digest).decode()}\r\n\r\n"
    ).encode()


def encode(kind: int, payload: bytes) -> bytes:
    """Return one whole, unmasked frame."""
    size = len(payload)
    if size < 126:
        length = bytes([size])
    elif size < 1 << 16:
        length = b"\x7e" + size.to_bytes(2, "big")
    else:
        length = b"\x7f" + size.to_bytes(8, "big")
    return bytes([0x80 | kind]) + length + payload


def encode_close(code: int) -> bytes:
    """Return the frame that ends a conversation."""
    return encode(CLOSE, code.to_bytes(2, "big"))


async def read_frame(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """Return the kind and payload of the next frame; raises ProtocolError, IncompleteReadError."""
    first, second = await reader.readexactly(2)
    size = second & 0x7F
    # Whole frames alone, without extensions; and what a viewer sends is masked.
    if first & 0xF0 != 0x80 or not second & 0x80:
        raise ProtocolError(PROTOCOL_ERROR)
    if first & 0x0F not in (TEXT, CLOSE, PING, PONG):
        raise ProtocolError(PROTOCOL_ERROR)
    if size > MAX_PAYLOAD:
        raise ProtocolError(TOO_LARGE)
    mask = await reader.readexactly(4)
    masked = await reader.readexactly(size)
    return first & 0x0F, bytes(byte ^ mask[i % 4] for i, byte in enumerate(masked))

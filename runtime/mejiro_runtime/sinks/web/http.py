"""Read one HTTP request and write one response: GET alone, everything bounded.

Source: RFC 9112. A connection carries one request; so nothing can be smuggled behind it.
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import NamedTuple
from urllib.parse import parse_qs, urlsplit

from mejiro_runtime.sinks.web.patience import within

MAX_HEAD_BYTES = 8192
MAX_HEADERS = 64
HEAD_TIMEOUT_S = 10.0

# Sent with every response. `no-store`: what a camera sees stays in no cache.
HEADERS = {
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


class Refused(Exception):
    """Report a request that is answered with an error status and one line of text."""

    def __init__(self, status: HTTPStatus, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class Request(NamedTuple):
    """Hold a request; names of headers are in lower case."""

    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]

    @property
    def host(self) -> str:
        """What the viewer calls this server: a name or address, and usually a port."""
        return self.headers.get("host", "")

    def cookie(self, name: str) -> str:
        """Return a cookie's value, "" without it."""
        for part in self.headers.get("cookie", "").split(";"):
            key, _, value = part.strip().partition("=")
            if key == name:
                return value
        return ""


class Response(NamedTuple):
    """Hold a whole answer. `cookie` is set as it stands."""

    status: HTTPStatus
    body: bytes
    content_type: str = "text/plain; charset=utf-8"
    cookie: str = ""

    def encode(self, host: str = "") -> bytes:
        """Return the bytes to send to a viewer that calls this server `host`."""
        lines = {"Content-Length": str(len(self.body)), "Content-Type": self.content_type}
        if self.cookie:
            lines["Set-Cookie"] = self.cookie
        if self.status is HTTPStatus.METHOD_NOT_ALLOWED:
            lines["Allow"] = "GET"
        return head(self.status, lines, host) + self.body


def policy(host: str) -> str:
    """Return the content security policy of a page that its viewer finds at `host`."""
    # Older Safaris do not count a web socket of the same host as 'self'.
    socket = f" ws://{host}" if host else ""
    return (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; "
        f"connect-src 'self'{socket}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


def head(status: HTTPStatus, headers: dict[str, str], host: str = "") -> bytes:
    """Return a response's status line and headers; the connection ends with its body."""
    lines = {"Connection": "close", **HEADERS, "Content-Security-Policy": policy(host), **headers}
    text = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"HTTP/1.1 {status.value} {status.phrase}\r\n{text}\r\n".encode("latin-1")


async def read_request(reader: asyncio.StreamReader) -> Request:
    """Read a request's head. Raises Refused for a bad one, and OSError if none comes in time."""
    try:
        data = await within(HEAD_TIMEOUT_S, reader.readuntil(b"\r\n\r\n"))
    except asyncio.LimitOverrunError:
        raise Refused(
            HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, f"send at most {MAX_HEAD_BYTES} bytes"
        ) from None
    except (asyncio.IncompleteReadError, asyncio.TimeoutError) as error:
        raise ConnectionError("no request came") from error
    return parse_request(data)


def parse_request(data: bytes) -> Request:
    """Return the request that `data`, a head with its empty line, asks for; or raise Refused."""
    line, *fields = data.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
    words = line.split(" ")
    if len(words) != 3 or words[2] not in ("HTTP/1.1", "HTTP/1.0"):
        raise Refused(HTTPStatus.BAD_REQUEST, "this is not HTTP/1.1")
    method, target, _ = words
    if method != "GET":
        raise Refused(HTTPStatus.METHOD_NOT_ALLOWED, "only GET is answered here")
    headers = _headers(fields)
    if headers.get("content-length", "0") != "0" or "transfer-encoding" in headers:
        raise Refused(HTTPStatus.BAD_REQUEST, "a GET has no body")
    try:
        parts = urlsplit(target)
        query = parse_qs(parts.query, max_num_fields=16)
    except ValueError:
        raise Refused(HTTPStatus.BAD_REQUEST, "this address cannot be read") from None
    if not target.startswith("/") or target.startswith("//"):
        raise Refused(HTTPStatus.BAD_REQUEST, "an address begins with one /")
    return Request(parts.path, query, headers)


def _headers(fields: list[str]) -> dict[str, str]:
    if len(fields) > MAX_HEADERS:
        raise Refused(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "too many headers")
    headers: dict[str, str] = {}
    for field in fields:
        name, colon, value = field.partition(":")
        if not colon or not name or name != name.strip() or "\n" in field or "\r" in field:
            raise Refused(HTTPStatus.BAD_REQUEST, "a header cannot be read")
        if name.lower() in headers and name.lower() in ("host", "origin", "content-length"):
            raise Refused(HTTPStatus.BAD_REQUEST, f"{name} is given twice")
        headers[name.lower()] = value.strip()
    return headers

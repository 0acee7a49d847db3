"""A request is read whole or refused; nothing that a stranger sends does anything else."""

from __future__ import annotations

from http import HTTPStatus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mejiro_runtime.sinks.web.http import MAX_HEADERS, Refused, Response, parse_request, policy


def request(line: str = "GET / HTTP/1.1", *headers: str) -> bytes:
    return "\r\n".join((line, *headers, "", "")).encode("latin-1")


def test_a_request_is_read() -> None:
    read = parse_request(
        request("GET /a?token=x&b= HTTP/1.1", "Host: here:80", "COOKIE: a=1; mejiro_1=abc; b=2")
    )
    assert (read.path, read.query, read.host) == ("/a", {"token": ["x"]}, "here:80")
    assert [read.cookie(name) for name in ("a", "mejiro_1", "b", "c")] == ["1", "abc", "2", ""]


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (request("POST / HTTP/1.1"), 405),
        (request("HEAD / HTTP/1.1"), 405),
        (request("GET / HTTP/2"), 400),
        (request("GET /"), 400),
        (request("GET  / HTTP/1.1"), 400),
        (request("GET http://other/ HTTP/1.1"), 400),
        (request("GET //other/x HTTP/1.1"), 400),
        (request("GET http://[ HTTP/1.1"), 400),
        (request("GET /?" + "a=1&" * 20 + " HTTP/1.1"), 400),
        (request("GET / HTTP/1.1", "no colon"), 400),
        (request("GET / HTTP/1.1", " folded: x"), 400),
        (request("GET / HTTP/1.1", "Host: a\nCookie: b"), 400),
        (request("GET / HTTP/1.1", "Host: a", "host: b"), 400),
        (request("GET / HTTP/1.1", "Content-Length: 5"), 400),
        (request("GET / HTTP/1.1", "Transfer-Encoding: chunked"), 400),
        (request("GET / HTTP/1.1", *(f"h{i}: 1" for i in range(MAX_HEADERS + 1))), 431),
    ],
)
def test_what_is_no_plain_get_is_refused(data: bytes, status: int) -> None:
    with pytest.raises(Refused) as refused:
        parse_request(data)
    assert refused.value.status == status


@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        read = parse_request(data + b"\r\n\r\n")
    except Refused:
        return
    assert read.path.startswith("/")


def test_every_response_carries_what_protects_it() -> None:
    text = Response(HTTPStatus.OK, b"hi", cookie="a=b; HttpOnly").encode("here:80").decode()
    head, _, body = text.partition("\r\n\r\n")
    headers = dict(line.split(": ", 1) for line in head.split("\r\n")[1:])
    assert body == "hi"
    assert headers["Cache-Control"] == "no-store"
    assert headers["Content-Length"] == "2"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Set-Cookie"] == "a=b; HttpOnly"
    rules = headers["Content-Security-Policy"].split("; ")
    assert rules[0] == "default-src 'none'"
    assert "frame-ancestors 'none'" in rules
    assert "connect-src 'self' ws://here:80" in rules
    assert "unsafe" not in policy("here")
    assert "Allow: GET\r\n" in Response(HTTPStatus.METHOD_NOT_ALLOWED, b"").encode().decode()

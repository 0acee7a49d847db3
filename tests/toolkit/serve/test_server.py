"""A site is served by real requests: types, compression, ranges, tags, names, tokens, reports."""

from __future__ import annotations

import gzip
import hashlib
import http.client
import json
import socket
import ssl
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mejiro.errors import ServeError
from mejiro.serve import (
    Received,
    ReportBox,
    ServeOptions,
    SiteServer,
    answers,
    own_identity,
    read_contents,
)
from mejiro.serve import server as serving
from mejiro.serve.gate import MAX_FAILURES_EACH_MINUTE
from tests.site_stand_in import REPORT, site_files, write_site

FILES = site_files()
WASM = "/engine/litert/litert.wasm"


POST = b"POST /api/reports HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"


class Answer(NamedTuple):
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def tag(self) -> str:
        return self.headers["ETag"]


def ask(
    server: SiteServer,
    path: str,
    method: str = "GET",
    *,
    body: bytes | None = None,
    tls: ssl.SSLContext | None = None,
    **headers: str,
) -> Answer:
    if tls is None:
        link = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    else:
        link = http.client.HTTPSConnection("127.0.0.1", server.port, timeout=10, context=tls)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    link.request(method, path, body=body, headers=named)
    answer = link.getresponse()
    found = Answer(answer.status, answer.headers, answer.read())
    link.close()
    return found


@pytest.fixture(scope="module")
def received() -> list[Received]:
    return []


@pytest.fixture(scope="module")
def server(
    tmp_path_factory: pytest.TempPathFactory, received: list[Received]
) -> Iterator[SiteServer]:
    folder = tmp_path_factory.mktemp("served")
    options = ServeOptions(
        reports=ReportBox(folder / "reports", each_minute=10_000, limit=100_000),
        on_report=received.append,
    )
    with SiteServer(read_contents(write_site(folder / "site")), options) as one:
        yield one


def test_every_listed_file_is_served_and_nothing_else(server: SiteServer) -> None:
    assert ask(server, "/").body == FILES["index.html"]
    for path, body in FILES.items():
        answer = ask(server, f"/{path}")
        assert (answer.status, answer.body) == (200, body)
        assert answer.headers["Content-Length"] == str(len(body))
    assert json.loads(ask(server, "/site.json").body)["name"] == "birds"
    for path in ("/nothing", "/js", "/js/", "//index.html", "/index.html/", "/INDEX.HTML"):
        assert ask(server, path).status == 404


@pytest.mark.parametrize(
    "path", ["/../site/site.json", "/js/../../x", "/%2e%2e/x", "/..%2fx", "/js%5c..%5cx", "/%00"]
)
def test_no_path_leaves_the_site(server: SiteServer, path: str) -> None:
    assert ask(server, path).status in (400, 404)


def test_a_page_is_isolated_and_may_run_its_own_files_alone(server: SiteServer) -> None:
    for path in ("/", "/nothing", "/api/host"):
        headers = ask(server, path).headers
        assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
        assert headers["Cross-Origin-Embedder-Policy"] == "require-corp"
        assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "no-referrer"
        policy = headers["Content-Security-Policy"]
        assert "script-src 'self' 'wasm-unsafe-eval';" in policy
        assert "unsafe-inline" not in policy
    assert ask(server, "/").headers["Cache-Control"] == "no-cache"


def test_a_file_is_compressed_once(server: SiteServer, monkeypatch: pytest.MonkeyPatch) -> None:
    times: list[int] = []

    def count(body: bytes) -> bytes | None:
        times.append(len(body))
        return gzip.compress(body, mtime=0)

    monkeypatch.setattr(answers, "pack", count)
    # What other tests asked for is kept; this server is new.
    with SiteServer(server.contents) as fresh:
        for _ in range(3):
            answer = ask(fresh, WASM, Accept_Encoding="br, gzip")
            assert answer.headers["Content-Encoding"] == "gzip"
            assert answer.headers["Vary"] == "Accept-Encoding"
            assert answer.headers["Content-Type"] == "application/wasm"
            assert int(answer.headers["Content-Length"]) == len(answer.body) < 1000
            assert gzip.decompress(answer.body) == FILES[WASM[1:]]
        assert ask(fresh, WASM, Accept_Encoding="gzip;q=0").body == FILES[WASM[1:]]
    assert times == [4000]


def test_what_gzip_does_not_help_is_sent_as_it_is(server: SiteServer) -> None:
    answer = ask(server, "/sw.js", Accept_Encoding="gzip")
    assert answer.headers["Content-Encoding"] is None
    assert answer.body == FILES["sw.js"]


def test_an_unchanged_file_is_not_sent_again(server: SiteServer) -> None:
    plain, packed = ask(server, WASM), ask(server, WASM, Accept_Encoding="gzip")
    assert plain.tag == f'"{hashlib.sha256(plain.body).hexdigest()[:32]}"'
    assert packed.tag != plain.tag
    again = ask(server, WASM, If_None_Match=plain.tag)
    assert (again.status, again.body, again.tag) == (304, b"", plain.tag)
    assert again.headers["Vary"] == "Accept-Encoding"
    assert ask(server, WASM, Accept_Encoding="gzip", If_None_Match=packed.tag).status == 304
    assert ask(server, WASM, Accept_Encoding="gzip", If_None_Match=plain.tag).status == 200
    assert ask(server, WASM, If_None_Match='"other"').status == 200


def test_a_range_is_one_of_the_file_itself(server: SiteServer) -> None:
    body = FILES["model/birds-int8.tflite"]
    path = "/model/birds-int8.tflite"
    part = ask(server, path, Range="bytes=10-19", Accept_Encoding="gzip")
    assert (part.status, part.body) == (206, body[10:20])
    assert part.headers["Content-Range"] == f"bytes 10-19/{len(body)}"
    assert part.headers["Content-Encoding"] is None
    assert ask(server, path, Range="bytes=-5").body == body[-5:]
    beyond = ask(server, path, Range="bytes=999999-")
    assert (beyond.status, beyond.headers["Content-Range"]) == (416, f"bytes */{len(body)}")
    whole = ask(server, path, Range="bytes=10-19", If_Range='"another version"')
    assert (whole.status, whole.body) == (200, body)
    assert ask(server, path, Range="bytes=10-19", If_Range=part.tag).status == 206


def test_head_sends_no_body(server: SiteServer) -> None:
    answer = ask(server, WASM, "HEAD")
    assert (answer.status, answer.body) == (200, b"")
    assert answer.headers["Content-Length"] == str(len(FILES[WASM[1:]]))
    refused = ask(server, "/", "DELETE")
    assert (refused.status, refused.headers["Allow"]) == (405, "GET, HEAD")


def test_a_foreign_name_or_page_is_refused(server: SiteServer) -> None:
    port = server.port
    assert ask(server, "/", Host=f"localhost:{port}").status == 200
    assert ask(server, "/", Host=f"[::1]:{port}").status == 200
    assert ask(server, "/", Host="evil.example").status == 421
    assert ask(server, "/", Host=f"192.0.2.1:{port}").status == 421
    assert ask(server, "/", Origin="http://evil.example").status == 403
    assert ask(server, "/", Sec_Fetch_Site="cross-site", Sec_Fetch_Mode="no-cors").status == 403
    assert ask(server, "/", Sec_Fetch_Site="cross-site", Sec_Fetch_Mode="navigate").status == 200


def post(server: SiteServer, body: bytes, **headers: str) -> Answer:
    headers = {"Content_Type": "application/json", **headers}
    return ask(server, "/api/reports", "POST", body=body, **headers)


def test_a_report_comes_home(server: SiteServer, received: list[Received]) -> None:
    host = json.loads(ask(server, "/api/host").body)
    assert host["reports"] is True
    assert host["site"] == server.contents.version
    count = len(received)
    answer = post(server, json.dumps(REPORT).encode())
    assert answer.status == 201
    name = json.loads(answer.body)["saved"]
    assert "/" not in name
    assert received[count].path.name == name
    assert json.loads(received[count].path.read_text()) == REPORT


def test_what_is_no_report_is_refused(server: SiteServer) -> None:
    sent = json.dumps(REPORT).encode()
    cases = [
        (post(server, b"{}"), 400),
        (post(server, b" " * (1 << 20) + sent), 413),
        (post(server, sent, Content_Type="text/plain"), 415),
        (post(server, sent, Origin="http://evil.example"), 403),
        (post(server, sent, Host="evil.example"), 421),
        (ask(server, "/api/reports"), 405),
        (ask(server, "/api/other"), 404),
        (ask(server, "/api/host", "POST", body=b""), 405),
    ]
    for answer, status in cases:
        assert answer.status == status
        assert set(json.loads(answer.body)) == {"error"}
        assert "\n" not in json.loads(answer.body)["error"]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(st.binary(max_size=300))
def test_any_body_is_answered(server: SiteServer, body: bytes) -> None:
    assert post(server, body).status == 400


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(st.binary(min_size=1, max_size=80))
def test_any_request_line_is_answered_or_dropped(server: SiteServer, line: bytes) -> None:
    head = b"GET /" + line.replace(b"\r\n", b"") + b" HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as plug:
        plug.sendall(head)
        plug.shutdown(socket.SHUT_WR)
        answer = b"".join(iter(lambda: plug.recv(65536), b""))
    assert not answer or answer.split(b" ")[1] in (b"400", b"404", b"200", b"421", b"414", b"303")
    assert ask(server, "/").status == 200


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"garbage\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        (b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
        (POST + b"Content-Encoding: gzip\r\nContent-Length: 5\r\n\r\nhello", 400),
        (POST + b"Transfer-Encoding: chunked\r\n\r\nZZ\r\n", 400),
        (POST + b"Content-Length: 1000\r\n\r\n{", 408),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nCookie: \xff=\xff\r\n\r\n", 200),
    ],
)
def test_a_bad_request_is_answered_and_no_defect(
    server: SiteServer,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    request_: bytes,
    status: int,
) -> None:
    monkeypatch.setattr(serving, "BODY_TIMEOUT_S", 0.2)
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as plug:
        plug.sendall(request_)
        answer = plug.recv(65536)
    assert answer.split(b" ")[1] == str(status).encode()
    # And one that hangs up in the middle.
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as plug:
        plug.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        plug.sendall(POST + b"Content-Length: 1000\r\n\r\n{")
    assert ask(server, "/").status == 200
    assert caplog.records == []


def test_without_a_box_there_are_no_reports(server: SiteServer) -> None:
    with SiteServer(server.contents) as other:
        assert json.loads(ask(other, "/api/host").body)["reports"] is False
        assert post(other, json.dumps(REPORT).encode()).status == 404


def test_a_taken_port_is_told(server: SiteServer) -> None:
    with pytest.raises(ServeError, match=f"cannot listen on 127.0.0.1:{server.port}"):
        SiteServer(server.contents, ServeOptions(port=server.port))


@pytest.fixture
def beyond(server: SiteServer, tmp_path: Path) -> Iterator[tuple[SiteServer, ssl.SSLContext]]:
    identity = own_identity(["localhost", "127.0.0.1"], tmp_path)
    trusting = ssl.create_default_context(cafile=identity.certificate)
    options = ServeOptions(
        host="0.0.0.0", tls=identity.context(), reports=ReportBox(tmp_path / "reports")
    )
    with SiteServer(server.contents, options) as one:
        yield one, trusting


def test_beyond_this_machine_there_is_tls_and_a_token(
    beyond: tuple[SiteServer, ssl.SSLContext],
) -> None:
    server, tls = beyond
    url, _, token = server.url.partition("/?token=")
    assert url.startswith("https://")
    assert len(token) >= 22
    refused = ask(server, "/", tls=tls)
    assert (refused.status, b"with its token" in refused.body) == (401, True)
    entered = ask(server, f"/?report=auto&token={token}&frames=5", tls=tls)
    assert (entered.status, entered.headers["Location"]) == (303, "/?report=auto&frames=5")
    cookie = entered.headers["Set-Cookie"]
    assert "HttpOnly; SameSite=Strict; Path=/; Secure" in cookie
    assert token not in cookie
    cookie = cookie.partition(";")[0]
    assert ask(server, "/", tls=tls, Cookie=cookie).body == FILES["index.html"]
    origin = f"https://127.0.0.1:{server.port}"
    sent: dict[str, Any] = {"body": json.dumps(REPORT).encode(), "tls": tls, "Origin": origin}
    path, kind = "/api/reports", "application/json"
    assert ask(server, path, "POST", Content_Type=kind, **sent).status == 401
    assert ask(server, path, "POST", Content_Type=kind, Cookie=cookie, **sent).status == 201
    sent["Origin"] = origin.replace("https", "http")
    assert ask(server, path, "POST", Content_Type=kind, Cookie=cookie, **sent).status == 403
    assert ask(server, "/app.webmanifest", tls=tls).status == 200
    assert ask(server, f"//evil.example/?token={token}", tls=tls).status == 404


def test_wrong_tokens_are_few_in_a_minute(beyond: tuple[SiteServer, ssl.SSLContext]) -> None:
    server, tls = beyond
    for _ in range(MAX_FAILURES_EACH_MINUTE):
        assert ask(server, "/?token=wrong", tls=tls).status == 401
    assert ask(server, "/?token=wrong", tls=tls).status == 429
    assert ask(server, f"/?token={server.access.token}", tls=tls).status == 429


def test_beyond_this_machine_a_certificate_is_needed(server: SiteServer) -> None:
    with pytest.raises(ServeError, match="takes a certificate"):
        SiteServer(server.contents, ServeOptions(host="0.0.0.0"))

"""The server answers those who may look, bounds what anyone can take, and ends with the run."""

from __future__ import annotations

import http.client
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from typing import Any

import numpy as np
import pytest

from mejiro_runtime.errors import MejiroError
from mejiro_runtime.sinks.web import http as web_http
from mejiro_runtime.sinks.web import server as module
from mejiro_runtime.sinks.web import viewers
from mejiro_runtime.sinks.web.access import Access, Address
from mejiro_runtime.sinks.web.hub import BACKLOG, Latest
from mejiro_runtime.sinks.web.sink import WebSink
from mejiro_runtime.types import Frame, PixelOrder, Result, Timing

WAIT_S = 30  # far beyond what any of this takes; only a hang reaches it
TOKEN = "0123456789abcdefghij"
UPGRADE = {
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}


def get(port: int, path: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=WAIT_S)) as connection:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request("GET", path, headers=named)
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read()


def say(port: int, data: bytes) -> bytes:
    """Send bytes and return all that comes back until the server hangs up."""
    with closing(socket.create_connection(("127.0.0.1", port), timeout=WAIT_S)) as plug:
        plug.sendall(data)
        pieces = []
        while piece := plug.recv(65536):
            pieces.append(piece)
        return b"".join(pieces)


class Viewer:
    """Open a web socket by hand and read what comes."""

    def __init__(self, port: int, host: str = "localhost", **headers: str) -> None:
        self.plug = socket.create_connection(("127.0.0.1", port), timeout=WAIT_S)
        lines = {"Host": f"{host}:{port}", **UPGRADE, **headers}
        head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        self.plug.sendall(f"GET /live HTTP/1.1\r\n{head}\r\n".encode())
        self.stream = self.plug.makefile("rb")
        self.status = int(self.stream.readline().split()[1])
        while self.stream.readline().strip():
            pass

    def read(self) -> tuple[int, bytes]:
        kind, size = self.stream.read(2)
        if size >= 126:
            size = int.from_bytes(self.stream.read(2 if size == 126 else 8), "big")
        return kind & 0x0F, self.stream.read(size)

    def read_until(self, wanted: Callable[[int, Any], bool]) -> Any:
        until = time.monotonic() + WAIT_S
        while time.monotonic() < until:
            kind, payload = self.read()
            value = json.loads(payload) if kind == 1 else payload
            if wanted(kind, value):
                return value
        raise AssertionError("it never came")

    def say(self, text: bytes, kind: int = 1) -> None:
        self.plug.sendall(bytes([0x80 | kind, 0x80 | len(text)]) + bytes(4) + text)

    def close(self) -> None:
        self.stream.close()
        self.plug.close()


@pytest.fixture
def view() -> Iterator[Callable[..., Viewer]]:
    with ExitStack() as stack:
        yield lambda port, **more: stack.enter_context(closing(Viewer(port, **more)))


def test_the_page_and_its_files_are_served_and_nothing_else(studio) -> None:
    port = studio().port
    for path, kind in (
        ("/", "text/html"),
        ("/page.js", "text/javascript"),
        ("/style.css", "text/css"),
        ("/icon.svg", "image/svg+xml"),
    ):
        status, headers, body = get(port, path)
        assert status == 200, path
        assert headers["Content-Type"].startswith(kind)
        assert "script-src 'self'" in headers["Content-Security-Policy"]
        assert body
    for path in ("/page", "/page/index.html", "/../server.py", "/%2e%2e/server.py", "/style.css/"):
        assert get(port, path)[0] == 404, path


def test_the_page_holds_no_inline_code_and_names_no_other_site(studio) -> None:
    port = studio().port
    page = get(port, "/")[2].decode()
    for path in ("/", "/page.js", "/style.css"):
        text = get(port, path)[2].decode().replace("http://www.w3.org/2000/svg", "")
        assert "http://" not in text, path
        assert "https://" not in text, path
    assert "<style" not in page
    assert " style=" not in page
    assert "<script>" not in page
    assert " on" not in "".join(part.split(">")[0] for part in page.split("<")).replace("once", "")


def test_foreign_hosts_and_origins_are_refused(studio) -> None:
    port = studio().port
    assert get(port, "/", Host="evil.example")[0] == 421
    assert get(port, "/", Origin="http://evil.example")[0] == 403
    assert get(port, "/", Origin=f"http://127.0.0.1:{port}")[0] == 200


def test_a_socket_of_a_foreign_page_is_refused(studio, view) -> None:
    port = studio().port
    assert view(port, Origin="http://evil.example").status == 403
    assert view(port, Origin=f"http://localhost:{port}").status == 101


def test_only_get_is_answered_and_heads_are_bounded(studio) -> None:
    port = studio().port
    assert say(port, b"POST / HTTP/1.1\r\nHost: localhost\r\n\r\n").startswith(b"HTTP/1.1 405 ")
    long = b"GET / HTTP/1.1\r\nX: " + b"a" * 20_000 + b"\r\n\r\n"
    assert say(port, long).startswith((b"HTTP/1.1 431 ", b""))
    assert say(port, b"\x16\x03\x01 hello\r\n\r\n").startswith(b"HTTP/1.1 400 ")
    assert get(port, "/")[0] == 200


def test_who_says_nothing_is_let_go(studio, monkeypatch) -> None:
    monkeypatch.setattr(web_http, "HEAD_TIMEOUT_S", 0.05)
    assert say(studio().port, b"GET / HT") == b""


def test_other_machines_need_the_token(studio, view) -> None:
    port = studio("0.0.0.0", token=TOKEN).port
    paths = ("/", "/page.js", "/live", "/stream.mjpg", "/snapshot.jpg", "/metrics")
    for path in paths:
        status, headers, body = get(port, path)
        assert status == 401, path
        assert b"terminal" in body
        assert "Set-Cookie" not in headers
    assert get(port, "/?token=wrong")[0] == 401
    status, headers, _ = get(port, f"/?token={TOKEN}")
    assert status == 200
    cookie = headers["Set-Cookie"].partition(";")[0]
    assert get(port, "/page.js", Cookie=cookie)[0] == 200
    assert get(port, "/metrics", Authorization=f"Bearer {TOKEN}")[0] == 200
    assert get(port, "/", Cookie=cookie, Host=f"device.local:{port}")[0] == 200
    assert get(port, "/", Cookie=cookie, Host="evil.example")[0] == 421
    assert view(port).status == 401
    assert view(port, Cookie=cookie).status == 101


def test_a_viewer_gets_state_pictures_and_what_was_seen_in_them(studio, view, cv2) -> None:
    page = studio(bundle="birds", dropped={"a newer frame came": 3})
    page.show()
    viewer = view(page.port)
    facts = viewer.read_until(lambda kind, value: kind == 1 and "facts" in value)
    assert facts["facts"] == {"bundle": "birds", "dropped": {"a newer frame came": 3}}
    page.show(label="目白")
    seen = viewer.read_until(lambda kind, value: kind == 1 and "seen" in value)["seen"]
    assert seen["size"] == [64, 48]
    picture = viewer.read_until(lambda kind, value: kind == 2)
    decoded = cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_COLOR)
    assert decoded.shape == (48, 64, 3)
    assert decoded[30, 30, 2] > 150 > decoded[30, 30, 0]  # the square is red, as in the frame
    # Until the page asks, nothing but state comes.
    page.show()
    for _ in range(3):
        live = viewer.read_until(lambda kind, value: kind != 1 or "live" in value)
        assert isinstance(live, dict)
    viewer.say(b"next")
    assert viewer.read_until(lambda kind, value: kind == 2)[:2] == b"\xff\xd8"
    viewer.say(b"hello", kind=9)
    assert viewer.read_until(lambda kind, value: kind == 10) == b"hello"


def test_the_map_is_switched_on_and_goes_off_with_the_last_viewer(studio, view) -> None:
    page = studio()
    page.show(heat=True)
    viewer = view(page.port)
    viewer.say(b"explain on")
    told = viewer.read_until(
        lambda kind, value: kind == 1 and "explain" in value and value["explain"]["on"]
    )["explain"]
    assert told["offered"]
    assert page.explained == [True]
    viewer.say(b"next")
    page.show(heat=True)
    viewer.read_until(
        lambda kind, value: kind == 1 and "explain" in value and value["explain"]["map_ms"] == 0.08
    )
    viewer.close()
    wait_until(lambda: page.explained == [True, False])


def wait_until(true: Callable[[], bool]) -> None:
    until = time.monotonic() + WAIT_S
    while not true():
        assert time.monotonic() < until, "never true"
        time.sleep(0.01)


def test_programs_can_read_a_stream_of_jpeg(studio) -> None:
    page = studio()
    page.show()
    with closing(http.client.HTTPConnection("127.0.0.1", page.port, timeout=WAIT_S)) as client:
        client.request("GET", "/stream.mjpg")
        answer = client.getresponse()
        kind, _, boundary = answer.getheader("Content-Type", "").partition("; boundary=")
        assert kind == "multipart/x-mixed-replace"
        for _ in range(2):
            assert answer.readline() == f"--{boundary}\r\n".encode()
            assert answer.readline() == b"Content-Type: image/jpeg\r\n"
            size = int(answer.readline().split()[1])
            assert answer.readline() == b"\r\n"
            picture = answer.read(size)
            assert picture.startswith(b"\xff\xd8")
            assert picture.endswith(b"\xff\xd9")
            assert answer.readline() == b"\r\n"
            page.show()


def test_a_snapshot_is_the_whole_frame_with_nothing_drawn(studio, cv2) -> None:
    page = studio()
    assert get(page.port, "/snapshot.jpg")[0] == 404
    page.show()
    status, headers, body = get(page.port, "/snapshot.jpg")
    assert (status, headers["Content-Type"]) == (200, "image/jpeg")
    decoded = cv2.imdecode(np.frombuffer(body, np.uint8), cv2.IMREAD_COLOR)
    assert np.abs(decoded[:8].astype(int) - (200, 40, 20)).max() < 25


def test_metrics_count_every_frame(studio) -> None:
    page = studio()
    for _ in range(5):
        page.show()
    status, headers, body = get(page.port, "/metrics")
    assert (status, headers["Content-Type"].split(";")[0]) == (200, "text/plain")
    assert b"\nmejiro_frames_total 5\n" in body
    assert b'\nmejiro_stage_seconds_count{stage="infer"} 5\n' in body


def test_nothing_is_drawn_while_nobody_watches(studio, monkeypatch) -> None:
    drawn: list[int] = []
    monkeypatch.setattr(
        "mejiro_runtime.sinks.web.hub.Hub._draw",
        lambda self, frame, result: drawn.append(1) or b"x",
    )
    page = studio()
    for _ in range(3):
        page.show()
        get(page.port, "/metrics")
    assert drawn == []


def test_viewers_are_bounded(studio, view, monkeypatch) -> None:
    monkeypatch.setattr(module, "MAX_VIEWERS", 2)
    port = studio().port
    first = view(port)
    assert [first.status, view(port).status] == [101, 101]
    assert view(port).status == 503
    first.close()
    until = time.monotonic() + WAIT_S
    while view(port).status != 101:
        assert time.monotonic() < until


def test_a_hundred_viewers_that_never_read_keep_nobody_out(studio, monkeypatch) -> None:
    monkeypatch.setattr(viewers, "SEND_TIMEOUT_S", 0.1)
    monkeypatch.setattr(module, "SEND_BUFFER_BYTES", 4096)
    page = studio()
    with ExitStack() as stack:
        for _ in range(100):
            plug = stack.enter_context(closing(socket.socket()))
            plug.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            plug.connect(("127.0.0.1", page.port))
            plug.sendall(b"GET /stream.mjpg HTTP/1.1\r\nHost: localhost\r\n\r\n")
        # Those whose streams are full are let go, and then a picture can be had.
        until = time.monotonic() + WAIT_S
        status = 0
        while status != 200 and time.monotonic() < until:
            page.show()
            time.sleep(0.02)
            try:
                status = get(page.port, "/icon.svg")[0]
            except OSError:
                continue
        assert status == 200
        wait_until(lambda: page.show() or viewers_of(page) == 0)


def viewers_of(page: Any) -> int:
    try:
        body = get(page.port, "/metrics")[2].decode()
        return int(body.split("\nmejiro_viewers ")[1].split("\n")[0])
    except (OSError, IndexError):
        return -1


def test_closing_ends_every_thread_and_tells_viewers(studio, view, caplog, capfd) -> None:
    page = studio()
    page.show()
    viewer = view(page.port)
    viewer.read()
    page.sink.close()
    assert viewer.read_until(lambda kind, value: kind == 8) == (1001).to_bytes(2, "big")
    assert not [thread for thread in threading.enumerate() if thread.name == "web"]
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", page.port), timeout=WAIT_S)
    page.sink.close()  # again does no harm
    assert (caplog.text, capfd.readouterr().err) == ("", "")


def test_closing_is_heard_whatever_viewers_are_about_to_do(studio, view, monkeypatch) -> None:
    monkeypatch.setattr("mejiro_runtime.sinks.web.hub.TICK_S", 0.002)
    for _ in range(15):
        page = studio()
        for _ in range(3):
            view(page.port)
        page.show()
        page.sink.close()
        assert not [thread for thread in threading.enumerate() if thread.name == "web"]


def test_the_same_address_can_be_taken_again_at_once(studio, view) -> None:
    page = studio()
    view(page.port).read()
    page.sink.close()
    again = WebSink(Access(Address("127.0.0.1", page.port)))
    again.close()


def test_an_address_in_use_is_told(studio) -> None:
    port = studio().port
    with pytest.raises(MejiroError, match=rf"cannot listen on 127.0.0.1:{port}: .*--web"):
        WebSink(Access(Address("127.0.0.1", port)))
    with pytest.raises(MejiroError, match="cannot listen on no.such.host.invalid:1"):
        WebSink(Access(Address("no.such.host.invalid", 1), TOKEN))


def test_what_fails_while_drawing_is_told_and_ends_nothing(studio, view) -> None:
    page = studio()
    viewer = view(page.port)
    pixels = np.zeros((4, 4, 3), np.float64)  # no picture that OpenCV can encode
    frame = Frame(pixels, PixelOrder.BGRA, 0, 0, 0)  # type: ignore[arg-type]
    page.sink.show(frame, Result(0, "", (), Timing(1, 1, 1, 1, 1)))
    viewer.read_until(lambda kind, value: kind == 1 and "error" in value.get("live", {}))
    page.show()
    assert viewer.read_until(lambda kind, value: kind == 2).startswith(b"\xff\xd8")


def test_what_is_shown_is_kept_by_reference_and_bounded() -> None:
    latest = Latest()
    frame = Frame(np.zeros((2, 2, 3), np.uint8), PixelOrder.BGR, 0, 0, 0)
    result = Result(0, "", (), Timing(1, 2, 3, 4, 5))
    for _ in range(BACKLOG + 10):
        latest.put(frame, result)
    assert latest.newest is not None
    assert latest.newest[0] is frame
    assert latest.shown == BACKLOG + 10
    assert len(latest.take()) == BACKLOG
    assert latest.take() == []

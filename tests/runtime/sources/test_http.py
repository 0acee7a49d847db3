"""A stream over HTTP gives its pictures, and one that breaks off is found again.

The camera is a server in a thread on this machine, told what to send for each connection.
"""

from __future__ import annotations

import base64
import io
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import islice
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mejiro_runtime.errors import SourceError, UsageError
from mejiro_runtime.model import Model
from mejiro_runtime.pipeline import Pipeline
from mejiro_runtime.sources import http, open_source, outages_of, reconnecting
from mejiro_runtime.sources.http import HttpSource
from mejiro_runtime.sources.jpeg import UNREADABLE
from mejiro_runtime.types import PixelOrder

WAIT_S = 30
Answer = Callable[[BaseHTTPRequestHandler], None]


class Camera:
    """Serve `answers`, one for each connection, the last one for all that follow."""

    def __init__(self) -> None:
        camera = self
        self.answers: list[Answer] = []
        self.asked: list[Any] = []
        self.leaving = threading.Event()

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                camera.asked.append((self.path, dict(self.headers)))
                answer = camera.answers.pop(0) if len(camera.answers) > 1 else camera.answers[0]
                try:
                    answer(self)
                except OSError:
                    pass  # the reader has gone

            def log_message(self, *words: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        self.thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}/video"

    def close(self) -> None:
        self.leaving.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join(WAIT_S)


@pytest.fixture
def camera(cv2) -> Iterator[Camera]:
    found = Camera()
    yield found
    found.close()


def jpeg(cv2: Any, brightness: int) -> bytes:
    return bytes(cv2.imencode(".jpg", np.full((48, 64, 3), brightness, np.uint8))[1])


def stream(*parts: bytes, after: Callable[[], Any] = lambda: None) -> Answer:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        handler.end_headers()
        for part in parts:
            handler.wfile.write(b"--frame\r\nContent-Length: %d\r\n\r\n" % len(part))
            handler.wfile.write(part + b"\r\n")
        handler.wfile.flush()
        after()

    return answer


def plain(code: int, kind: str = "text/html", body: bytes = b"hello", **headers: str) -> Answer:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(code)
        for name, value in {"Content-Type": kind, **headers}.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(body)

    return answer


def test_pictures_come_in_order(cv2, camera: Camera) -> None:
    camera.answers = [stream(*(jpeg(cv2, 40 * step) for step in range(4)))]
    with HttpSource.parse(camera.url + "?quality=9#timeout=20") as source:
        frames = list(islice(source.frames(), 4))
        assert source.timeout_s == 20
        assert source.description == camera.url
    assert [frame.index for frame in frames] == [0, 1, 2, 3]
    assert [int(frame.pixels.mean()) for frame in frames] == pytest.approx([0, 40, 80, 120], abs=2)
    assert all(frame.pixels.shape == (48, 64, 3) for frame in frames)
    assert all(frame.order is PixelOrder.BGR and frame.capture_ns > 0 for frame in frames)
    assert camera.asked[0][0] == "/video?quality=9"


def test_pictures_may_be_decoded_at_a_fraction_of_their_size(cv2, camera: Camera) -> None:
    camera.answers = [stream(jpeg(cv2, 90))]
    with HttpSource.parse(camera.url + "#reduce=4") as source:
        frame = next(source.frames())
    assert frame.pixels.shape == (12, 16, 3)
    assert frame.pixels.mean() == pytest.approx(90, abs=2)


def test_a_stream_that_breaks_off_is_found_again(cv2, camera: Camera, monkeypatch) -> None:
    monkeypatch.setattr(reconnecting, "FIRST_WAIT_S", 0.001)
    one = jpeg(cv2, 90)
    cut = stream(one, one, one[:50])
    camera.answers = [stream(one, one), plain(503), plain(200), cut, stream(*[one] * 99)]
    source = open_source(camera.url)
    with source:
        frames = list(islice(source.frames(), 9))
    assert [frame.index for frame in frames] == list(range(9))
    outages = source.outages  # type: ignore[attr-defined]
    assert outages.count == 2
    assert "gives text/html, no MJPEG stream" in outages.newest[0].reason
    assert "30 pictures" not in outages.newest[1].reason


def test_a_stream_that_stalls_is_left(cv2, camera: Camera) -> None:
    camera.answers = [stream(jpeg(cv2, 9), after=lambda: camera.leaving.wait(WAIT_S))]
    with HttpSource.parse(camera.url + "#timeout=0.2") as source:
        frames = source.frames()
        next(frames)
        with pytest.raises(SourceError, match=r"gave 1 frames, then no picture came for 0\.2 s"):
            next(frames)


@pytest.mark.parametrize("part", [b"--frame\r\nContent-Length: 9999\r\n\r\n", b"--frame\r\nX: "])
def test_a_stream_that_drips_is_left(cv2, camera: Camera, part: bytes) -> None:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        stream(jpeg(cv2, 9))(handler)
        handler.wfile.write(part)
        while not camera.leaving.wait(0.02):
            handler.wfile.write(b"x")

    camera.answers = [answer]
    with HttpSource.parse(camera.url + "#timeout=0.3") as source:
        frames = source.frames()
        next(frames)
        with pytest.raises(SourceError, match=r"gave 1 frames, then no picture came for 0\.3 s"):
            next(frames)


@given(data=st.binary(max_size=300), pieces=st.integers(1, 50), sizes=st.lists(st.integers(1, 90)))
def test_lines_and_bytes_are_read_as_from_a_file(
    data: bytes, pieces: int, sizes: list[int]
) -> None:
    class Pieces(io.BytesIO):
        def read1(self, size: int | None = -1, /) -> bytes:
            return self.read(min(size or 0, pieces))

    expected, found = io.BytesIO(data), http._Timely(Pieces(data), WAIT_S)
    for size in sizes:
        assert found.readline(size) == expected.readline(size)
        some = found.read(size)
        assert some == expected.read(len(some))
        assert some or not expected.read(1)


def test_a_stall_does_not_keep_a_run_from_ending(cv2, camera: Camera, handmade) -> None:
    camera.answers = [stream(jpeg(cv2, 9), after=lambda: camera.leaving.wait(WAIT_S))]
    source = open_source(camera.url + f"#timeout={WAIT_S}")
    pipeline = Pipeline(source, Model(handmade.card(), handmade.backend()))
    with pipeline:
        next(pipeline.steps(1))
    # A thread that still read would have been left behind.
    assert pipeline._thread is not None
    assert not pipeline._thread.is_alive()
    outages = outages_of(source)
    assert outages is not None
    assert outages.count == 0
    HttpSource(camera.url).stop()  # not open: nothing to end


def test_what_is_no_picture_is_passed_over_up_to_a_limit(cv2, camera: Camera) -> None:
    good, bad = jpeg(cv2, 9), b"no picture"
    camera.answers = [stream(bad, good, b"", bad, good, *[bad] * UNREADABLE, good)]
    with HttpSource.parse(camera.url) as source:
        frames = source.frames()
        assert [next(frames).index, next(frames).index] == [0, 1]
        with pytest.raises(SourceError, match="2 frames, then 30 pictures running could not be"):
            next(frames)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (plain(404), "answers 404; is this the address"),
        (plain(401, WWW_Authenticate='Basic realm="x"'), "answers 401; give user and password"),
        (plain(200), "gives text/html, no MJPEG stream"),
        (plain(200, "image/jpeg"), "gives image/jpeg, no MJPEG stream"),
        (plain(302, Location="file:///etc/hostname"), "answers 302"),
        (lambda handler: handler.wfile.write(b"\0\xff" * 40 + b"\r\n"), "does not speak HTTP"),
        (lambda handler: None, "cannot be reached: Remote end closed"),
    ],
)
def test_what_is_no_stream_says_so_at_once(camera: Camera, answer: Answer, message: str) -> None:
    camera.answers = [answer]
    with pytest.raises(SourceError, match=message) as caught:
        open_source(camera.url).__enter__()
    assert "\n" not in str(caught.value)


def test_nobody_there(camera: Camera) -> None:
    camera.answers = [plain(200)]
    url = camera.url
    camera.close()
    with pytest.raises(SourceError, match="cannot be reached: Connection refused; check address"):
        open_source(url).__enter__()


def test_a_password_is_given_where_it_is_asked_for_and_never_shown(cv2, camera: Camera) -> None:
    ask = plain(401, WWW_Authenticate='Basic realm="camera"')
    camera.answers = [ask, stream(jpeg(cv2, 9))]
    with HttpSource.parse(camera.url.replace("//", "//mia:s%40cret@")) as source:
        next(source.frames())
    assert source.description == camera.url
    first, second = (headers.get("Authorization") for _, headers in camera.asked)
    assert first is None
    assert base64.b64decode(second.partition(" ")[2]) == b"mia:s@cret"
    camera.answers = [ask]
    with pytest.raises(SourceError) as caught:
        HttpSource.parse(camera.url.replace("//", "//mia:secret@")).__enter__()
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("text", ["http:", "http://", "http:///x", "http://[x", "http://a:99999/"])
def test_no_url(text: str) -> None:
    with pytest.raises(UsageError, match="http source is a URL with a host"):
        open_source(text)
    with pytest.raises(UsageError, match="no option of an http source; its options: timeout="):
        open_source("http://camera/#speed=9")


def test_reasons_are_short() -> None:
    assert http._reason(OSError(5, "Input/output error"), 1) == "Input/output error"
    assert http._reason(ValueError(), 1) == "ValueError"

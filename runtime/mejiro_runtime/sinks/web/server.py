"""Answer viewers from one thread with one event loop, whatever their number and speed."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import threading
from http import HTTPStatus
from pathlib import Path

from mejiro_runtime.errors import MejiroError
from mejiro_runtime.sinks.web import websocket
from mejiro_runtime.sinks.web.access import Access
from mejiro_runtime.sinks.web.http import MAX_HEAD_BYTES, Refused, Request, Response, read_request
from mejiro_runtime.sinks.web.hub import Hub
from mejiro_runtime.sinks.web.metrics import CONTENT_TYPE, exposition
from mejiro_runtime.sinks.web.viewers import PageViewer, send, serve_mjpeg

MAX_CONNECTIONS = 32
MAX_VIEWERS = 8
SEND_BUFFER_BYTES = 256 * 1024  # what waits in it only grows old
CLOSE_TIMEOUT_S = 5.0
NICENESS = 10

PAGE = Path(__file__).with_name("page")
# Nothing else of the disk is ever read: path -> file beside this module, and its type.
FILES = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
    "/style.css": ("style.css", "text/css; charset=utf-8"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
}


class Server:
    """Listen and answer until closed. Raises MejiroError if the address cannot be had."""

    def __init__(self, access: Access, hub: Hub) -> None:
        self._access, self._hub = access, hub
        self._socket = _listen(access)
        self.port: int = self._socket.getsockname()[1]
        self._connections: set[asyncio.Task[None]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._run, name="web", daemon=True)
        self._thread.start()
        self._started.wait()

    @property
    def url(self) -> str:
        """The address to open, its token included."""
        return self._access.url(self.port)

    def close(self) -> None:
        """Let every viewer go, and end the thread."""
        if self._loop is not None and self._stop is not None:
            # A loop that has ended by itself needs no telling.
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(CLOSE_TIMEOUT_S)

    def _run(self) -> None:
        # Viewers wait rather than the model: on Linux a thread has a priority of its own.
        with contextlib.suppress(OSError, AttributeError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
        try:
            asyncio.run(self._serve())
        finally:
            self._socket.close()
            self._started.set()

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        server = await asyncio.start_server(
            self._connected, sock=self._socket, limit=MAX_HEAD_BYTES
        )
        ticking = asyncio.ensure_future(self._hub.run())
        stopping = asyncio.ensure_future(self._stop.wait())
        self._started.set()
        try:
            await asyncio.wait((ticking, stopping), return_when=asyncio.FIRST_COMPLETED)
        finally:
            server.close()
            tasks = [ticking, stopping, *self._connections]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - for the type checker
        self._connections.add(task)
        try:
            await self._answer(reader, writer)
        except (OSError, asyncio.IncompleteReadError):
            pass  # the viewer has gone, which is no fault of anyone
        except asyncio.CancelledError:
            pass  # the run ends; this is the whole task, and asyncio would print a traceback
        finally:
            self._connections.discard(task)
            _let_go(writer)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        _bound(writer)
        request: Request | None = None
        try:
            if len(self._connections) > MAX_CONNECTIONS:
                raise Refused(HTTPStatus.SERVICE_UNAVAILABLE, "too many connections")
            request = await read_request(reader)
            self._access.check_names(request)
            response = await self._route(request, reader, writer)
        except Refused as refused:
            response = Response(refused.status, f"{refused}\n".encode())
        if response is not None:
            host = request.host if request and response.status is HTTPStatus.OK else ""
            await send(writer, response.encode(host))

    async def _route(
        self, request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> Response | None:
        """Return what answers `request`; None where a viewer was served."""
        cookie = self._access.admit(request)
        if cookie is None:
            raise Refused(
                HTTPStatus.UNAUTHORIZED,
                "Open the address that the terminal shows, with its token: it changes when a run "
                "starts anew, unless --web-token-file keeps it.",
            )
        path = request.path
        if path in FILES:
            name, kind = FILES[path]
            return Response(HTTPStatus.OK, (PAGE / name).read_bytes(), kind, cookie)
        if path in ("/live", "/stream.mjpg"):
            await self._view(request, reader, writer)
            return None
        if path == "/snapshot.jpg":
            picture = self._hub.snapshot()
            if picture is None:
                raise Refused(HTTPStatus.NOT_FOUND, "there was no frame yet")
            return Response(HTTPStatus.OK, picture, "image/jpeg")
        if path == "/metrics":
            hub = self._hub
            hub.count()
            page = exposition(hub.numbers, hub.latest.shown, hub.facts(), hub.viewers)
            return Response(HTTPStatus.OK, page, CONTENT_TYPE)
        raise Refused(HTTPStatus.NOT_FOUND, "there is nothing here")

    async def _view(
        self, request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        if self._hub.viewers >= MAX_VIEWERS:
            raise Refused(HTTPStatus.SERVICE_UNAVAILABLE, f"{MAX_VIEWERS} viewers watch already")
        greeting = websocket.accept(request) if request.path == "/live" else b""
        self._hub.enter()
        try:
            if greeting:
                await send(writer, greeting)
                await PageViewer(self._hub, reader, writer).serve()
            else:
                await serve_mjpeg(self._hub, writer)
        except asyncio.CancelledError:
            if greeting and not writer.is_closing():
                writer.write(websocket.encode_close(websocket.GOING_AWAY))
            raise
        finally:
            self._hub.leave()


def _listen(access: Access) -> socket.socket:
    address = access.address
    try:
        kind, *_, where = socket.getaddrinfo(
            address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        return socket.create_server(where[:2], family=kind, backlog=64)
    except OSError as error:
        raise MejiroError(
            f"cannot listen on {address.host}:{address.port}: {error.strerror or error}; "
            "give another address with --web HOST:PORT"
        ) from None


def _bound(writer: asyncio.StreamWriter) -> None:
    """Let neither the program nor the system pile up what a viewer does not take."""
    transport = writer.transport
    transport.set_write_buffer_limits(high=0)
    plug = writer.get_extra_info("socket")
    if plug is not None:
        plug.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
        plug.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _let_go(writer: asyncio.StreamWriter) -> None:
    """Close a connection; one whose viewer does not even take what is left, at once."""
    transport = writer.transport
    if transport.get_write_buffer_size():
        transport.abort()
    else:
        writer.close()

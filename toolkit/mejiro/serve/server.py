"""Serve a site from one thread with one event loop, until closed."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from mejiro import __version__
from mejiro.errors import ServeError
from mejiro.serve.answers import HEADERS, FileAnswers
from mejiro.serve.contents import Contents
from mejiro.serve.gate import Gate, without_token
from mejiro.serve.reports import MAX_REPORT_BYTES, Received, Refused, ReportBox
from mejiro_runtime.sinks.web.access import Access, Address
from mejiro_runtime.sinks.web.patience import within

if TYPE_CHECKING:
    from aiohttp import web

HOST_PATH, REPORTS_PATH = "/api/host", "/api/reports"
CLOSE_TIMEOUT_S = 5.0
SHUTDOWN_TIMEOUT_S = 1.0
BODY_TIMEOUT_S = 20.0


@dataclass(frozen=True)
class ServeOptions:
    """Hold how a site is served.

    `port` 0 lets the system choose. Beyond loopback `tls` is needed: a phone's browser gives a
    page its camera over HTTPS or from localhost alone. `reports` keeps what pages send home;
    `on_report` hears of each, in the server's thread.
    """

    host: str = "127.0.0.1"
    port: int = 0
    tls: ssl.SSLContext | None = None
    reports: ReportBox | None = None
    on_report: Callable[[Received], None] | None = None

    def __post_init__(self) -> None:
        if self.tls is None and not Address(self.host, self.port).loopback:
            raise ServeError(f"{self.host} is not this machine alone, and that takes a certificate")


class SiteServer:
    """Serve a site while the context is open; `url` is the address to open, its token included."""

    def __init__(self, contents: Contents, options: ServeOptions | None = None) -> None:
        self.contents, self.options = contents, options or ServeOptions()
        self._socket = _listen(self.options.host, self.options.port)
        self.port: int = self._socket.getsockname()[1]
        scheme = "http" if self.options.tls is None else "https"
        # The cookie's name holds the port, so the address must have the true one.
        self.access = Access.to(Address(self.options.host, self.port), scheme=scheme)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop = asyncio.Event()
        self._started: Future[None] = Future()
        self._thread = threading.Thread(target=self._run, name="serve", daemon=True)

    @property
    def url(self) -> str:
        """The address to open, its token included."""
        return self.access.url(self.port)

    def __enter__(self) -> SiteServer:
        self._thread.start()
        self._started.result()
        return self

    def __exit__(self, *_: object) -> None:
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(CLOSE_TIMEOUT_S)

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:
            if self._started.done():
                raise
            self._started.set_exception(error)
        finally:
            self._socket.close()

    async def _serve(self) -> None:
        from aiohttp import web

        self._loop = asyncio.get_running_loop()
        application = web.Application(
            client_max_size=MAX_REPORT_BYTES, middlewares=[_refusing, self._admitting]
        )
        routes = Routes(self.contents, self.options)
        application.router.add_route("*", "/{tail:.*}", routes.answer)
        runner = web.AppRunner(
            application,
            access_log=None,
            logger=_logger(),
            shutdown_timeout=SHUTDOWN_TIMEOUT_S,
            handle_signals=False,
        )
        await runner.setup()
        try:
            site = web.SockSite(runner, self._socket, ssl_context=self.options.tls)
            await site.start()
            self._started.set_result(None)
            await self._stop.wait()
        finally:
            await runner.cleanup()

    @property
    def _admitting(self) -> Any:
        from aiohttp import web

        gate = Gate(self.access)

        @web.middleware
        async def admit(request: web.Request, handler: Handler) -> web.StreamResponse:
            cookie = gate.check(request)
            if cookie and request.method == "GET" and self.contents.find(request.path):
                return web.Response(
                    status=HTTPStatus.SEE_OTHER,
                    headers={
                        "Location": without_token(request),
                        "Set-Cookie": cookie,
                        "Cache-Control": "no-store",
                    },
                )
            return await handler(request)

        return admit


def _logger() -> logging.Logger:
    """Return what aiohttp tells defects to; a stranger's bad request is none, and is answered."""
    from aiohttp import web
    from aiohttp.http_exceptions import HttpProcessingError

    strangers = (HttpProcessingError, web.RequestPayloadError, ConnectionError)

    def is_ours(record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        return not isinstance(error, strangers)

    logger = logging.getLogger(__name__)
    logger.filters[:] = [is_ours]
    return logger


Handler = Callable[["web.Request"], Awaitable["web.StreamResponse"]]


async def _answer_refusals(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Give every answer the headers, and a refusal its status and line, as JSON for the page."""
    from aiohttp import web

    response: web.StreamResponse
    try:
        response = await handler(request)
    except Refused as refused:
        response = _refusal(request, refused.status, str(refused))
    except web.HTTPException as error:
        response = _refusal(request, HTTPStatus(error.status), error.reason)
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    return response


def _refusal(request: web.Request, status: HTTPStatus, line: str) -> web.Response:
    from aiohttp import web

    headers = {"Cache-Control": "no-store"}
    if status is HTTPStatus.METHOD_NOT_ALLOWED:
        headers["Allow"] = "POST" if request.path == REPORTS_PATH else "GET, HEAD"
    if request.path.startswith("/api/"):
        return web.json_response({"error": line}, status=status, headers=headers)
    return web.Response(status=status, text=f"{line}\n", headers=headers)


# aiohttp tells a middleware by this mark, which its decorator sets; the decorator would need
# aiohttp while this module is read.
_answer_refusals.__middleware_version__ = 1  # type: ignore[attr-defined]
_refusing = _answer_refusals


class Routes:
    """Answer what a page asks for: files of the site, who serves it, and reports."""

    def __init__(self, contents: Contents, options: ServeOptions) -> None:
        self._contents, self._options = contents, options
        self._files = FileAnswers(contents)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Return the answer to a request that was admitted."""
        if request.path == HOST_PATH:
            return self._host(request)
        if request.path == REPORTS_PATH:
            return await self._take_report(request)
        return await self._files.answer(request)

    def _host(self, request: web.Request) -> web.Response:
        from aiohttp import web

        if request.method not in ("GET", "HEAD"):
            raise Refused(HTTPStatus.METHOD_NOT_ALLOWED, "only GET and HEAD are answered here")
        told = {
            "mejiro": __version__,
            "site": self._contents.version,
            "reports": self._options.reports is not None,
        }
        return web.json_response(told, headers={"Cache-Control": "no-store"})

    async def _take_report(self, request: web.Request) -> web.Response:
        from aiohttp import web

        box = self._options.reports
        if box is None:
            raise Refused(HTTPStatus.NOT_FOUND, "no reports are taken here")
        if request.method != "POST":
            raise Refused(HTTPStatus.METHOD_NOT_ALLOWED, "a report is sent with POST")
        # A form of another site's page cannot send this type without asking first.
        if request.content_type != "application/json":
            raise Refused(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "a report is application/json")
        try:
            body = await within(BODY_TIMEOUT_S, request.read())
        except asyncio.TimeoutError:
            raise Refused(HTTPStatus.REQUEST_TIMEOUT, "the report did not come in time") from None
        except web.RequestPayloadError:
            raise Refused(HTTPStatus.BAD_REQUEST, "the report cannot be read") from None
        received = await asyncio.to_thread(box.save, body)
        if self._options.on_report is not None:
            self._options.on_report(received)
        return web.json_response(
            {"saved": received.path.name},
            status=HTTPStatus.CREATED,
            headers={"Cache-Control": "no-store"},
        )


def _listen(host: str, port: int) -> socket.socket:
    try:
        kind, *_, where = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        return socket.create_server(where[:2], family=kind, backlog=64)
    except (OSError, OverflowError) as error:
        told = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise ServeError(
            f"cannot listen on {host}:{port}: {told}; name another with --host and --port"
        ) from None

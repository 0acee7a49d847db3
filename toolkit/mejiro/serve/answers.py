"""Answer requests for a site's files: compressed once, in ranges, with tags that tell a change."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from types import MappingProxyType
from typing import TYPE_CHECKING

from mejiro.serve.conditions import Unsatisfiable, names_tag, read_range, takes_gzip
from mejiro.serve.contents import Contents, Entry, pack
from mejiro.serve.reports import Refused

if TYPE_CHECKING:
    from aiohttp import web

# Threads in wasm need a page that is isolated from others, which the first two ask for. The
# policy lets the page run its own files, compile wasm, and show pictures that it made; no inline
# script, no other host. `no-cache` means: ask again each time, which the tags make cheap, so that
# a new site is seen at once, by the service worker too.
HEADERS = MappingProxyType(
    {
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Embedder-Policy": "require-corp",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Cache-Control": "no-cache",
        "Content-Security-Policy": (
            "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'; "
            "style-src 'self'; img-src 'self' blob:; media-src 'self' blob:; "
            "connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; "
            "frame-ancestors 'none'"
        ),
        "Permissions-Policy": (
            "camera=(self), screen-wake-lock=(self), geolocation=(), microphone=()"
        ),
        "Referrer-Policy": "no-referrer",
        "Server": "mejiro",
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
    }
)


class FileAnswers:
    """Answer GET and HEAD for the files of a site."""

    def __init__(self, contents: Contents) -> None:
        self._contents = contents
        self._packed: dict[str, asyncio.Future[bytes | None]] = {}

    async def answer(self, request: web.Request) -> web.Response:
        """Return a file, a range of it, or that it has not changed; Refused where there is none."""
        from aiohttp import web

        entry = self._contents.find(request.path)
        if entry is None:
            raise Refused(HTTPStatus.NOT_FOUND, "there is nothing here")
        if request.method not in ("GET", "HEAD"):
            raise Refused(HTTPStatus.METHOD_NOT_ALLOWED, "only GET and HEAD are answered here")
        ask = request.headers
        packed = None
        # A range of packed bytes is of no use to a player, so a range is one of the file itself.
        if "Range" not in ask and takes_gzip(ask.get("Accept-Encoding")):
            packed = await self._pack(entry)
        tag = f'"{entry.sha256[:32]}{"-gzip" if packed else ""}"'
        headers = {"ETag": tag, "Vary": "Accept-Encoding", "Accept-Ranges": "bytes"}
        if names_tag(ask.get("If-None-Match"), tag):
            return web.Response(status=HTTPStatus.NOT_MODIFIED, headers=headers)
        headers["Content-Type"] = entry.content_type
        if packed is not None:
            return web.Response(body=packed, headers={**headers, "Content-Encoding": "gzip"})
        return _whole_or_range(entry, headers, _asked_range(request, tag))

    async def _pack(self, entry: Entry) -> bytes | None:
        """Return the file compressed, or None if that is not worth it; the work is done once."""
        if entry.path not in self._packed:
            work = asyncio.get_running_loop().run_in_executor(None, pack, entry.body)
            self._packed[entry.path] = work
        return await asyncio.shield(self._packed[entry.path])


def _asked_range(request: web.Request, tag: str) -> str | None:
    """Return the Range header, unless If-Range says that it is of another version."""
    condition = request.headers.get("If-Range")
    if condition is not None and condition.strip() != tag:
        return None
    return request.headers.get("Range") if request.method == "GET" else None


def _whole_or_range(entry: Entry, headers: dict[str, str], asked: str | None) -> web.Response:
    from aiohttp import web

    size = len(entry.body)
    try:
        span = read_range(asked, size)
    except Unsatisfiable:
        return web.Response(
            status=HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE,
            headers={**headers, "Content-Range": f"bytes */{size}"},
        )
    if span is None:
        return web.Response(body=entry.body, headers=headers)
    headers = {**headers, "Content-Range": f"bytes {span[0]}-{span[1] - 1}/{size}"}
    part = entry.body[span[0] : span[1]]
    return web.Response(status=HTTPStatus.PARTIAL_CONTENT, body=part, headers=headers)

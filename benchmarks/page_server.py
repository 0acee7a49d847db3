"""Serve a site on loopback, isolated and compressed, and note what a browser asks for."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css",
    ".js": "text/javascript",
    ".mjs": "text/javascript",
    ".json": "application/json",
    ".wasm": "application/wasm",
    ".webmanifest": "application/manifest+json",
    ".svg": "image/svg+xml",
    ".png": "image/png",
}


@lru_cache(maxsize=256)
def compressed(path: Path) -> bytes:
    """Return a file's bytes as gzip, at the level that servers take for what they keep."""
    return gzip.compress(path.read_bytes(), 9, mtime=0)


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.folder = folder
        self.asked: set[str] = set()

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of browsers that hang up."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        name = self.path.split("?")[0].lstrip("/") or "index.html"
        path = self.server.folder / name
        if ".." in name or not path.is_file():
            self._answer(404, b"", "text/plain")
            return
        self.server.asked.add(name)
        tag = f'"{path.stat().st_mtime_ns:x}-{path.stat().st_size:x}"'
        if self.headers.get("If-None-Match") == tag:
            self._answer(304, b"", "", tag)
            return
        self._answer(200, compressed(path), TYPES.get(path.suffix, "application/octet-stream"), tag)

    def _answer(self, status: int, body: bytes, kind: str, tag: str = "") -> None:
        self.send_response(status)
        headers = {
            "Content-Length": str(len(body)),
            "Cross-Origin-Opener-Policy": "same-origin",
            "Cross-Origin-Embedder-Policy": "require-corp",
            "Cache-Control": "no-cache",
        }
        if status == 200:
            headers |= {"Content-Type": kind, "Content-Encoding": "gzip"}
        if tag:
            headers["ETag"] = tag
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def serving(folder: Path) -> Iterator[tuple[str, set[str]]]:
    """Serve `folder`; give its URL and the set of paths that are asked for, which grows."""
    with _Server(folder) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/", server.asked
        finally:
            server.shutdown()
            thread.join()

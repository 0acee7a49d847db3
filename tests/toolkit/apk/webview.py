"""Answer a browser from a package as the shell's SiteClient does within a WebView.

`test_shell.py` holds `answer` against the shell's own code.
"""

from __future__ import annotations

import re
import ssl
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from mejiro.apk.keys import certify
from mejiro.apk.template import sources

HOST = "appassets.androidplatform.net"


class Answer(NamedTuple):
    """Hold what a WebResourceResponse says."""

    status: int
    mime: str
    encoding: str | None
    body: bytes


def smali_text(name: str, begin: str) -> str:
    """Return the one constant of a class of the shell that begins with `begin`."""
    code = (sources() / "smali" / f"{name}.smali").read_text()
    [text] = re.findall(rf'const-string \w+, "({re.escape(begin)}.*)"$', code, flags=re.MULTILINE)
    return str(text)


def mime_types() -> dict[str, str]:
    """Return the types that the shell knows, by the end of a name."""
    return dict(entry.split("=") for entry in smali_text("MimeTypes", " css=").split())


def answer(assets: dict[str, bytes], url: str, method: str = "GET") -> Answer:
    """Return the answer to a request; `assets` are those of a package by their path."""
    parts = urlsplit(url)
    if (parts.scheme, parts.netloc) != ("https", HOST):
        return Answer(403, "text/plain", "utf-8", b"")
    if method != "GET":
        return Answer(405, "text/plain", "utf-8", b"")
    path = unquote(parts.path)
    name = f"site{path}index.html" if path.endswith("/") else f"site{path}"
    if ".." in path or name not in assets:
        return Answer(404, "text/plain", "utf-8", b"")
    mime = mime_types().get(name.rpartition(".")[2].lower(), "application/octet-stream")
    return Answer(200, mime, "utf-8" if mime.startswith("text/") else None, assets[name])


def assets_of(package: Path) -> dict[str, bytes]:
    """Return the assets of a package by their path."""
    with zipfile.ZipFile(package) as archive:
        return {
            name.removeprefix("assets/"): archive.read(name)
            for name in archive.namelist()
            if name.startswith("assets/")
        }


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(self, *arguments: object, assets: dict[str, bytes]) -> None:
        self._assets = assets
        super().__init__(*arguments)  # type: ignore[arg-type]

    def _answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        url = f"https://{self.headers['Host']}{self.path}"
        given = answer(self._assets, url, self.command)
        self.send_response(given.status)
        kind = given.mime if given.encoding is None else f"{given.mime}; charset={given.encoding}"
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(given.body)))
        if given.status == 200:
            self.send_header("Cache-Control", "no-cache")
            self.send_header("X-Content-Type-Options", "nosniff")
        self.end_headers()
        self.wfile.write(given.body)

    do_GET = do_POST = do_HEAD = _answer  # noqa: N815

    def log_message(self, format: str, *args: object) -> None:
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of browsers that hang up."""


@contextmanager
def serving_package(package: Path, folder: Path) -> Iterator[str]:
    """Serve a package's assets over HTTPS on loopback; gives "127.0.0.1:PORT".

    The certificate is made on the spot, in `folder`; a browser has to be told to take it.
    """
    private = ec.generate_private_key(ec.SECP256R1())
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    chain = folder / "server.pem"
    chain.write_bytes(pem + certify(private, HOST))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain)
    with _Server(("127.0.0.1", 0), partial(_Handler, assets=assets_of(package))) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()

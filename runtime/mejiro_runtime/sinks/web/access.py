"""Decide who may look: where to listen, by which names, with which token.

On a loopback address whoever can open it may look; a page of another site cannot, because it
would have to call this server by a name of its own (DNS rebinding) or say where it comes from.
Any other address demands a token.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import secrets
import socket
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path

from mejiro_runtime.errors import UsageError
from mejiro_runtime.sinks.web.http import Refused, Request

DEFAULT = "127.0.0.1:8080"
MIN_TOKEN = 16
MAX_TOKEN = 128
TOKEN_BYTES = 16


@dataclass(frozen=True)
class Address:
    """Say where to listen; `port` 0 lets the system choose one."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Address:
        """Read ``HOST:PORT``, ``HOST`` or ``:PORT``; brackets enclose an IPv6 address."""
        host, _, port = text.rpartition(":") if not text.endswith("]") else (text, "", "")
        if text and ":" not in text:
            host, port = (text, "") if not text.isdecimal() else ("", text)
        host = host.removeprefix("[").removesuffix("]") or "127.0.0.1"
        port = port or "8080"
        if not port.isdecimal() or int(port) > 65535 or len(port) > 5 or "/" in host:
            raise UsageError(f"--web takes HOST:PORT, found '{text}'; try {DEFAULT}")
        return cls(host, int(port))

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach it."""
        return is_loopback(self.host)


def is_loopback(host: str) -> bool:
    """Say whether a name or address without a port means the machine itself."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() in ("localhost", "localhost.")


def is_address(host: str) -> bool:
    """Say whether `host` is an IP address rather than a name."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def own_address(host: str) -> str:
    """Return an address that other machines can reach, where `host` means all of this one's."""
    if host not in ("0.0.0.0", "::"):  # noqa: S104 - compared, not listened on
        return host
    family, beyond = (
        (socket.AF_INET6, "2001:db8::1") if ":" in host else (socket.AF_INET, "192.0.2.1")
    )
    try:
        # Connecting a datagram socket sends nothing: it asks the routing table.
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((beyond, 9))
            return str(probe.getsockname()[0])
    except OSError:
        return socket.gethostname()


def new_token() -> str:
    """Return a token of 128 random bits."""
    return secrets.token_urlsafe(TOKEN_BYTES)


def read_token(path: Path) -> str:
    """Return the token that a file holds; raises UsageError if it is weak or not kept secret."""
    try:
        with path.open("rb") as stream:
            text = stream.read(1024).decode("ascii").strip()
        if path.stat().st_mode & 0o007:
            raise UsageError(
                f"{path} is open to every user of this machine; run `chmod 600 {path}`"
            )
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"the token file {path} cannot be read: {error}") from None
    if not MIN_TOKEN <= len(text) <= MAX_TOKEN or not set(text) <= _TOKEN_LETTERS:
        raise UsageError(
            f"{path} must hold one token of {MIN_TOKEN} to {MAX_TOKEN} letters, digits, - and _; "
            "make one with `python3 -c 'import secrets; print(secrets.token_urlsafe())'`"
        )
    return text


_TOKEN_LETTERS = set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_")


@dataclass(frozen=True)
class Access:
    """Check each request. Without a token only loopback names are answered to."""

    address: Address
    token: str | None = None
    names: frozenset[str] = field(default_factory=frozenset)
    scheme: str = "http"

    @classmethod
    def to(
        cls, address: Address, token_file: Path | None = None, *, scheme: str = "http"
    ) -> Access:
        """Return what `address` demands: a token, new or from a file, unless it is loopback."""
        if token_file is not None:
            token: str | None = read_token(token_file)
        else:
            token = None if address.loopback else new_token()
        own = socket.gethostname().lower()
        return cls(address, token, frozenset({address.host.lower(), own, f"{own}.local"}), scheme)

    def url(self, port: int) -> str:
        """Return the address to open, its token included."""
        host = own_address(self.address.host)
        shown = f"[{host}]" if ":" in host else host
        return f"{self.scheme}://{shown}:{port}/" + (f"?token={self.token}" if self.token else "")

    def check_names(self, request: Request) -> None:
        """Raise Refused if the request came by a foreign name, or from a foreign page."""
        if not self._knows(request.host):
            raise Refused(
                HTTPStatus.MISDIRECTED_REQUEST, "this server does not go by the name in Host"
            )
        origin = request.headers.get("origin")
        if origin is not None and origin.lower() != f"{self.scheme}://{request.host.lower()}":
            raise Refused(HTTPStatus.FORBIDDEN, "pages of other sites may not look")
        # A picture or script that another site's page asks for carries no Origin.
        site = request.headers.get("sec-fetch-site", "none")
        if site in ("cross-site", "same-site") and request.headers.get("sec-fetch-mode") not in (
            "navigate",
            None,
        ):
            raise Refused(HTTPStatus.FORBIDDEN, "pages of other sites may not look")

    def _knows(self, host: str) -> bool:
        bare, colon, port = host.lower().rpartition(":")
        if not colon or host.endswith("]"):
            bare = host.lower()
        elif not port.isdecimal():
            return False
        bare = bare.removeprefix("[").removesuffix("]")
        if is_loopback(bare):
            return True
        # An address cannot be made to mean another machine, as a name can.
        return not self.address.loopback and (bare in self.names or is_address(bare))

    def admit(self, request: Request) -> str | None:
        """Return a cookie to set ("" for none) if the request may be answered, else None."""
        if self.token is None:
            return ""
        if _same(request.cookie(self.cookie_name), self._pass()):
            return ""
        if _same(request.headers.get("authorization", ""), f"Bearer {self.token}"):
            return ""
        if _same(request.query.get("token", [""])[0], self.token):
            secure = "; Secure" if self.scheme == "https" else ""
            return f"{self.cookie_name}={self._pass()}; HttpOnly; SameSite=Strict; Path=/{secure}"
        return None

    @property
    def cookie_name(self) -> str:
        """Cookies do not know ports, so the name does: two runs on a machine keep theirs apart."""
        return f"mejiro_{self.address.port}"

    def _pass(self) -> str:
        # Of the token, not random: with a token file, a page stays admitted when a run restarts.
        key = (self.token or "").encode()
        return hmac.new(key, b"mejiro cookie", hashlib.sha256).hexdigest()


def _same(given: str, expected: str) -> bool:
    return hmac.compare_digest(given.encode(), expected.encode())

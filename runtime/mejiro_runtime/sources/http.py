"""Read an MJPEG stream over HTTP, as network cameras and phones serve it."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from http.client import BadStatusLine, HTTPException
from time import perf_counter_ns
from types import TracebackType
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import SplitResult, unquote, urlsplit
from urllib.request import (
    HTTPBasicAuthHandler,
    HTTPDigestAuthHandler,
    HTTPPasswordMgrWithDefaultRealm,
    OpenerDirector,
    build_opener,
)

from mejiro_runtime import opencv
from mejiro_runtime.errors import SourceError, UsageError
from mejiro_runtime.sources.jpeg import UNREADABLE, decode, reduction
from mejiro_runtime.sources.multipart import LINE_BYTES, pictures
from mejiro_runtime.sources.options import positive, split
from mejiro_runtime.types import Frame, PixelOrder

TIMEOUT_S = 3.0  # below what a pipeline waits for its capture thread when it closes


def split_url(text: str) -> SplitResult:
    """Return the parts of a URL with a host, or raise UsageError."""
    try:
        parts = urlsplit(text)
        if parts.hostname and (parts.port or parts.port is None):
            return parts
    except ValueError:
        pass
    # Neither here nor in a description: what stands before the host may be a password.
    raise UsageError(f"a {text.partition(':')[0]} source is a URL with a host, as of a camera")


def shown(parts: SplitResult) -> str:
    """Return a URL without what may be secret: user, password and query."""
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


class HttpSource:
    """Give the pictures of a stream until it breaks off, or nothing comes for `timeout_s`.

    Each is as old as its last byte: what a camera and the network took before is not known.
    """

    live = True

    def __init__(self, url: str, *, timeout_s: float = TIMEOUT_S, reduce: int = 1) -> None:
        self._url = split_url(url)
        self.timeout_s, self.reduce = timeout_s, reduce
        self.description = shown(self._url)
        self.skipped: list[str] = []
        self._stream: Any = None

    @classmethod
    def parse(cls, text: str) -> HttpSource:
        """Read a URL, with options after ``#``, which is no part of what a server is asked."""
        known = {"timeout": positive, "reduce": reduction}
        url, options = split(text, "an http source", known, mark="#")
        return cls(
            url, timeout_s=options.get("timeout", TIMEOUT_S), reduce=options.get("reduce", 1)
        )

    def frames(self) -> Iterator[Frame]:
        """Give frames; raises SourceError when the stream breaks off or holds no pictures."""
        index = bad = 0
        name = self._url.hostname or ""
        reason = "the server closed the stream"
        timely = _Timely(self._stream, self.timeout_s)
        parts = pictures(timely, self._stream.headers.get_boundary())
        try:
            for data in parts:
                start = perf_counter_ns()
                pixels = decode(data, self.reduce)
                if pixels is None:
                    bad += 1
                    if bad == UNREADABLE:
                        reason = f"{bad} pictures running could not be read"
                        break
                    continue
                bad = 0
                cost = perf_counter_ns() - start
                yield Frame(pixels, PixelOrder.BGR, index, start, cost, f"{name}#{index}")
                index += 1
                timely.restart()
        except TimeoutError:
            reason = f"no picture came for {self.timeout_s:g} s"
        except (OSError, HTTPException) as error:
            reason = _reason(error, self.timeout_s)
        raise SourceError(f"{self.description} gave {index} frames, then {reason}")

    def __enter__(self) -> HttpSource:
        opencv.load("reading a camera")
        url = self._url
        plain = url._replace(netloc=url.netloc.rpartition("@")[2], fragment="").geturl()
        opener = _opener(plain, url.username, url.password)
        try:
            self._stream = opener.open(plain, timeout=self.timeout_s)
        except HTTPError as error:
            error.close()
            advice = "give user and password: http://USER:PASSWORD@HOST/…" if error.code == 401 \
                else "is this the address of its MJPEG stream?"  # fmt: skip
            raise SourceError(f"{self.description} answers {error.code}; {advice}") from None
        except (OSError, HTTPException, ValueError) as error:
            reason = _reason(error, self.timeout_s)
            raise SourceError(
                f"{self.description} cannot be reached: {reason}; check address and network"
            ) from None
        kind = self._stream.headers.get_content_type()
        if not kind.startswith("multipart/"):
            self._close()
            raise SourceError(
                f"{self.description} gives {kind}, no MJPEG stream "
                "(multipart/x-mixed-replace); find that address in the camera's manual"
            )
        return self

    def stop(self) -> None:
        """End a wait for the next bytes in another thread."""
        try:
            with socket.socket(fileno=os.dup(self._stream.fileno())) as line:
                line.shutdown(socket.SHUT_RDWR)
        except (AttributeError, OSError, ValueError):
            pass  # not open, or no longer

    def _close(self) -> None:
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._close()


class _Timely:
    """Read a stream, and raise TimeoutError unless `restart` is called every `limit_s` seconds.

    A socket's own limit begins anew with every byte: one that drips would be waited for for ever.
    """

    def __init__(self, stream: Any, limit_s: float) -> None:
        self._stream, self._limit_ns = stream, int(1e9 * limit_s)
        self._held = bytearray()
        self.restart()

    def restart(self) -> None:
        """Count from now."""
        self._end_ns = perf_counter_ns() + self._limit_ns

    def read(self, size: int, /) -> bytes:
        """Return up to `size` bytes, at least one but at the end."""
        return self._take(size) or self._more(size)

    def readline(self, size: int, /) -> bytes:
        """Return up to `size` bytes, no further than the next line feed."""
        seen = 0
        while (found := self._held.find(b"\n", seen, size)) < 0 and len(self._held) < size:
            seen = len(self._held)
            if not (more := self._more(LINE_BYTES)):
                break
            self._held += more
        return self._take(size if found < 0 else found + 1)

    def _take(self, size: int) -> bytes:
        taken = bytes(self._held[:size])
        del self._held[:size]
        return taken

    def _more(self, size: int) -> bytes:
        if perf_counter_ns() > self._end_ns:
            raise TimeoutError
        data: bytes = self._stream.read1(size)
        return data


class _Closing:
    """Close the answer that asked for a password once another has come: urllib forgets it."""

    def http_error_401(self, request: Any, answer: Any, *about: Any) -> Any:
        try:
            found = super().http_error_401(request, answer, *about)  # type: ignore[misc]
        except BaseException:
            answer.close()
            raise
        if found is not None:
            answer.close()
        return found


class _Basic(_Closing, HTTPBasicAuthHandler):
    pass


class _Digest(_Closing, HTTPDigestAuthHandler):
    pass


def _opener(url: str, user: str | None, password: str | None) -> OpenerDirector:
    """Return what opens `url`, and answers where a password is asked for."""
    opener = build_opener()
    if user is not None:
        known = HTTPPasswordMgrWithDefaultRealm()
        known.add_password(None, url, unquote(user), unquote(password or ""))
        for handler in (_Basic(known), _Digest(known)):
            opener.add_handler(handler)
    opener.addheaders = [("User-Agent", "mejiro-run")]
    return opener


def _reason(error: Exception, timeout_s: float) -> str:
    inner = error.reason if isinstance(error, URLError) else error
    if isinstance(inner, TimeoutError):
        return f"nothing came for {timeout_s:g} s"
    if isinstance(inner, BadStatusLine) and not isinstance(inner, OSError):
        return "what answers there does not speak HTTP"  # and may say anything
    return getattr(inner, "strerror", None) or str(inner) or type(inner).__name__

"""Open a served page on a phone over USB, and wait for its report."""

from __future__ import annotations

import queue
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

from mejiro.errors import PhoneError, ServeError, UsageError
from mejiro.phone.adb import Adb
from mejiro.serve import Contents, Received, ReportBox, ServeOptions, SiteServer

SOURCES = ("camera", "golden")
BACKENDS = ("wasm", "webgpu")
FIRST_PORT, PORTS = 20000, 10000
LOOK_S = 3.0


@dataclass(frozen=True)
class PageOptions:
    """Hold what the page does on the phone: where its frames come from, how many, on what."""

    source: str = "camera"
    frames: int | None = None
    backend: str | None = None
    threads: int | None = None

    def __post_init__(self) -> None:
        for name, value, known in (
            ("source", self.source, SOURCES),
            ("backend", self.backend, (None, *BACKENDS)),
        ):
            if value not in known:
                names = " or ".join(one for one in known if one)
                raise UsageError(f"on a phone --{name} is {names}, found '{value}'")

    def query(self) -> str:
        """Return the query of the page's address: run, report, and how."""
        wanted = {
            "report": "auto",
            "source": None if self.source == "camera" else self.source,
            "frames": self.frames,
            "backend": self.backend,
            "threads": self.threads,
        }
        return urlencode({name: value for name, value in wanted.items() if value is not None})


def port_of(contents: Contents) -> int:
    """Return the port of a site: the same site has the same one each time.

    To a browser the port is part of who the page is. So a phone remembers the camera's permission
    and the files of this site, and never shows those of another.
    """
    return FIRST_PORT + int(contents.version, 16) % PORTS


class PhonePage:
    """Serve a site to one phone while the context is open; `open` it there, `wait` for reports."""

    def __init__(
        self,
        adb: Adb,
        contents: Contents,
        options: PageOptions,
        *,
        reports: Path,
        on_report: Callable[[Received], None] | None = None,
    ) -> None:
        self._adb, self._contents, self._options = adb, contents, options
        self._box, self._on_report = ReportBox(reports), on_report
        self._arrived: queue.SimpleQueue[Received] = queue.SimpleQueue()
        self._stack = ExitStack()
        self.url = ""

    def __enter__(self) -> PhonePage:
        with ExitStack() as stack:
            server = stack.enter_context(self._serve())
            stack.enter_context(self._adb.reverse(server.port))
            self.url = f"http://localhost:{server.port}/?{self._options.query()}"
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _serve(self) -> SiteServer:
        port = port_of(self._contents)
        try:
            return SiteServer(self._contents, self._serving(port))
        except ServeError:  # something else listens there, perhaps another deploy of this site
            return SiteServer(self._contents, self._serving(0))

    def _serving(self, port: int) -> ServeOptions:
        return ServeOptions(port=port, reports=self._box, on_report=self._take)

    def _take(self, received: Received) -> None:
        self._arrived.put(received)
        if self._on_report is not None:
            self._on_report(received)

    def open(self) -> None:
        """Turn the screen on and open the page in the phone's browser."""
        self._adb.wake()
        self._adb.start(self.url)

    def wait(self, seconds: float) -> Received:
        """Return the next report; PhoneError if none comes in time, or the phone goes away."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            try:
                return self._arrived.get(timeout=min(left, LOOK_S))
            except queue.Empty:
                if not self._adb.present:
                    raise PhoneError(
                        f"the phone {self._adb.serial} went away before its report came"
                    ) from None
        raise PhoneError(
            f"no report came within {seconds:g} s; look at the phone: it may be locked, or ask "
            "whether the page may use the camera (--source golden needs none; --wait waits longer)"
        )

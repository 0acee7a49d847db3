"""Take results for the live page."""

from __future__ import annotations

from collections.abc import Callable

from mejiro_runtime import opencv
from mejiro_runtime.sinks.web.access import Access
from mejiro_runtime.sinks.web.hub import Facts, Hub, Latest
from mejiro_runtime.sinks.web.server import Server
from mejiro_runtime.types import Frame, Result


class WebSink:
    """Serve the live page while it is open; `show` stores references and nothing else.

    `facts` tells what only the run knows; it is called from the server's thread, once a second
    while somebody watches. `explain`, if the model can, switches its activation maps on and off.
    A source must not write to a frame's pixels once it has given it.
    """

    def __init__(
        self,
        access: Access,
        facts: Callable[[], Facts] = Facts,
        explain: Callable[[bool], None] | None = None,
    ) -> None:
        opencv.load("showing a run on a page")
        self._latest = Latest()
        self._server = Server(access, Hub(self._latest, facts, explain))

    @property
    def url(self) -> str:
        """The address to open, its token included."""
        return self._server.url

    def show(self, frame: Frame, result: Result) -> None:
        """See `Sink.show`."""
        self._latest.put(frame, result)

    def close(self) -> None:
        """See `Sink.close`."""
        self._server.close()

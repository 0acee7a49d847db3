"""Open a lost source again, for as long as somebody waits for it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from time import perf_counter_ns
from types import TracebackType

from mejiro_runtime.errors import SourceError
from mejiro_runtime.sources.base import Outages, Source, stop
from mejiro_runtime.types import Frame

FIRST_WAIT_S = 0.25
LONGEST_WAIT_S = 1.5  # a camera that is back is to be seen within 5 s, opening it included


class Reconnecting:
    """Give the frames of a live source, over its losses; `outages` keeps account of them.

    A source that fails before its first frame was never there, and its error is raised at once.
    Later it is tried again after `FIRST_WAIT_S`, then after twice as long each time, up to
    `LONGEST_WAIT_S`. A source that ends without an error has ended.
    """

    live = True

    def __init__(self, source: Source) -> None:
        self.source = source
        self.outages = Outages()
        self._stopped = threading.Event()
        self._open = False

    @property
    def description(self) -> str:
        """What the source is."""
        return self.source.description

    @property
    def skipped(self) -> list[str]:
        """What the source passed over."""
        return self.source.skipped

    @property
    def fps(self) -> float | None:
        """Frames a second, where the source knows."""
        found: float | None = getattr(self.source, "fps", None)
        return found

    def frames(self) -> Iterator[Frame]:
        """Give frames, numbered through; raises SourceError if there is not a first one."""
        index, wait_s, last_ns = 0, FIRST_WAIT_S, perf_counter_ns()
        while not self._stopped.is_set():
            try:
                self._enter()
                for frame in self.source.frames():
                    self.outages.end(perf_counter_ns())
                    last_ns, wait_s = frame.captured_ns, FIRST_WAIT_S
                    yield frame._replace(index=index)
                    index += 1
                return
            except (SourceError, OSError) as error:
                if self._stopped.is_set():
                    return
                if not index:
                    raise
                self.outages.begin(last_ns, str(error))
            self._exit()
            # A source that opens and gives nothing is waited for ever longer all the same.
            self._stopped.wait(wait_s)
            wait_s = min(2 * wait_s, LONGEST_WAIT_S)

    def stop(self) -> None:
        """End a wait in another thread, and with it `frames`."""
        self._stopped.set()
        stop(self.source)

    def _enter(self) -> None:
        if not self._open:
            self.source.__enter__()
            self._open = True

    def _exit(self) -> None:
        if self._open:
            self._open = False
            self.source.__exit__(None, None, None)

    def __enter__(self) -> Reconnecting:
        self._stopped.clear()
        self._enter()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
        self._exit()

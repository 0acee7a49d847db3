"""Say what every source of frames offers."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from time import perf_counter_ns
from types import TracebackType
from typing import NamedTuple, Protocol

from mejiro_runtime.types import Frame

KEPT_OUTAGES = 100
OLDEST_STAMP_NS = 1_000_000_000


class Outage(NamedTuple):
    """Say that a source gave nothing from `began_ns` to `ended_ns`, and why; None while it lasts.

    On the clock of `time.perf_counter_ns`.
    """

    began_ns: int
    ended_ns: int | None
    reason: str


class Outages:
    """Keep account of a source's outages: `current`, the newest that ended, and totals of all.

    One thread writes, others may read at any time; `on_change` is called by the one that writes,
    when an outage begins and when it ends.
    """

    def __init__(self) -> None:
        # One object, so that no reader counts an outage twice or not at all while it ends.
        self._state: tuple[int, Outage | None] = (0, None)
        self.newest: deque[Outage] = deque(maxlen=KEPT_OUTAGES)
        self.count = 0
        self.on_change: Callable[[Outage], object] = _say_nothing

    @property
    def current(self) -> Outage | None:
        """The outage that lasts, if one does."""
        return self._state[1]

    def begin(self, began_ns: int, reason: str) -> None:
        """Record that the source is lost; while it is, only a newer reason."""
        ended_ns, current = self._state
        if current is None:
            self.count += 1
            current = Outage(began_ns, None, reason)
            self._state = ended_ns, current
            self.on_change(current)
        else:
            self._state = ended_ns, current._replace(reason=reason)

    def end(self, now_ns: int) -> None:
        """Record that the source is back."""
        ended_ns, current = self._state
        if current is not None:
            ended = current._replace(ended_ns=now_ns)
            self.newest.append(ended)
            self._state = ended_ns + now_ns - ended.began_ns, None
            self.on_change(ended)

    def total_ns(self, now_ns: int) -> int:
        """Return how long the source has been away so far, the current outage included."""
        ended_ns, current = self._state
        return ended_ns + (0 if current is None else max(0, now_ns - current.began_ns))


def _say_nothing(outage: Outage) -> None:
    """Be the default of `on_change`."""


class Source(Protocol):
    """Give frames, one after another; a context manager that frees its camera or file.

    `live` sources go on without being read, as a camera does: the newest frame is the one that
    counts. Others wait for their reader, and every frame counts. `skipped` names what could not
    be read and was passed over. A source may also have `fps`, `outages`, and `stop`; see
    `outages_of` and `stop`.
    """

    live: bool

    @property
    def skipped(self) -> list[str]:
        """Names of what could not be read."""
        ...

    @property
    def description(self) -> str:
        """What it is, for reports; once entered, what it really gives."""
        ...

    def frames(self) -> Iterator[Frame]:
        """Give frames until the source ends; raises SourceError when it fails."""
        ...

    def __enter__(self) -> Source: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


def outages_of(source: Source) -> Outages | None:
    """Return a source's account of outages; None if it keeps none, as it cannot be lost."""
    found: Outages | None = getattr(source, "outages", None)
    return found


def lost(source: Source) -> tuple[int, int]:
    """Return how often a source was lost so far, and for how many nanoseconds in all."""
    outages = outages_of(source)
    return (outages.count, outages.total_ns(perf_counter_ns())) if outages else (0, 0)


def stop(source: Source) -> None:
    """Tell a source that waits for its camera that nobody waits for it any more.

    Called from another thread than the one that reads it, before it is exited.
    """
    if (found := getattr(source, "stop", None)) is not None:
        found()


def taken_ns(stamp_ns: float, now_ns: int) -> int:
    """Return a driver's time stamp if it can be believed, else `now_ns`.

    Both are on the monotonic clock, which `time.perf_counter_ns` reads on Linux and by which V4L2
    stamps its buffers. Some drivers give zero, another clock's time, or the stream's position:
    what lies in the future or more than a second back is not the time when this frame was taken.
    """
    age_ns = now_ns - int(stamp_ns)
    return now_ns - age_ns if 0 <= age_ns <= OLDEST_STAMP_NS else now_ns

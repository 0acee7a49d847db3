"""Say what every source of frames offers."""

from __future__ import annotations

from collections.abc import Iterator
from types import TracebackType
from typing import NamedTuple, Protocol

from mejiro_runtime.types import Frame


class Outage(NamedTuple):
    """Say that a source gave nothing from `began_ns` to `ended_ns`, and why; None while it lasts.

    On the clock of `time.perf_counter_ns`.
    """

    began_ns: int
    ended_ns: int | None
    reason: str


class Source(Protocol):
    """Give frames, one after another; a context manager that frees its camera or file.

    `live` sources go on without being read, as a camera does: the newest frame is the one that
    counts. Others wait for their reader, and every frame counts. `skipped` names what could not
    be read and was passed over.
    """

    live: bool
    description: str
    skipped: list[str]

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

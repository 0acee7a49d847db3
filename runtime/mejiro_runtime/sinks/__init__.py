"""Take results: one file per place where they are shown or kept."""

from __future__ import annotations

from typing import Protocol

from mejiro_runtime.types import Frame, Result

__all__ = ["Sink"]


class Sink(Protocol):
    """Take one result after another, in order; `close` is called once, also after a failure."""

    def show(self, frame: Frame, result: Result) -> None:
        """Take one result and the frame it belongs to; raise EndOfRun to end the run well."""
        ...

    def close(self) -> None:
        """Finish what is on the screen or in the file."""
        ...

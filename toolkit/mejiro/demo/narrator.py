"""Tell what is going on, and keep how long each stage took."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import perf_counter_ns


class Narrator:
    """Pass on what a demonstration does.

    `on_stage` gets a few words when something begins, `on_progress` the steps done and the steps
    in all, `on_done` a stage's name and the nanoseconds that it took.
    """

    def __init__(
        self,
        on_stage: Callable[[str], None] | None = None,
        on_progress: Callable[[int, int], None] | None = None,
        on_done: Callable[[str, int], None] | None = None,
    ) -> None:
        self.say = on_stage or (lambda text: None)
        self.advance = on_progress or (lambda done, total: None)
        self._on_done = on_done or (lambda name, elapsed_ns: None)
        self.elapsed_ns: dict[str, int] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time the block as the stage `name`; it counts once it is done."""
        self.say(name)
        start = perf_counter_ns()
        yield
        self.elapsed_ns[name] = perf_counter_ns() - start
        self._on_done(name, self.elapsed_ns[name])

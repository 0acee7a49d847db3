"""A lost source is tried again, ever less often, and its outages are kept account of.

Nothing here sleeps: waits are recorded, and threads take turns by events.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from itertools import islice

import numpy as np
import pytest

from mejiro_runtime.errors import SourceError
from mejiro_runtime.model import Model
from mejiro_runtime.pipeline import Pipeline
from mejiro_runtime.sources import base, outages_of, stop
from mejiro_runtime.sources.base import KEPT_OUTAGES, Outages, taken_ns
from mejiro_runtime.sources.reconnecting import LONGEST_WAIT_S, Reconnecting
from mejiro_runtime.sources.synthetic import SyntheticSource
from mejiro_runtime.types import Frame, PixelOrder

WAIT_S = 30
PIXELS = np.zeros((8, 8, 3), np.uint8)


class Script:
    """Be a camera that is entered as the script says: so many frames, or an error on opening."""

    live = True
    description = "a scripted camera"

    def __init__(self, *turns: int | str, then: int | str = "gone for good") -> None:
        self.turns, self.then = list(turns), then
        self.skipped: list[str] = []
        self.entered, self.exited, self.count = 0, 0, 0

    def __enter__(self) -> Script:
        turn = self.turns.pop(0) if self.turns else self.then
        if isinstance(turn, str):
            raise SourceError(turn)
        self.entered += 1
        self.count = turn
        return self

    def __exit__(self, *reason: object) -> None:
        self.exited += 1

    def frames(self) -> Iterator[Frame]:
        for index in range(self.count):
            yield Frame(PIXELS, PixelOrder.BGR, index, base_ns(index), 0, str(index))
        raise SourceError(f"lost after {self.count}")


def base_ns(index: int) -> int:
    return 1_000 * (index + 1)


class Waits(threading.Event):
    """Record waits rather than wait; set itself after `limit` of them."""

    def __init__(self, limit: int = 1000) -> None:
        super().__init__()
        self.limit = limit
        self.seconds: list[float] = []

    def wait(self, timeout: float | None = None) -> bool:
        assert timeout is not None
        self.seconds.append(timeout)
        if len(self.seconds) >= self.limit:
            self.set()
        return self.is_set()


def wrap(script: Script, limit: int = 1000) -> tuple[Reconnecting, Waits]:
    source = Reconnecting(script)
    waits = source._stopped = Waits(limit)
    return source, waits


def test_frames_go_on_over_losses_and_are_numbered_through() -> None:
    script = Script(2, "busy", "busy", 3, 1)
    source, waits = wrap(script, limit=5)
    with source:
        frames = list(source.frames())
    assert [frame.index for frame in frames] == list(range(6))
    assert waits.seconds == [0.25, 0.5, 1.0, 0.25, 0.25]
    assert source.outages.count == 3
    assert [outage.reason for outage in source.outages.newest] == ["busy", "lost after 3"]
    assert source.outages.current is not None
    assert source.outages.current.reason == "lost after 1"
    assert script.entered == script.exited == 3


def test_waits_double_up_to_a_limit() -> None:
    source, waits = wrap(Script(1), limit=8)
    with source:
        assert len(list(source.frames())) == 1
    assert waits.seconds == [0.25, 0.5, 1, *[LONGEST_WAIT_S] * 5]


def test_a_source_that_opens_and_gives_nothing_is_no_busy_loop() -> None:
    source, waits = wrap(Script(1, then=0), limit=6)
    with source:
        assert len(list(source.frames())) == 1
    assert waits.seconds == [0.25, 0.5, 1, *[LONGEST_WAIT_S] * 3]
    assert source.outages.count == 1


def test_a_source_that_was_never_there_fails_at_once() -> None:
    source, waits = wrap(Script())
    with pytest.raises(SourceError, match="gone for good"):
        source.__enter__()
    source, waits = wrap(Script(0))
    with source, pytest.raises(SourceError, match="lost after 0"):
        next(source.frames())
    assert waits.seconds == []
    assert source.outages.count == 0


def test_a_source_that_ends_has_ended() -> None:
    class Ending(Script):
        def frames(self) -> Iterator[Frame]:
            yield from islice(super().frames(), self.count)

    source, waits = wrap(Ending(3))
    with source:
        assert len(list(source.frames())) == 3
    assert waits.seconds == []


def test_an_error_of_the_system_is_an_outage_too() -> None:
    class Breaking(Script):
        def frames(self) -> Iterator[Frame]:
            yield from islice(super().frames(), self.count)
            raise OSError(19, "No such device")

    source, _ = wrap(Breaking(1), limit=1)
    with source:
        list(source.frames())
    assert source.outages.current is not None
    assert "No such device" in source.outages.current.reason


def test_a_wait_ends_promptly_when_the_pipeline_closes(handmade) -> None:
    script = Script(1)
    source = Reconnecting(script)
    waiting = threading.Event()

    class Watched(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            waiting.set()
            return super().wait(WAIT_S)  # only `stop` ends it in time

    source._stopped = Watched()
    pipeline = Pipeline(source, Model(handmade.card(), handmade.backend()))
    with pipeline:
        next(pipeline.steps(1))
        assert waiting.wait(WAIT_S)
    assert pipeline._thread is not None
    assert not pipeline._thread.is_alive()
    assert script.entered == script.exited == 1


def test_it_tells_what_the_source_tells() -> None:
    source = Reconnecting(SyntheticSource(8, 8, fps=5))
    assert (source.fps, source.live) == (5, True)
    assert source.description == "synthetic 8x8 at 5 frames a second"
    assert source.skipped == []
    assert Reconnecting(Script()).fps is None
    assert outages_of(source) is source.outages
    plain = SyntheticSource(8, 8)
    assert outages_of(plain) is None
    stop(plain)  # nothing to do, and no fault


def test_outages_are_counted_and_only_the_newest_kept() -> None:
    outages = Outages()
    for turn in range(1000):
        outages.begin(100 * turn, "cable")
        outages.begin(100 * turn + 5, "still away")
        outages.end(100 * turn + 10)
        outages.end(100 * turn + 20)
    assert outages.count == 1000
    assert outages.total_ns(10**9) == 10_000
    assert len(outages.newest) == KEPT_OUTAGES == 100
    assert outages.newest[-1] == (99_900, 99_910, "still away")
    outages.begin(200_000, "again")
    assert outages.total_ns(200_007) == 10_007


@pytest.mark.parametrize(
    ("stamp", "believed"),
    [(5e9, True), (4.5e9, True), (4e9, True), (4e9 - 1, False), (5e9 + 1, False), (0, False)],
)
def test_a_drivers_stamp_is_believed_where_it_can_be(stamp: float, believed: bool) -> None:
    assert taken_ns(stamp, 5_000_000_000) == (int(stamp) if believed else 5_000_000_000)
    assert base.OLDEST_STAMP_NS == 1_000_000_000

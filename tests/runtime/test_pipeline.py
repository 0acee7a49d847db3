"""Frames reach the model in order, the newest first where the source is live, and none is lost.

Nothing here sleeps to let something happen: sources and readers take turns by events.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from mejiro_runtime import pipeline as module
from mejiro_runtime.errors import EndOfRun, SourceError
from mejiro_runtime.model import Model
from mejiro_runtime.pipeline import DROPPED_OLDER, NewestSlot, Pipeline
from mejiro_runtime.types import Frame, PixelOrder

WAIT_S = 30  # far beyond what any of this takes; only a hang reaches it


def make_frame(index: int) -> Frame:
    pixels = np.full((8, 8, 3), (20, 30, 220), np.uint8)
    return Frame(pixels, PixelOrder.BGR, index, captured_ns=0, capture_ns=index, name=str(index))


class ListSource:
    """Give `count` frames, then raise `error` if there is one."""

    def __init__(
        self, count: int, *, live: bool = False, error: BaseException | None = None
    ) -> None:
        self.live = live
        self.description = "a list"
        self.skipped: list[str] = []
        self.count, self.error = count, error
        self.given, self.opened, self.closed = 0, 0, 0
        self.ended = threading.Event()

    def frames(self) -> Iterator[Frame]:
        try:
            for index in range(self.count):
                self.given += 1
                yield make_frame(index)
            if self.error is not None:
                raise self.error
        finally:
            self.ended.set()

    def __enter__(self) -> ListSource:
        self.opened += 1
        return self

    def __exit__(self, *reason: object) -> None:
        self.closed += 1


class KeepingSink:
    """Keep what it is shown; fail where it is told to."""

    def __init__(self, *, fail_at: int | None = None, fail_close: bool = False) -> None:
        self.shown: list[tuple[int, int]] = []
        self.closed = 0
        self.fail_at, self.fail_close = fail_at, fail_close

    def show(self, frame: Frame, result: Any) -> None:
        if frame.index == self.fail_at:
            raise BrokenPipeError("the reader has gone")
        self.shown.append((frame.index, result.index))

    def close(self) -> None:
        self.closed += 1
        if self.fail_close:
            raise OSError("disk full")


@pytest.fixture
def model(handmade) -> Model:
    return Model(handmade.card(), handmade.backend())


# The slot.


def test_a_slot_gives_the_newest_frame_and_counts_the_others() -> None:
    slot = NewestSlot()
    frames = slot.frames()
    for index in range(4):
        assert slot.put(make_frame(index))
    assert next(frames).index == 3
    assert slot.dropped == 3
    slot.put(make_frame(4))
    assert next(frames).index == 4
    assert slot.dropped == 3


def test_the_last_frame_is_given_before_the_end_is_told() -> None:
    slot = NewestSlot()
    slot.put(make_frame(0))
    slot.end()
    assert [frame.index for frame in slot.frames()] == [0]


def test_an_error_reaches_the_reader_after_the_last_frame() -> None:
    slot = NewestSlot()
    slot.put(make_frame(0))
    slot.end(SourceError("cable"))
    frames = slot.frames()
    assert next(frames).index == 0
    with pytest.raises(SourceError, match="cable"):
        next(frames)


def test_the_first_error_is_the_one_that_counts() -> None:
    slot = NewestSlot()
    slot.end(SourceError("first"))
    slot.end(SourceError("second"))
    slot.end()
    with pytest.raises(SourceError, match="first"):
        next(slot.frames())


def test_a_slot_whose_reader_has_gone_takes_nothing() -> None:
    slot = NewestSlot()
    assert slot.put(make_frame(0))
    slot.end()
    assert not slot.put(make_frame(1))
    assert slot.dropped == 0


def test_a_waiting_reader_is_woken() -> None:
    slot = NewestSlot()
    taken: list[int] = []
    reader = threading.Thread(target=lambda: taken.extend(f.index for f in slot.frames()))
    reader.start()
    for index in range(3):
        slot.put(make_frame(index))
    slot.end()
    reader.join(WAIT_S)
    assert not reader.is_alive()
    assert taken[-1] == 2
    assert len(taken) + slot.dropped == 3


def test_every_frame_of_many_is_taken_or_counted() -> None:
    slot = NewestSlot()
    count = 5000
    writer = threading.Thread(
        target=lambda: ([slot.put(make_frame(i)) for i in range(count)], slot.end())
    )
    writer.start()
    taken = [frame.index for frame in slot.frames()]
    writer.join(WAIT_S)
    assert taken == sorted(set(taken))
    assert taken[-1] == count - 1
    assert len(taken) + slot.dropped == count


# Files: every frame counts.


def test_every_frame_of_a_file_is_shown_in_order(model) -> None:
    source, sinks = ListSource(5), [KeepingSink(), KeepingSink()]
    with Pipeline(source, model, sinks) as pipeline:
        steps = list(pipeline.steps())
    assert [step.result.index for step in steps] == list(range(5))
    assert all(step.sink_ns >= 0 for step in steps)
    assert sinks[0].shown == sinks[1].shown == [(i, i) for i in range(5)]
    assert pipeline.dropped == {}
    assert (source.opened, source.closed) == (1, 1)
    assert [sink.closed for sink in sinks] == [1, 1]
    assert pipeline._thread is None  # a file needs no thread


@pytest.mark.parametrize("live", [False, True])
@pytest.mark.parametrize("limit", [0, 1, 3])
def test_a_limit_is_kept_and_no_further_frame_asked_for(model, live: bool, limit: int) -> None:
    source = ListSource(10) if not live else EndlessCamera()
    with Pipeline(source, model) as pipeline:
        steps = list(pipeline.steps(limit))
    assert len(steps) == limit
    if not live:
        assert source.given == limit


def test_the_work_is_done_as_it_is_asked_for(model) -> None:
    source = ListSource(10)
    with Pipeline(source, model) as pipeline:
        steps = pipeline.steps()
        next(steps)
        assert (source.given, model.backend.calls) == (1, 1)
        next(steps)
        assert (source.given, model.backend.calls) == (2, 2)


def test_an_error_of_a_file_is_raised_where_it_is_read(model) -> None:
    source = ListSource(2, error=SourceError("broken at frame 2"))
    with Pipeline(source, model) as pipeline:
        steps = pipeline.steps()
        next(steps)
        next(steps)
        with pytest.raises(SourceError, match="broken at frame 2"):
            next(steps)
    assert source.closed == 1


# Cameras: the newest frame counts.


class EndlessCamera(ListSource):
    """Give frames for ever, as fast as they are taken or dropped."""

    def __init__(self) -> None:
        super().__init__(10**9, live=True)


def test_only_the_newest_of_a_burst_is_seen_and_the_rest_are_counted(model) -> None:
    source = ListSource(6, live=True)
    with Pipeline(source, model) as pipeline:
        assert source.ended.wait(WAIT_S)  # all six were captured before the first is asked for
        pipeline._thread.join(WAIT_S)
        steps = list(pipeline.steps())
    assert [step.result.index for step in steps] == [5]
    assert pipeline.dropped == {DROPPED_OLDER: 5}


def test_a_reader_that_keeps_up_misses_nothing(model) -> None:
    taken = threading.Semaphore(1)

    class Patient(ListSource):
        def frames(self) -> Iterator[Frame]:
            for frame in super().frames():
                assert taken.acquire(timeout=WAIT_S)
                yield frame

    seen = []
    with Pipeline(Patient(20, live=True), model) as pipeline:
        for step in pipeline.steps():
            seen.append(step.result.index)
            taken.release()
    assert seen == list(range(20))
    assert pipeline.dropped == {}


def test_frames_seen_and_dropped_add_up(model) -> None:
    source = ListSource(300, live=True)
    with Pipeline(source, model) as pipeline:
        seen = [step.result.index for step in pipeline.steps()]
    assert seen == sorted(set(seen))
    assert seen[-1] == 299
    assert len(seen) + pipeline.dropped.get(DROPPED_OLDER, 0) == 300


@pytest.mark.parametrize("error", [SourceError("cable"), RuntimeError("driver"), SystemExit(3)])
def test_an_error_of_the_capture_thread_reaches_the_reader(model, error: BaseException) -> None:
    source = ListSource(0, live=True, error=error)
    with Pipeline(source, model) as pipeline, pytest.raises(type(error)):
        list(pipeline.steps())
    assert source.closed == 1
    assert not pipeline._thread.is_alive()


def test_leaving_early_ends_the_capture_thread(model) -> None:
    source = EndlessCamera()
    with Pipeline(source, model) as pipeline:
        next(pipeline.steps())
    assert not pipeline._thread.is_alive()
    assert source.closed == 1


def test_a_camera_that_hangs_does_not_keep_the_program(model, monkeypatch) -> None:
    release = threading.Event()

    class Hanging(ListSource):
        def frames(self) -> Iterator[Frame]:
            yield make_frame(0)
            release.wait(WAIT_S)

    monkeypatch.setattr(module, "CLOSE_TIMEOUT_S", 0.01)
    source = Hanging(1, live=True)
    with Pipeline(source, model) as pipeline:
        next(pipeline.steps())
    assert pipeline._thread.is_alive()
    assert pipeline._thread.daemon
    assert source.closed == 0  # a thread still reads it
    release.set()
    pipeline._thread.join(WAIT_S)
    assert not pipeline._thread.is_alive()


# Closing.


def test_a_source_that_cannot_be_opened_starts_nothing(model) -> None:
    class Absent(ListSource):
        def __enter__(self) -> Absent:
            raise SourceError("there is no camera")

    pipeline = Pipeline(Absent(1, live=True), model)
    with pytest.raises(SourceError, match="there is no camera"):
        pipeline.__enter__()
    assert pipeline._thread is None


@pytest.mark.parametrize("live", [False, True])
def test_a_failing_sink_closes_everything(model, live: bool) -> None:
    source = ListSource(3, live=live)
    sinks = [KeepingSink(), KeepingSink(fail_at=2), KeepingSink()]
    with pytest.raises(BrokenPipeError), Pipeline(source, model, sinks) as pipeline:
        list(pipeline.steps())
    assert source.closed == 1
    assert [sink.closed for sink in sinks] == [1, 1, 1]


def test_a_sink_that_fails_to_close_does_not_keep_the_others_open(model) -> None:
    source = ListSource(1)
    sinks = [KeepingSink(fail_close=True), KeepingSink(), KeepingSink(fail_close=True)]
    with pytest.raises(OSError, match="disk full"), Pipeline(source, model, sinks) as pipeline:
        list(pipeline.steps())
    assert source.closed == 1
    assert [sink.closed for sink in sinks] == [1, 1, 1]


def test_ctrl_c_closes_everything(model) -> None:
    source, sink = ListSource(3, live=True), KeepingSink()
    with pytest.raises(KeyboardInterrupt), Pipeline(source, model, [sink]):
        raise KeyboardInterrupt
    assert source.closed == 1
    assert sink.closed == 1


# Ends that a sink asks for.


class ClosingSink(KeepingSink):
    """Stand for a window that is closed at one frame."""

    def show(self, frame: Frame, result: Any) -> None:
        super().show(frame, result)
        if frame.index == 1:
            raise EndOfRun


@pytest.mark.parametrize("overlap", [False, True])
def test_a_sink_may_end_the_run_and_the_others_get_its_last_frame(model, overlap: bool) -> None:
    source, sinks = ListSource(9), [ClosingSink(), KeepingSink()]
    with Pipeline(source, model, sinks, overlap=overlap) as pipeline:
        steps = list(pipeline.steps())
    assert len(steps) == 2
    assert sinks[0].shown == sinks[1].shown == [(0, 0), (1, 1)]
    assert [sink.closed for sink in sinks] == [1, 1]
    assert source.closed == 1

"""Carry frames from a source through a model to the sinks, and count what is lost on the way.

A live source is read by a thread of its own into a slot that holds the newest frame only: what
is shown is always recent, and frames that nobody had time for are counted, not queued. Of a file
every frame counts; with `overlap` a thread reads and preprocesses ahead of the engine.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from enum import Enum
from itertools import chain, islice
from time import perf_counter_ns
from types import TracebackType
from typing import TYPE_CHECKING, NamedTuple

from mejiro_runtime.errors import EndOfRun
from mejiro_runtime.model import Model
from mejiro_runtime.sinks import Sink
from mejiro_runtime.sources import Source, stop
from mejiro_runtime.types import Frame, Result

if TYPE_CHECKING:
    from mejiro_runtime.overlap import Ahead

DROPPED_OLDER = "a newer frame came"
CLOSE_TIMEOUT_S = 5.0


class Policy(str, Enum):
    """Name which frames of a source reach the model."""

    NEWEST = "newest"  # those that are the newest when the model is free, as a camera wants it
    EVERY = "every"  # all, in order; the source waits


class NewestSlot:
    """Hold at most one frame between a capture thread and its reader."""

    def __init__(self) -> None:
        self._ready = threading.Condition()
        self._frame: Frame | None = None
        self._ended = False
        self._error: BaseException | None = None
        self.dropped = 0

    def put(self, frame: Frame) -> bool:
        """Leave `frame`, in place of an older one; False once the reader has gone."""
        with self._ready:
            if self._ended:
                return False
            if self._frame is not None:
                self.dropped += 1
            self._frame = frame
            self._ready.notify()
            return True

    def end(self, error: BaseException | None = None) -> None:
        """Say that no frame will come any more, or be taken; `error` is raised by the reader."""
        with self._ready:
            self._ended = True
            self._error = self._error or error
            self._ready.notify()

    def frames(self) -> Iterator[Frame]:
        """Give the newest frame whenever there is one, until the end."""
        while True:
            with self._ready:
                while self._frame is None and not self._ended:
                    # A wait without limit would not let Ctrl-C through on every platform.
                    self._ready.wait(timeout=0.5)
                frame, self._frame = self._frame, None
                if frame is None:
                    if self._error is not None:
                        raise self._error
                    return
            yield frame


class Step(NamedTuple):
    """Hold one frame's result, and the nanoseconds that all sinks together took to show it."""

    result: Result
    sink_ns: int


class Pipeline:
    """Run frames through a model; a context manager that opens the source and closes all.

    Without a `policy`, the newest frame of a live source counts, and every frame of others.
    `dropped` counts the frames that did not, by cause. `overlap` is for the policy `every`. The
    model may be exchanged between two steps, but with `overlap`.
    """

    def __init__(
        self,
        source: Source,
        model: Model,
        sinks: Sequence[Sink] = (),
        *,
        policy: Policy | None = None,
        overlap: bool = False,
    ) -> None:
        self.source = source
        self.model = model
        self.sinks = tuple(sinks)
        self.policy = policy or (Policy.NEWEST if source.live else Policy.EVERY)
        self.overlap = overlap and self.policy is Policy.EVERY
        self._slot = NewestSlot()
        self._thread: threading.Thread | None = None
        self._ahead: Ahead | None = None

    @property
    def dropped(self) -> dict[str, int]:
        """Frames that were captured and never reached the model, by cause."""
        return {DROPPED_OLDER: self._slot.dropped} if self._slot.dropped else {}

    def steps(self, limit: int | None = None) -> Iterator[Step]:
        """Give a step for each frame, at most `limit`; the work is done as it is asked for.

        Ends with the source, or when a sink raises EndOfRun; the other sinks still get that frame.
        """
        for frame, result in self._results(limit):
            start = perf_counter_ns()
            end = False
            for sink in self.sinks:
                try:
                    sink.show(frame, result)
                except EndOfRun:
                    end = True
            yield Step(result, perf_counter_ns() - start)
            if end:
                return

    def _results(self, limit: int | None) -> Iterator[tuple[Frame, Result]]:
        newest = self.policy is Policy.NEWEST
        frames = self._slot.frames() if newest else self.source.frames()
        # islice stops without asking for the frame after the last: a camera would be waited for.
        frames = islice(frames, limit)
        if self.overlap:
            # The first frame alone: of a single picture nothing is to be had by a second thread.
            first, second = next(frames, None), None
            if first is not None:
                yield first, self.model(first)
                second = next(frames, None)
            if second is not None:
                from mejiro_runtime.overlap import Ahead

                self._ahead = Ahead(chain([second], frames), self.model)
                yield from self._ahead.results()
            return
        for frame in frames:
            yield frame, self.model(frame)

    def _capture(self) -> None:
        error: BaseException | None = None
        try:
            for frame in self.source.frames():
                if not self._slot.put(frame):
                    break
        except BaseException as caught:  # noqa: BLE001 - the reader raises it, where it is seen
            error = caught
        finally:
            self._slot.end(error)

    def __enter__(self) -> Pipeline:
        self.source.__enter__()
        if self.policy is Policy.NEWEST:
            self._thread = threading.Thread(target=self._capture, name="capture", daemon=True)
            self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._slot.end()
        stop(self.source)  # it may be waiting for a lost camera
        with ExitStack() as stack:
            stack.callback(self._close_source, kind, error, trace)
            for sink in self.sinks:
                stack.callback(sink.close)

    def _close_source(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        ended = self._ahead is None or self._ahead.close(CLOSE_TIMEOUT_S)
        if self._thread is not None:
            self._thread.join(timeout=CLOSE_TIMEOUT_S)
            ended = ended and not self._thread.is_alive()
        if not ended:
            # A camera that hangs must not keep the program from ending, and taking it away
            # from a thread that still reads it would crash; it goes when the program does.
            return
        self.source.__exit__(kind, error, trace)

"""Frames that are prepared ahead give what they would have given one after another."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import numpy as np
import pytest

from mejiro_runtime.errors import SourceError
from mejiro_runtime.model import Model
from mejiro_runtime.overlap import TENSORS, Ahead
from mejiro_runtime.pipeline import Pipeline, Policy
from mejiro_runtime.types import Frame

WAIT_S = 30


@pytest.fixture
def model(handmade) -> Model:
    return Model(handmade.card(), handmade.backend())


@pytest.fixture
def frames(handmade) -> list[Frame]:
    colours = ["red", "green", "blue", "blue", "red", "green", "red"]
    return [handmade.frame(colour, index=index) for index, colour in enumerate(colours)]


class FrameSource:
    """Give `frames`, and tell how many were asked for; fail after them if told to."""

    def __init__(
        self, frames: list[Frame], *, live: bool = False, error: BaseException | None = None
    ) -> None:
        self.live, self.description, self.skipped = live, "frames", []
        self.error, self.listed, self.given, self.closed = error, frames, 0, 0

    def frames(self) -> Iterator[Frame]:
        for frame in self.listed:
            self.given += 1
            yield frame
        if self.error is not None:
            raise self.error

    def __enter__(self) -> FrameSource:
        return self

    def __exit__(self, *reason: object) -> None:
        self.closed += 1


def test_results_are_those_of_one_frame_after_another(model, frames) -> None:
    expected = [model(frame).top for frame in frames]
    ahead = Ahead(frames, model)
    found = list(ahead.results())
    assert [result.top for _, result in found] == expected
    assert [frame.index for frame, _ in found] == list(range(len(frames)))
    assert all(result.timing.preprocess_ns > 0 for _, result in found)
    assert ahead.close(WAIT_S)


def test_the_next_frame_is_prepared_while_the_engine_runs(model, frames) -> None:
    prepared: list[int] = []
    second_is_ready = threading.Event()

    def watched() -> Iterator[Frame]:
        for frame in frames:
            yield frame
            prepared.append(frame.index)  # asked for the next: this one is done
            if len(prepared) == 2:
                second_is_ready.set()

    def answer(tensor):
        # The engine runs the first frame until the second is prepared; without overlap, for ever.
        assert second_is_ready.wait(WAIT_S)
        return model.backend.shares(tensor)

    model.backend.answer = answer
    ahead = Ahead(watched(), model)
    assert len(list(ahead.results())) == len(frames)
    assert ahead.close(WAIT_S)


def test_no_more_is_read_than_there_are_tensors(model, frames) -> None:
    source = FrameSource(frames)
    ahead = Ahead(source.frames(), model)
    results = ahead.results()
    next(results)
    # One is answered; its tensor and the others are filled, and then the thread waits.
    assert source.given <= TENSORS + 1
    assert ahead.close(WAIT_S)
    assert source.given <= TENSORS + 1


def test_an_error_comes_after_the_frames_before_it(model, frames) -> None:
    source = FrameSource(frames[:3], error=SourceError("broken"))
    with Pipeline(source, model, overlap=True) as pipeline:
        steps = pipeline.steps()
        assert [next(steps).result.index for _ in range(3)] == [0, 1, 2]
        with pytest.raises(SourceError, match="broken"):
            next(steps)
    assert source.closed == 1


def test_a_frame_that_cannot_be_preprocessed_is_told(model, frames) -> None:
    bad = frames[1]._replace(pixels=np.zeros((3, 3), np.uint8))
    source = FrameSource([frames[0], bad, frames[2]])
    with Pipeline(source, model, overlap=True) as pipeline:
        steps = pipeline.steps()
        next(steps)
        with pytest.raises(Exception, match="cannot have the shape"):
            next(steps)


@pytest.mark.parametrize("limit", [0, 1, 3])
def test_a_limit_is_kept(model, frames, limit: int) -> None:
    source = FrameSource(frames)
    with Pipeline(source, model, overlap=True) as pipeline:
        assert len(list(pipeline.steps(limit))) == limit
    assert source.given == limit


def test_leaving_early_ends_the_thread(model, frames) -> None:
    source = FrameSource(frames)
    with Pipeline(source, model, overlap=True) as pipeline:
        steps = pipeline.steps()
        next(steps)
        assert pipeline._ahead is None  # a single picture would need no thread
        next(steps)
    assert not pipeline._ahead.thread.is_alive()
    assert source.closed == 1


def test_every_frame_of_a_live_source_counts_if_asked_for(model, frames) -> None:
    for overlap in (False, True):
        source = FrameSource(frames, live=True)
        with Pipeline(source, model, policy=Policy.EVERY, overlap=overlap) as pipeline:
            seen = [step.result.index for step in pipeline.steps()]
        assert seen == list(range(len(frames)))
        assert pipeline.dropped == {}


def test_the_newest_frame_is_never_prepared_ahead(model, frames) -> None:
    pipeline = Pipeline(FrameSource(frames, live=True), model, overlap=True)
    assert not pipeline.overlap
    pipeline = Pipeline(FrameSource(frames), model, policy=Policy.NEWEST, overlap=True)
    with pipeline:
        seen = [step.result.index for step in pipeline.steps()]
    assert not pipeline.overlap
    assert len(seen) + sum(pipeline.dropped.values()) == len(frames)


def test_a_source_that_hangs_does_not_keep_the_program(model, frames, monkeypatch) -> None:
    release = threading.Event()

    class Hanging(FrameSource):
        def frames(self) -> Iterator[Frame]:
            yield from self.listed[:2]
            release.wait(WAIT_S)

    monkeypatch.setattr("mejiro_runtime.pipeline.CLOSE_TIMEOUT_S", 0.01)
    source = Hanging(frames)
    with Pipeline(source, model, overlap=True) as pipeline:
        steps = pipeline.steps()
        next(steps)
        next(steps)
    assert source.closed == 0
    release.set()
    pipeline._ahead.thread.join(WAIT_S)
    assert not pipeline._ahead.thread.is_alive()

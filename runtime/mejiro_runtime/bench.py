"""Measure a model on a source: the same pipeline that runs live, and nothing else."""

from __future__ import annotations

import statistics
from array import array
from collections.abc import Callable, Generator, Iterator
from itertools import islice
from time import perf_counter_ns
from typing import Any, NamedTuple

import numpy as np

from mejiro_runtime.errors import SourceError
from mejiro_runtime.intervals import Ratio, median_ratio
from mejiro_runtime.latency import Distribution, LatencyRecorder, LatencyReport
from mejiro_runtime.model import Model
from mejiro_runtime.overlap import Ahead
from mejiro_runtime.pipeline import CLOSE_TIMEOUT_S, Pipeline, Step
from mejiro_runtime.sources import Source, lost
from mejiro_runtime.telemetry import peak_memory_bytes
from mejiro_runtime.types import Frame

BLOCK_FRAMES = 20
STEADY_WINDOW = 10
STEADY_WITHIN = 0.05
MAX_WARMUP_FRAMES = 200
OVERLAP_BLOCK = 40


class Warmup:
    """Decide when a stream of durations has become steady.

    It is steady once the medians of the last two windows of `STEADY_WINDOW` frames lie within
    `STEADY_WITHIN` of each other.
    """

    def __init__(self) -> None:
        self.durations_ns: list[int] = []

    @property
    def steady(self) -> bool:
        """Whether the last two windows agree."""
        if len(self.durations_ns) < 2 * STEADY_WINDOW:
            return False
        before = statistics.median(self.durations_ns[-2 * STEADY_WINDOW : -STEADY_WINDOW])
        after = statistics.median(self.durations_ns[-STEADY_WINDOW:])
        return abs(after - before) <= STEADY_WITHIN * before


def measure(
    source: Source,
    model: Model,
    *,
    frames: int = 200,
    load_ns: int | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> LatencyReport:
    """Run `frames` frames after a warm-up and return what they cost, by stage.

    The bare engine is timed in blocks between blocks of frames, so that both meet the same
    state of the machine; a live source, which would go on meanwhile, has its block at the end.
    A source that ends early gives a report of fewer frames; one that ends in the warm-up raises
    SourceError.
    """
    recorder, warmup = LatencyRecorder(capacity=max(1, frames)), Warmup()
    bare_ns: list[int] = []
    steps_ns = array("q")
    first_infer_ns, total = 0, 0
    with Pipeline(source, model) as pipeline:
        steps = pipeline.steps()
        while not warmup.steady and len(warmup.durations_ns) < MAX_WARMUP_FRAMES:
            step = _next(steps, source, len(warmup.durations_ns))
            if not warmup.durations_ns:
                first_infer_ns = step.result.timing.infer_ns
            warmup.durations_ns.append(step.result.timing.frame_to_label_ns)
        dropped_before = dict(pipeline.dropped)
        lost_before = lost(source)
        while total < frames:
            start = perf_counter_ns()
            found = next(steps, None)
            if found is None:
                break
            steps_ns.append(perf_counter_ns() - start)
            recorder.add(found.result.timing, found.sink_ns)
            total += 1
            if total % BLOCK_FRAMES == 0 and not source.live:
                bare_ns += _time_engine(model, BLOCK_FRAMES)
            if on_progress is not None:
                on_progress(total, frames)
        dropped = {
            cause: count - dropped_before.get(cause, 0) for cause, count in pipeline.dropped.items()
        }
        lost_after = lost(source)
    bare_ns = bare_ns or _time_engine(model, BLOCK_FRAMES)
    if not total:
        raise SourceError(f"{source.description} ended in the warm-up; give one with more frames")
    return LatencyReport(
        frames=total,
        elapsed_ns=sum(steps_ns),
        stages=recorder.summary(),
        load_ns=load_ns,
        first_infer_ns=first_infer_ns,
        warmup_frames=len(warmup.durations_ns),
        steady=warmup.steady,
        bare=Distribution.of(bare_ns),
        dropped={cause: count for cause, count in dropped.items() if count},
        peak_memory_bytes=peak_memory_bytes(),
        durations={
            **recorder.durations(),
            "step": np.array(steps_ns, dtype=np.int64),
            "bare": np.array(bare_ns, dtype=np.int64),
        },
        outages=lost_after[0] - lost_before[0],
        outage_ns=lost_after[1] - lost_before[1],
    )


class Overlap(NamedTuple):
    """Hold what reading and preprocessing ahead bought, in frames a second, by turns.

    `gain` is throughput with overlap over that without; `of_bare` over that of the engine alone.
    """

    with_overlap: float
    without: float
    bare: float
    gain: Ratio
    of_bare: Ratio

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "frames_per_second": round(self.with_overlap, 3),
            "frames_per_second_without": round(self.without, 3),
            "frames_per_second_bare_engine": round(self.bare, 3),
            "gain": self.gain.to_json(),
            "of_bare_engine": self.of_bare.to_json(),
        }


def measure_overlap(source: Source, model: Model, *, frames: int) -> Overlap | None:
    """Run some `frames` each with overlap, without, and in the bare engine, in blocks by turns.

    A source that ends begins anew. Returns None where nobody could overlap anything, because the
    source is live, or where `frames` make no block.
    """
    rounds = frames // OVERLAP_BLOCK
    if source.live or not rounds:
        return None
    stream = _endless(source)
    ways: list[Callable[[], object]] = [
        lambda: _run_ahead(stream, model),
        lambda: [model(frame) for frame in islice(stream, OVERLAP_BLOCK)],
        lambda: _time_engine(model, OVERLAP_BLOCK),
    ]
    taken: list[list[int]] = [[] for _ in ways]
    try:
        for number in range(-1, rounds):
            order = range(len(ways)) if number % 2 else reversed(range(len(ways)))
            for place in order:
                start = perf_counter_ns()
                ways[place]()
                if number >= 0:
                    taken[place].append(perf_counter_ns() - start)
    finally:
        stream.close()
    ahead, plain, bare = taken
    return Overlap(
        with_overlap=OVERLAP_BLOCK * 1e9 / statistics.median(ahead),
        without=OVERLAP_BLOCK * 1e9 / statistics.median(plain),
        bare=OVERLAP_BLOCK * 1e9 / statistics.median(bare),
        gain=median_ratio(plain, ahead),
        of_bare=median_ratio(bare, ahead),
    )


def _run_ahead(stream: Iterator[Frame], model: Model) -> None:
    ahead = Ahead(islice(stream, OVERLAP_BLOCK), model)
    try:
        for _ in ahead.results():
            pass
    finally:
        ahead.close(CLOSE_TIMEOUT_S)


def _endless(source: Source) -> Generator[Frame, None, None]:
    """Give the frames of `source`, and those of a new start when it ends."""
    while True:
        given = 0
        with source:
            for frame in source.frames():
                yield frame
                given += 1
        if not given:
            raise SourceError(f"{source.description} gave no frames; use synthetic:640x480")


def _next(steps: Iterator[Step], source: Source, done: int) -> Step:
    """Return the next warm-up step, or say that the source is too short to measure with."""
    step = next(steps, None)
    if step is None:
        raise SourceError(
            f"{source.description} ended after {done} frames, too few to measure; "
            "use a longer one, or synthetic:640x480"
        )
    return step


def _time_engine(model: Model, count: int) -> list[int]:
    """Return the nanoseconds of `count` bare runs of the engine on the tensors it holds."""
    durations = []
    for _ in range(count):
        start = perf_counter_ns()
        model.backend.invoke()
        durations.append(perf_counter_ns() - start)
    return durations

"""Measure a model on a source: the same pipeline that runs live, and nothing else."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator
from time import perf_counter_ns

from mejiro_runtime.errors import SourceError
from mejiro_runtime.latency import Distribution, LatencyRecorder, LatencyReport
from mejiro_runtime.model import Model
from mejiro_runtime.pipeline import Pipeline, Step
from mejiro_runtime.sources import Source, lost
from mejiro_runtime.telemetry import peak_memory_bytes

BLOCK_FRAMES = 20
STEADY_WINDOW = 10
STEADY_WITHIN = 0.05
MAX_WARMUP_FRAMES = 200


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
    elapsed_ns, first_infer_ns, total = 0, 0, 0
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
            elapsed_ns += perf_counter_ns() - start
            if found is None:
                break
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
        elapsed_ns=elapsed_ns,
        stages=recorder.summary(),
        load_ns=load_ns,
        first_infer_ns=first_infer_ns,
        warmup_frames=len(warmup.durations_ns),
        steady=warmup.steady,
        bare=Distribution.of(bare_ns),
        dropped={cause: count for cause, count in dropped.items() if count},
        peak_memory_bytes=peak_memory_bytes(),
        outages=lost_after[0] - lost_before[0],
        outage_ns=lost_after[1] - lost_before[1],
    )


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

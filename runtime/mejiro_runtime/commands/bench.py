"""Measure latency by stage, and the bare engine beside it; or by minute, for as long as asked."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from mejiro_runtime.bench import measure, measure_overlap
from mejiro_runtime.commands.opening import check_positive, context, open_chosen
from mejiro_runtime.commands.printing import (
    overlap_line,
    print_judgement,
    print_report,
    print_window,
    write,
    write_json,
)
from mejiro_runtime.errors import UsageError
from mejiro_runtime.latency import LatencyReport
from mejiro_runtime.model import Model
from mejiro_runtime.pipeline import Pipeline
from mejiro_runtime.requirements import (
    Judgement,
    Requirement,
    Verdict,
    judge,
    parse_requirement,
)
from mejiro_runtime.sensors import Reading, Sampler
from mejiro_runtime.sources import Source, open_source
from mejiro_runtime.sustained import Sustained, describe, parse_duration, window_seconds
from mejiro_runtime.telemetry import peak_memory_bytes

DEFAULT_FRAMES = 200


def execute(options: argparse.Namespace) -> int:
    """Measure and print a latency report; return 1 unless all that is required passes."""
    check_positive(options.frames, "frames")
    requirements = [parse_requirement(text) for text in options.require]
    seconds = None if options.sustained is None else parse_duration(options.sustained)
    if seconds is not None and options.frames is not None:
        raise UsageError("--sustained measures for a time, --frames so many; give one of them")
    source = open_source(options.source)
    bundle, model, load_ns = open_chosen(options)
    with model, Sampler() as sampler:
        about = context(bundle, model, source.description)
        if seconds is None:
            found = _bench(source, model, options.frames or DEFAULT_FRAMES, load_ns)
        else:
            found = _sustain(source, model, seconds, load_ns, sampler, quiet=options.json)
    judgements = _judge(requirements, found.report, source, sampler.history)
    if options.json:
        value = {**about, **found.report.to_json(), **found.more}
        value["telemetry"] = sampler.latest and sampler.latest.to_json()
        value["requirements"] = [one.to_json() for one in judgements]
        write_json(value)
    else:
        print_report(about, found.report)
        for one in judgements:
            print_judgement(one)
        for line in found.lines:
            write(line)
    if found.interrupted is not None:
        sys.stdout.flush()
        raise found.interrupted
    return 0 if all(one.verdict is Verdict.PASS for one in judgements) else 1


class _Found(NamedTuple):
    """Hold what was measured, and what is told of it besides: to programs, and to people."""

    report: LatencyReport
    more: dict[str, Any]
    lines: list[str]
    interrupted: KeyboardInterrupt | None = None


def _bench(source: Source, model: Model, frames: int, load_ns: int) -> _Found:
    report = measure(source, model, frames=frames, load_ns=load_ns)
    overlap = measure_overlap(source, model, frames=frames)
    lines = [] if overlap is None else [overlap_line(overlap)]
    return _Found(report, {"overlap": overlap and overlap.to_json()}, lines)


def _judge(
    requirements: Sequence[Requirement],
    report: LatencyReport,
    source: Source,
    readings: Iterable[Reading],
) -> list[Judgement]:
    found = [one.temperature_celsius for one in readings if one.temperature_celsius is not None]
    highest = max(found, default=None)
    return judge(requirements, report, live=source.live, temperature_celsius=highest)


def _sustain(
    source: Source, model: Model, seconds: int, load_ns: int, sampler: Sampler, *, quiet: bool
) -> _Found:
    """Measure for `seconds`, by windows; Ctrl-C ends that with what was measured until then."""
    interrupted: KeyboardInterrupt | None = None
    pipeline = Pipeline(source, model)
    run = Sustained(
        seconds,
        latest=lambda: sampler.latest,
        on_window=None if quiet else print_window,
        window_s=window_seconds(seconds),
    )
    try:
        with pipeline:
            run.run(pipeline.steps())
    except KeyboardInterrupt as reason:
        interrupted = reason
    report = LatencyReport(
        frames=run.recorder.count,
        elapsed_ns=run.elapsed_ns,
        stages=run.recorder.summary(),
        load_ns=load_ns,
        first_infer_ns=run.first_infer_ns,
        dropped=pipeline.dropped,
        peak_memory_bytes=peak_memory_bytes(),
        durations={**run.recorder.durations(), "step": np.array(run.steps_ns, dtype=np.int64)},
    )
    verdict = describe(run.windows)
    sustained = {
        "seconds": round(run.elapsed_ns / 1e9, 3),
        "verdict": verdict,
        "windows": [window.to_json() for window in run.windows],
    }
    return _Found(report, {"sustained": sustained}, [f"verdict: {verdict}"], interrupted)

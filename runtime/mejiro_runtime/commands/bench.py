"""Measure latency by stage, and the bare engine beside it."""

from __future__ import annotations

import argparse
from collections.abc import Iterable

from mejiro_runtime.bench import measure, measure_overlap
from mejiro_runtime.commands.opening import check_positive, context, open_chosen
from mejiro_runtime.commands.printing import (
    print_judgement,
    print_overlap,
    print_report,
    write_json,
)
from mejiro_runtime.requirements import Verdict, judge, parse_requirement
from mejiro_runtime.sensors import Reading, Sampler
from mejiro_runtime.sources import open_source


def execute(options: argparse.Namespace) -> int:
    """Measure and print a latency report; return 1 unless all that is required passes."""
    check_positive(options.frames, "frames")
    requirements = [parse_requirement(text) for text in options.require]
    source = open_source(options.source)
    bundle, model, load_ns = open_chosen(options)
    with model, Sampler() as sampler:
        report = measure(source, model, frames=options.frames, load_ns=load_ns)
        overlap = measure_overlap(source, model, frames=options.frames)
        about = context(bundle, model, source.description)
    judgements = judge(
        requirements, report, live=source.live, temperature_celsius=highest(sampler.history)
    )
    if options.json:
        write_json(
            {
                **about,
                **report.to_json(),
                "overlap": overlap and overlap.to_json(),
                "telemetry": sampler.latest and sampler.latest.to_json(),
                "requirements": [one.to_json() for one in judgements],
            }
        )
    else:
        print_report(about, report)
        if overlap is not None:
            print_overlap(overlap)
        for one in judgements:
            print_judgement(one)
    return 0 if all(one.verdict is Verdict.PASS for one in judgements) else 1


def highest(readings: Iterable[Reading]) -> float | None:
    """Return the highest temperature that was read, in degrees Celsius."""
    found = [one.temperature_celsius for one in readings if one.temperature_celsius is not None]
    return max(found, default=None)

"""Measure latency by stage, and the bare engine beside it."""

from __future__ import annotations

import argparse

from mejiro_runtime.bench import measure, measure_overlap
from mejiro_runtime.commands.opening import check_positive, context, open_chosen
from mejiro_runtime.commands.printing import print_overlap, print_report, write_json
from mejiro_runtime.sources import open_source


def execute(options: argparse.Namespace) -> int:
    """Measure and print a latency report."""
    check_positive(options.frames, "frames")
    source = open_source(options.source)
    bundle, model, load_ns = open_chosen(options)
    with model:
        report = measure(source, model, frames=options.frames, load_ns=load_ns)
        overlap = measure_overlap(source, model, frames=options.frames)
        about = context(bundle, model, source.description)
    if options.json:
        write_json({**about, **report.to_json(), "overlap": overlap and overlap.to_json()})
    else:
        print_report(about, report)
        if overlap is not None:
            print_overlap(overlap)
    return 0

"""Run frames through a model and show what it sees.

This is the command that starts quickest: what only some of its options need is imported there.
"""

from __future__ import annotations

import argparse
import sys
from contextlib import suppress
from time import perf_counter_ns

from mejiro_runtime import telemetry
from mejiro_runtime.commands.opening import check_positive, context, open_chosen
from mejiro_runtime.commands.printing import print_report, write_json
from mejiro_runtime.commands.showing import open_sinks
from mejiro_runtime.errors import EndOfRun
from mejiro_runtime.latency import LatencyRecorder, LatencyReport
from mejiro_runtime.pipeline import Pipeline
from mejiro_runtime.sinks import Sink
from mejiro_runtime.sinks.console import LinesSink, TableSink
from mejiro_runtime.sinks.jsonlines import JsonLinesSink
from mejiro_runtime.sources import Outage, lost, open_source, outages_of


def execute(options: argparse.Namespace) -> int:
    """Run frames until the source ends, `--frames` are done, or Ctrl-C."""
    check_positive(options.frames, "frames")
    check_positive(options.top, "top")
    source = open_source(options.source)
    if (outages := outages_of(source)) is not None:
        outages.on_change = _tell
    bundle, model, load_ns = open_chosen(options, top=options.top)
    sink: Sink
    if options.json:
        sink = JsonLinesSink(sys.stdout)
    elif sys.stdout.isatty():
        sink = TableSink(sys.stdout)
    else:
        sink = LinesSink(sys.stdout)
    recorder = LatencyRecorder()
    first_infer_ns: int | None = None
    interrupted = False
    start = perf_counter_ns()
    with model, open_sinks(options, bundle, model, source) as more:
        pipeline = Pipeline(source, model, [sink, *more.sinks])
        more.pipeline = pipeline
        try:
            with pipeline:
                for step in pipeline.steps(options.frames):
                    if first_infer_ns is None:
                        first_infer_ns = step.result.timing.infer_ns
                    recorder.add(step.result.timing, step.sink_ns)
        except KeyboardInterrupt:
            # Ctrl-C is how one ends a camera: what was measured until then is still told.
            interrupted = True
        except EndOfRun:
            pass  # a closed window is as good an end as the source's own
        report = LatencyReport(
            frames=recorder.count,
            elapsed_ns=perf_counter_ns() - start,
            stages=recorder.summary(),
            load_ns=load_ns,
            first_infer_ns=first_infer_ns,
            dropped=pipeline.dropped,
            peak_memory_bytes=telemetry.peak_memory_bytes(),
            outages=lost(source)[0],
            outage_ns=lost(source)[1],
        )
        about = {**context(bundle, model, source.description), "skipped": source.skipped}
    if options.json:
        write_json({"summary": {**about, **report.to_json()}}, indent=None)
    else:
        print_report(about, report)
    if interrupted:
        sys.stdout.flush()
        raise KeyboardInterrupt
    return 0


def _tell(outage: Outage) -> None:
    """Say on standard error that the source is lost, or back: there may be no page that does."""
    line = f"{outage.reason}; trying again"
    if outage.ended_ns is not None:
        line = f"the source is back after {(outage.ended_ns - outage.began_ns) / 1e9:.1f} s"
    # A reason may quote what a stranger's server said.
    line = "".join(letter if letter.isprintable() else "?" for letter in line)
    with suppress(OSError):
        sys.stderr.write(f"mejiro-run: {line}\n")
        sys.stderr.flush()

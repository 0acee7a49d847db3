"""Run frames through a model and show what it sees.

This is the command that starts quickest: what only some of its options need is imported there.
"""

from __future__ import annotations

import argparse
import sys
from contextlib import AbstractContextManager, nullcontext, suppress
from time import perf_counter_ns
from typing import TYPE_CHECKING

from mejiro_runtime import telemetry
from mejiro_runtime.bundle import Bundle
from mejiro_runtime.commands.opening import check_positive, context, open_chosen
from mejiro_runtime.commands.printing import print_report, write_json
from mejiro_runtime.commands.showing import open_sinks
from mejiro_runtime.latency import LatencyRecorder, LatencyReport
from mejiro_runtime.model import Model
from mejiro_runtime.pipeline import Pipeline, Step
from mejiro_runtime.sinks import Sink
from mejiro_runtime.sinks.console import LinesSink, TableSink
from mejiro_runtime.sinks.jsonlines import JsonLinesSink
from mejiro_runtime.sources import Outage, lost, open_source, outages_of

if TYPE_CHECKING:
    from mejiro_runtime.commands.climbing import Climber


def open_beside(
    options: argparse.Namespace, bundle: Bundle, model: Model
) -> AbstractContextManager[Climber | None]:
    """Open what --keep-fps changes to; without it, nothing."""
    if options.keep_fps is None:
        return nullcontext()
    from mejiro_runtime.commands.climbing import open_ladder

    return open_ladder(options, bundle, model)


def execute(options: argparse.Namespace) -> int:
    """Run frames until the source ends, `--frames` are done, or Ctrl-C."""
    check_positive(options.frames, "frames")
    check_positive(options.top, "top")
    source = open_source(options.source)
    if (outages := outages_of(source)) is not None:
        outages.on_change = _tell
    bundle, model, load_ns = open_chosen(options, top=options.top)
    interrupted: KeyboardInterrupt | None = None
    with (
        model,
        open_beside(options, bundle, model) as climber,
        open_sinks(options, bundle, model if climber is None else climber.model, source) as more,
    ):
        # A frame that is prepared ahead is prepared for one model.
        sinks = [terminal_sink(options), *more.sinks]
        pipeline = Pipeline(source, more.model, sinks, overlap=climber is None)
        more.pipeline = pipeline
        counted = _Counted(load_ns)
        try:
            with pipeline:
                for step in pipeline.steps(options.frames):
                    counted.add(step)
                    if counted.recorder.count == 1:
                        more.watch()
                    if climber is not None:
                        climber.follow(step, pipeline, more, json=options.json)
        except KeyboardInterrupt as reason:
            # Ctrl-C is how one ends a camera: what was measured until then is still told.
            interrupted = reason
        report = counted.report(pipeline)
        about = context(bundle, more.model, source.description)
        about |= {"skipped": source.skipped, **more.told()}
        if climber is not None:
            about |= climber.told()
    if options.json:
        write_json({"summary": {**about, **report.to_json()}}, indent=None)
    else:
        print_report(about, report)
    if interrupted is not None:
        sys.stdout.flush()
        raise interrupted
    return 0


def terminal_sink(options: argparse.Namespace) -> Sink:
    """Return what shows results on standard output."""
    if options.json:
        return JsonLinesSink(sys.stdout)
    return TableSink(sys.stdout) if sys.stdout.isatty() else LinesSink(sys.stdout)


class _Counted:
    """Gather what the report tells of the frames."""

    def __init__(self, load_ns: int) -> None:
        self.recorder = LatencyRecorder()
        self._load_ns = load_ns
        self._first_infer_ns: int | None = None
        self._start_ns = perf_counter_ns()

    def add(self, step: Step) -> None:
        if self._first_infer_ns is None:
            self._first_infer_ns = step.result.timing.infer_ns
        self.recorder.add(step.result.timing, step.sink_ns)

    def report(self, pipeline: Pipeline) -> LatencyReport:
        outages, outage_ns = lost(pipeline.source)
        return LatencyReport(
            frames=self.recorder.count,
            elapsed_ns=perf_counter_ns() - self._start_ns,
            stages=self.recorder.summary(),
            load_ns=self._load_ns,
            first_infer_ns=self._first_infer_ns,
            dropped=pipeline.dropped,
            peak_memory_bytes=telemetry.peak_memory_bytes(),
            outages=outages,
            outage_ns=outage_ns,
        )


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

"""Write to standard output what commands report."""

from __future__ import annotations

import json
import sys
from typing import Any

from mejiro_runtime.latency import Distribution, LatencyReport
from mejiro_runtime.sinks.console import format_ms


def write(text: str = "") -> None:
    """Write one line."""
    sys.stdout.write(text + "\n")


def write_json(value: Any, *, indent: int | None = 2) -> None:
    """Write a JSON value."""
    write(json.dumps(value, ensure_ascii=False, indent=indent))


def print_report(context: dict[str, Any], report: LatencyReport) -> None:
    """Write what a run measured, and with what."""
    backend = context["backend"]
    write(f"{context['artifact']} on {backend['engine']} {backend['version']}")
    write(
        f"  {backend['accelerator']}, {backend['threads']} threads; pixels by {context['kernel']}; "
        f"{context['source']}"
    )
    if backend["fallback"]:
        write(f"  FALLBACK: asked for {backend['requested']}, but {backend['fallback']}")
    if context.get("skipped"):
        write(f"  skipped, unreadable: {', '.join(context['skipped'])}")
    write(f"  {'ms':14}{'p50':>9}{'p90':>9}{'p99':>9}{'max':>9}")
    for stage, value in report.stages.items():
        write(f"  {stage:14}{_row(value)}")
    if report.bare is not None:
        write(f"  {'bare engine':14}{_row(report.bare)}")
    if report.overhead is not None:
        write(f"  frame to label / bare engine, medians: {report.overhead:.3f}")
    facts = [f"{report.frames} frames", f"{report.frames_per_second:.1f} frames a second"]
    if report.load_ns is not None:
        facts.append(f"load {format_ms(report.load_ns)} ms")
    if report.first_infer_ns is not None:
        facts.append(f"first inference {format_ms(report.first_infer_ns)} ms")
    if report.warmup_frames:
        state = "until steady" if report.steady else "and NOT steady: take the figures with care"
        facts.append(f"{report.warmup_frames} warm-up frames {state}")
    facts += [f"{count} dropped because {cause}" for cause, count in report.dropped.items()]
    if report.outages:
        times = "once" if report.outages == 1 else f"{report.outages} times"
        facts.append(f"source lost {times}, for {report.outage_ns / 1e9:.1f} s in all")
    if report.peak_memory_bytes is not None:
        facts.append(f"peak memory {report.peak_memory_bytes / 1e6:.0f} MB")
    write("  " + "; ".join(facts))


def _row(value: Distribution) -> str:
    numbers = (value.p50_ns, value.p90_ns, value.p99_ns, value.max_ns)
    return "".join(f"{format_ms(number):>9}" for number in numbers)

"""Write to standard output what commands report."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

from mejiro_runtime.latency import Distribution, LatencyReport
from mejiro_runtime.sinks.console import format_ms

if TYPE_CHECKING:
    from mejiro_runtime.bench import Overlap
    from mejiro_runtime.intervals import Ratio
    from mejiro_runtime.requirements import Judgement
    from mejiro_runtime.sustained import Window


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


def overlap_line(overlap: Overlap) -> str:
    """Return what reading ahead of the engine bought."""
    return (
        f"  reading ahead of the engine: {overlap.with_overlap:.1f} frames a second, "
        f"{overlap.without:.1f} without, {overlap.bare:.1f} of the bare engine; "
        f"a gain of {_interval(overlap.gain)} ×, {_interval(overlap.of_bare)} of the bare engine"
    )


def _interval(ratio: Ratio) -> str:
    return f"{ratio.median:.3f} [{ratio.low:.3f}, {ratio.high:.3f}]"


def print_judgement(one: Judgement) -> None:
    """Write how a requirement fared, and what that rests on."""
    unit = f" {one.requirement.unit}" if one.requirement.unit else ""
    bounds = [f"{value:.4g}" if value is not None else "?" for value in (one.low, one.high)]
    text = "not measured" if one.measured is None else f"{one.measured:.4g}{unit}"
    if one.measured is not None and one.low != one.high:
        text += f" [{bounds[0]}, {bounds[1]}]"
    write(f"{one.verdict.value} {one.requirement}: {text}, {one.why}")


def print_window(window: Window) -> None:
    """Write what one window of a sustained run was like; what no sensor told is left out."""
    facts = [f"{window.frames} frames"]
    if window.p50_ns is not None and window.p95_ns is not None:
        facts.append(f"p50 {format_ms(window.p50_ns)}, p95 {format_ms(window.p95_ns)} ms")
    if window.temperature_celsius is not None:
        facts.append(f"{window.temperature_celsius:.0f} °C")
    if window.clock_hz is not None:
        facts.append(f"{window.clock_hz / 1e9:.2f} GHz")
    if window.power_watts is not None:
        facts.append(f"{window.power_watts:.1f} W")
    if window.throttled:
        facts.append(", ".join(window.throttled))
    write(f"{window.began_s:6.0f} to {window.ended_s:.0f} s: {'; '.join(facts)}")
    sys.stdout.flush()

"""Do what each command of `mejiro-run` asks: open, run, and print.

`run` starts quickest: what only other commands need is imported in their functions.
"""

from __future__ import annotations

import argparse
import gc
import json
import sys
from pathlib import Path
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any

from mejiro_runtime import telemetry
from mejiro_runtime.bundle import Bundle, open_bundle
from mejiro_runtime.errors import UsageError
from mejiro_runtime.latency import Distribution, LatencyRecorder, LatencyReport
from mejiro_runtime.model import Model, open_model
from mejiro_runtime.pipeline import Pipeline
from mejiro_runtime.selection import choose_card, runnable_cards
from mejiro_runtime.sinks import Sink
from mejiro_runtime.sinks.console import LinesSink, TableSink, format_ms
from mejiro_runtime.sinks.jsonlines import JsonLinesSink
from mejiro_runtime.sources import open_source

if TYPE_CHECKING:
    from mejiro_runtime.verify import Verification


def _print(text: str = "") -> None:
    sys.stdout.write(text + "\n")


def _print_json(value: Any) -> None:
    _print(json.dumps(value, ensure_ascii=False, indent=2))


def _open(options: argparse.Namespace, *, top: int = 5) -> tuple[Bundle, Model, int]:
    """Return the bundle, its chosen model, and the nanoseconds that loading it took."""
    bundle = open_bundle(Path(options.bundle))
    return (bundle, *_open_model(bundle, options, top=top))


def _open_model(
    bundle: Bundle, options: argparse.Namespace, *, top: int = 5, artifact: str | None = None
) -> tuple[Model, int]:
    card = choose_card(bundle, artifact=artifact or options.artifact, backend=options.backend)
    start = perf_counter_ns()
    model = open_model(
        bundle.model_path(card),
        card,
        backend=options.backend,
        threads=options.threads,
        allow_fallback=options.allow_fallback,
        top=top,
    )
    load_ns = perf_counter_ns() - start
    # What the start made stays to the end; to search it for garbage would hold up some frame.
    gc.freeze()
    gc.enable()
    return model, load_ns


def _positive(value: int | None, name: str) -> None:
    if value is not None and value < 1:
        raise UsageError(f"--{name} must be 1 or more, found {value}")


def _context(bundle: Bundle, model: Model, source: str) -> dict[str, Any]:
    """Return what every report says of its surroundings."""
    return {
        "bundle": bundle.manifest.name,
        "artifact": model.card.file,
        "precision": model.card.precision.value,
        "backend": model.info.to_json(),
        "kernel": model.preprocessor.kernel.name,
        "source": source,
        "device": telemetry.describe_machine(),
        "temperature_celsius": telemetry.temperature_celsius(),
    }


def run(options: argparse.Namespace) -> int:
    """Run frames until the source ends, `--frames` are done, or Ctrl-C."""
    _positive(options.frames, "frames")
    _positive(options.top, "top")
    source = open_source(options.source)
    bundle, model, load_ns = _open(options, top=options.top)
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
    with model:
        pipeline = Pipeline(source, model, [sink])
        try:
            with pipeline:
                for step in pipeline.steps(options.frames):
                    if first_infer_ns is None:
                        first_infer_ns = step.result.timing.infer_ns
                    recorder.add(step.result.timing, step.sink_ns)
        except KeyboardInterrupt:
            # Ctrl-C is how one ends a camera: what was measured until then is still told.
            interrupted = True
        report = LatencyReport(
            frames=recorder.count,
            elapsed_ns=perf_counter_ns() - start,
            stages=recorder.summary(),
            load_ns=load_ns,
            first_infer_ns=first_infer_ns,
            dropped=pipeline.dropped,
            peak_memory_bytes=telemetry.peak_memory_bytes(),
        )
        context = {**_context(bundle, model, source.description), "skipped": source.skipped}
    if options.json:
        _print(json.dumps({"summary": {**context, **report.to_json()}}, ensure_ascii=False))
    else:
        _print_report(context, report)
    if interrupted:
        sys.stdout.flush()
        raise KeyboardInterrupt
    return 0


def bench(options: argparse.Namespace) -> int:
    """Measure and print a latency report."""
    from mejiro_runtime.bench import measure

    _positive(options.frames, "frames")
    source = open_source(options.source)
    bundle, model, load_ns = _open(options)
    with model:
        report = measure(source, model, frames=options.frames, load_ns=load_ns)
        context = _context(bundle, model, source.description)
    if options.json:
        _print_json({**context, **report.to_json()})
    else:
        _print_report(context, report)
    return 0


def _print_report(context: dict[str, Any], report: LatencyReport) -> None:
    backend = context["backend"]
    _print(f"{context['artifact']} on {backend['engine']} {backend['version']}")
    _print(
        f"  {backend['accelerator']}, {backend['threads']} threads; pixels by {context['kernel']}; "
        f"{context['source']}"
    )
    if backend["fallback"]:
        _print(f"  FALLBACK: asked for {backend['requested']}, but {backend['fallback']}")
    if context.get("skipped"):
        _print(f"  skipped, unreadable: {', '.join(context['skipped'])}")
    _print(f"  {'ms':14}{'p50':>9}{'p90':>9}{'p99':>9}{'max':>9}")
    for stage, value in report.stages.items():
        _print(f"  {stage:14}{_row(value)}")
    if report.bare is not None:
        _print(f"  {'bare engine':14}{_row(report.bare)}")
    if report.overhead is not None:
        _print(f"  frame to label / bare engine, medians: {report.overhead:.3f}")
    facts = [f"{report.frames} frames", f"{report.frames_per_second:.1f} frames a second"]
    if report.load_ns is not None:
        facts.append(f"load {format_ms(report.load_ns)} ms")
    if report.first_infer_ns is not None:
        facts.append(f"first inference {format_ms(report.first_infer_ns)} ms")
    if report.warmup_frames:
        state = "until steady" if report.steady else "and NOT steady: take the figures with care"
        facts.append(f"{report.warmup_frames} warm-up frames {state}")
    facts += [f"{count} dropped because {cause}" for cause, count in report.dropped.items()]
    if report.peak_memory_bytes is not None:
        facts.append(f"peak memory {report.peak_memory_bytes / 1e6:.0f} MB")
    _print("  " + "; ".join(facts))


def _row(value: Distribution) -> str:
    numbers = (value.p50_ns, value.p90_ns, value.p99_ns, value.max_ns)
    return "".join(f"{format_ms(number):>9}" for number in numbers)


def verify(options: argparse.Namespace) -> int:
    """Verify one artifact, or all that this device can run; return 1 if one differs."""
    bundle = open_bundle(Path(options.bundle))
    verdicts = _verify_artifacts(bundle, options)
    if options.json:
        _print_json(_verification_json(bundle, verdicts))
    else:
        _print_verification(bundle, verdicts)
    return 0 if all(verdict.passed for verdict in verdicts) else 1


def _verify_artifacts(bundle: Bundle, options: argparse.Namespace) -> list[Verification]:
    from mejiro_runtime.verify import verify as verify_bundle

    cards = [choose_card(bundle, artifact=options.artifact, backend=options.backend)]
    if options.artifact is None and options.backend is None:
        cards = runnable_cards(bundle)
    verdicts = []
    for card in cards:
        model, _ = _open_model(bundle, options, artifact=card.file)
        with model:
            verdicts.append(verify_bundle(bundle, model))
    return verdicts


def _not_verified(bundle: Bundle, verdicts: list[Verification]) -> list[str]:
    done = {verdict.artifact for verdict in verdicts}
    return [card.file for card in bundle.manifest.artifacts if card.file not in done]


def _verification_json(bundle: Bundle, verdicts: list[Verification]) -> dict[str, Any]:
    return {
        "bundle": bundle.manifest.name,
        "passed": all(verdict.passed for verdict in verdicts),
        "artifacts": [verdict.to_json() for verdict in verdicts],
        "not_verified": _not_verified(bundle, verdicts),
    }


def _print_verification(bundle: Bundle, verdicts: list[Verification]) -> None:
    _print(f"{bundle.manifest.name}: all {len(bundle.manifest.files)} files are as written")
    for verdict in verdicts:
        _print_verdict(verdict)
    for name in _not_verified(bundle, verdicts):
        _print(f"not verified: {name} (not asked for, or its engine is not installed)")


def _print_verdict(verdict: Verification) -> None:
    backend = verdict.backend
    _print(
        f"{'PASS' if verdict.passed else 'FAIL'} {verdict.artifact} on {backend['engine']} "
        f"{backend['version']} ({backend['accelerator']}), pixels by {verdict.kernel}"
    )
    if backend["fallback"]:
        _print(f"  FALLBACK: {backend['fallback']}")
    _print(
        f"  {verdict.frames} golden frames; outputs within {verdict.largest_output:.6f}, "
        f"allowed {verdict.tolerance.max_abs:.6f} ({verdict.tolerance.why})"
    )
    if verdict.difference is not None:
        _print(f"  first difference: {verdict.difference}")


def info(options: argparse.Namespace) -> int:
    """Tell what a bundle holds."""
    bundle = open_bundle(Path(options.bundle))
    manifest = bundle.manifest
    if options.json:
        _print_json({**manifest.to_json(), "classes": len(bundle.labels)})
        return 0
    total = sum(entry.size_bytes for entry in manifest.files.values())
    _print(f"{manifest.name}: {len(manifest.files)} files, {total / 1e6:.1f} MB, all as written")
    _print(f"  made by {manifest.made_by} for {manifest.target}, {len(bundle.labels)} classes")
    for card in manifest.artifacts:
        spec = card.input
        earned = card.evaluation or {}
        top1, pictures = earned.get("top1"), earned.get("pictures")
        # The host wrote this for people; a card of other origin may hold anything there.
        score = ""
        if isinstance(top1, float) and isinstance(pictures, int):
            score = f", top-1 {100 * top1:.1f}% of {pictures}"
        _print(
            f"  {card.file}: {card.precision.value}, {card.size_bytes / 1e6:.2f} MB, takes "
            f"{spec.width}x{spec.height} {spec.order.value} {spec.dtype.value} by "
            f"{spec.resize.value}{score}"
        )
    _print(f"  {manifest.golden.count} golden frames; runtime {manifest.runtime.get('version')}")
    return 0


def doctor(options: argparse.Namespace) -> int:
    """Tell what this device has; with a bundle, also whether it verifies here."""
    from mejiro_runtime.doctor import examine

    found = examine()
    verdicts: list[Verification] = []
    if not options.json:
        _print_device(found)
    if options.bundle:
        bundle = open_bundle(Path(options.bundle))
        options.artifact = options.backend = options.threads = None
        options.allow_fallback = False
        choose_card(bundle)  # raises if no engine is installed for any of its artifacts
        verdicts = _verify_artifacts(bundle, options)
        found["verification"] = _verification_json(bundle, verdicts)
        if not options.json:
            _print_verification(bundle, verdicts)
    if options.json:
        _print_json(found)
    return 0 if all(verdict.passed for verdict in verdicts) else 1


def _print_device(found: dict[str, Any]) -> None:
    device = found["device"]
    _print(f"mejiro-runtime {found['runtime']}, Python {device['python']}")
    _print(f"  {device['board'] or device['machine']}: {device['cpu']}, {device['cpus']} CPUs")
    for name, engines in found["engines"].items():
        text = ", ".join(f"{key} {value}" for key, value in engines.items()) or "not installed"
        _print(f"  {name}: {text}")
    _print(f"  packages: {', '.join(f'{k} {v}' for k, v in found['packages'].items())}")
    _print(f"  cameras: {', '.join(found['cameras']) or 'none'}")
    for line in found["advice"]:
        _print(f"  advice: {line}")

"""Measure a phone's engine, for `mejiro device bench android`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from mejiro.cli.console import print_json, progress, say
from mejiro.errors import UsageError
from mejiro.phone import PHONE_URL, Adb, BenchmarkOptions, benchmark, find_subject
from mejiro_runtime.files import write_json

DEFAULT_BACKEND = "cpu"
DEFAULT_RUNS = 50
PHONE_ONLY = ("binary", "serial")
OTHERS_ONLY = ("source", "sustained", "require", "root", "ssh_config")


def check_bench_options(url: str) -> None:
    """Raise UsageError for an option on the command line that means nothing for `url`."""
    context = click.get_current_context()
    phone = url == PHONE_URL
    for name in OTHERS_ONLY if phone else PHONE_ONLY:
        if context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            option = "--" + name.replace("_", "-")
            why = "means nothing to benchmark_model" if phone else f"is for the URL '{PHONE_URL}'"
            raise UsageError(f"{option} {why}; leave it out")


def bench_phone(model: Path | None, out: Path | None, settings: dict[str, Any]) -> int:
    """Run the user's benchmark_model on the phone, and write or print its report."""
    binary = settings["binary"]
    if binary is None or model is None:
        raise UsageError(
            "on a phone a benchmark_model runs a model: give it with --binary PATH, and the bundle "
            "or the .tflite file with --bundle PATH"
        )
    chosen = BenchmarkOptions(
        backend=settings["backend"] or DEFAULT_BACKEND,
        threads=settings["threads"] or 1,
        runs=settings["frames"] or DEFAULT_RUNS,
        artifact=settings["artifact"],
    )
    subject = find_subject(model, chosen.artifact)
    with progress() as shown:
        shown.stage("measuring on the phone")
        report = benchmark(Adb.connect(settings["serial"]), binary, subject, chosen)
    if out is None:
        print_json(report)
        return 0
    write_json(out, report)
    infer = report["stages"]["infer"]
    times = ", ".join(
        f"{word} {infer[name] / 1e6:.2f} ms"
        for word, name in (("mean", "mean_ns"), ("p50", "p50_ns"), ("p95", "p95_ns"))
        if name in infer
    )
    ran = report["backend"]["accelerator"]
    say(f"{out}: {report['device']['board']}, {report['artifact']} on {ran}: {times}")
    return 0

"""Time model files against each other on this device."""

from __future__ import annotations

import argparse
from pathlib import Path

from mejiro_runtime.card import read_card
from mejiro_runtime.commands.opening import check_positive
from mejiro_runtime.commands.printing import write, write_json
from mejiro_runtime.race import Conditions, race
from mejiro_runtime.sinks.console import format_ms
from mejiro_runtime.telemetry import describe_machine


def execute(options: argparse.Namespace) -> int:
    """Let the files take turns, and print what each took in each round."""
    check_positive(options.threads, "threads")
    paths = [Path(file) for file in options.files]
    conditions = Conditions(
        options.rounds, options.frames, options.threads, options.backend, options.openings
    )
    paces = race([(path, read_card(path)) for path in paths], conditions)
    if options.json:
        write_json(
            {"device": describe_machine(), "paces": [pace.to_json() for pace in paces]}, indent=None
        )
        return 0
    for path, pace in zip(paths, paces, strict=True):
        write(f"{path}: {format_ms(pace.median_ns)} ms from frame to label, on {pace.engine}")
    return 0

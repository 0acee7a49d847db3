"""Find the fastest artifact, engine and number of threads, and keep the choice."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from mejiro_runtime.bundle import open_bundle, tuned_path
from mejiro_runtime.commands.printing import write, write_json
from mejiro_runtime.errors import UsageError
from mejiro_runtime.sinks.console import format_ms
from mejiro_runtime.tune import Timed, Tuning, recorded_top1, tune
from mejiro_runtime.tuned import write_tuned


def execute(options: argparse.Namespace) -> int:
    """Measure, choose, and write the choice beside the bundle."""
    folder = Path(options.bundle)
    bundle = open_bundle(folder)
    path = tuned_path(folder)
    if not os.access(path.parent, os.W_OK):
        raise UsageError(f"{path.parent} cannot be written, where the choice is to be kept")
    found = tune(
        bundle, max_drop=options.max_drop, on_progress=_show if sys.stderr.isatty() else None
    )
    write_tuned(folder, found.tuned, measured=found.to_json())
    if options.json:
        write_json({"written": str(path), **found.to_json()})
    else:
        _print(found)
        write(f"run and bench use this from now on: {path}")
    return 0


def _show(stage: str, done: int, total: int) -> None:
    end = "\n" if done == total else ""
    sys.stderr.write(f"\r{stage} {done} of {total}  {end}")
    sys.stderr.flush()


def _print(found: Tuning) -> None:
    write(f"{'ms':>9}  {'to default, 95%':22} {'top-1':>6}")
    for one in found.raced:
        write(_line(one, one == found.choice))
    raced = [one.way for one in found.raced]
    others = [one for one in found.tried if one.way not in raced]
    if others:
        write("only tried:")
    for one in others:
        write(_line(one, chosen=False))
    for note in found.notes:
        write(f"note: {note}")
    write(f"chosen: {found.choice.way}")


def _line(one: Timed, chosen: bool) -> str:
    ratio = one.to_default
    told = "" if ratio is None else f"{ratio.median:.3f} [{ratio.low:.3f}, {ratio.high:.3f}]"
    top1 = recorded_top1(one.way.card)
    score = "" if top1 is None else f"{100 * top1:.1f}"
    return (
        f"{format_ms(one.median_ns):>9}  {told:22} {score:>6}  {'> ' if chosen else '  '}{one.way}"
    )

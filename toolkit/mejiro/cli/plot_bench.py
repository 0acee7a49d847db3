"""Define `mejiro plot-bench`."""

from __future__ import annotations

from pathlib import Path

import click

from mejiro.cli import options
from mejiro.cli.console import note, say
from mejiro.report.sustained import plot_sustained, read_sustained


@click.command("plot-bench")
@click.argument("file", type=options.PATH)
@click.option("--out", type=options.PATH, required=True, help="An .svg, .png or .pdf to write.")
def plot_bench(file: Path, out: Path) -> None:
    """Draw the sustained run in FILE: latency by minute over temperature and clock.

    \b
    Example:
      mejiro-run bench BUNDLE --sustained 10m --json > run.json     # on the device
      mejiro plot-bench run.json --out run.svg
    """
    run = read_sustained(file)
    plot_sustained(run, out)
    say(run.verdict)
    note(f"drawn: {out}")

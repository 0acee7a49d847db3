"""Define `mejiro compare`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from mejiro.cli import options
from mejiro.cli.comparing_devices import are_reports, compare_devices
from mejiro.cli.console import note, print_json, print_table, progress, say
from mejiro.data.folders import labelled_pictures
from mejiro.errors import UsageError
from mejiro.model import Artifact
from mejiro.quality.compare import Contender, comparison_of
from mejiro.quality.compare import compare as run_comparison
from mejiro.race import DEFAULT_ROUNDS, Conditions
from mejiro.report.html import write_page
from mejiro.report.numbers import megabytes, milliseconds, percent
from mejiro.report.pareto import pareto_page
from mejiro_runtime.files import write_json

PAGE_NAME, JSON_NAME = "comparison.html", "comparison.json"


@click.command()
@click.argument("artifacts", nargs=-1, required=True, type=options.PATH)
@click.option("--data", type=options.PATH, help="Folders of pictures, by class.")
@click.option("--out", type=options.PATH, help=f"A folder for {PAGE_NAME} and {JSON_NAME}.")
@click.option(
    "--rounds",
    type=click.IntRange(1, 10_000),
    default=DEFAULT_ROUNDS,
    show_default=True,
    help="In each, every file runs some frames.",
)
@options.threads
@options.as_json
def compare(
    artifacts: tuple[Path, ...],
    data: Path | None,
    out: Path | None,
    rounds: int,
    threads: int | None,
    as_json: bool,
) -> None:
    """Weigh ARTIFACTS by accuracy, latency, size and multiply-adds; or devices by their reports.

    Each file is scored on the pictures in DATA and timed on this machine, by turns with the
    others. A file is dominated if another is as accurate, not slower beyond what chance does and
    not larger, and better in one of these.

    Reports, the .json files that `mejiro-run bench --json` wrote on devices, are set side by side
    as they are; nothing is run for them.

    \b
    Examples:
      mejiro compare build/*.tflite build/*.onnx --data labelled --out comparison
      mejiro compare kitchen.json cellar.json
    """
    if are_reports(artifacts):
        if data is not None or out is not None:
            raise UsageError("reports of devices are shown as they are; leave --data and --out out")
        compare_devices(artifacts, as_json=as_json)
        return
    if data is None:
        raise UsageError("model files are compared on pictures; give some with --data DIR")
    if out is not None and out.exists() and not out.is_dir():
        raise UsageError(f"{out} is a file; name a folder to write to")
    opened = [Artifact.open_classifier(path) for path in artifacts]
    pictures = labelled_pictures(data, opened[0].card.labels)
    conditions = Conditions(rounds=rounds, threads=threads)
    with progress() as shown:
        contenders = run_comparison(
            opened,
            pictures,
            data=data.resolve().name,
            conditions=conditions,
            on_stage=shown.stage,
            on_progress=shown.advance,
        )
    if out is not None:
        _write(out, contenders, conditions)
    if as_json:
        print_json([one.to_json() for one in contenders])
        return
    _print(contenders)
    if out is not None:
        note(f"report: {out / PAGE_NAME}")


def _write(out: Path, contenders: Sequence[Contender], conditions: Conditions) -> None:
    """Write the page and its figures, the page last."""
    page = pareto_page(comparison_of(contenders, conditions))
    out.mkdir(parents=True, exist_ok=True)
    write_json(out / JSON_NAME, [one.to_json() for one in contenders])
    write_page(out / PAGE_NAME, page)


def _print(contenders: Sequence[Contender]) -> None:
    first = contenders[0].evaluation
    rows = [
        [
            one.name,
            one.artifact.card.precision.value,
            f"{percent(one.evaluation.top1)}%",
            f"{milliseconds(one.pace.median_ns)} ms",
            f"{megabytes(one.size_bytes)} MB",
            f"{one.multiply_adds / 1e6:,.0f} M",
            f"dominated by {one.dominated_by}" if one.dominated_by else "",
        ]
        for one in contenders
    ]
    columns = ["file", "precision", ">top-1", ">frame to label", ">size", ">multiply-adds", ""]
    print_table(columns, rows)
    say(f"scored on {first.pictures} pictures of {first.data}; {contenders[0].pace.engine}")

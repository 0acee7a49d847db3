"""Define `mejiro diagnose`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from mejiro.cli import opening, options
from mejiro.cli.console import note, print_json, print_table, progress, say
from mejiro.data.calibration import calibration_from_folder
from mejiro.errors import UsageError
from mejiro.model import Artifact
from mejiro.quality.diagnose import DEFAULT_ALONE, Diagnosis, LayerFindings, examples_from_folder
from mejiro.quality.diagnose import diagnose as run_diagnosis
from mejiro.report.diagnosis import write_diagnosis
from mejiro.report.diagnosis.words import (
    cause_words,
    decibels,
    is_labelled,
    lead_words,
    own_cause,
)
from mejiro.report.numbers import NOTHING, percent
from mejiro_runtime.files import write_json

JSON_NAME = "diagnosis.json"
_LISTED = 10
_DEFAULT_COUNT, _DEFAULT_SCORED = 32, 500


@click.command()
@click.argument("artifact", type=options.PATH)
@click.option("--against", "model", required=True, help="The model that it was converted from.")
@click.option("--data", type=options.PATH, required=True, help="A folder of pictures.")
@click.option(
    "--count",
    type=click.IntRange(1, 10_000),
    default=_DEFAULT_COUNT,
    show_default=True,
    help="The most pictures to compare layers on.",
)
@click.option(
    "--score-count",
    type=click.IntRange(0, 1_000_000),
    default=_DEFAULT_SCORED,
    show_default=True,
    help="The most pictures to score on; 0 scores nothing.",
)
@click.option(
    "--alone",
    default=str(DEFAULT_ALONE),
    show_default=True,
    metavar="N|all",
    help="Score so many of the worst layers by themselves.",
)
@click.option("--out", type=options.PATH, help="A folder for diagnosis.html and diagnosis.json.")
@opening.model_options
@options.as_json
def diagnose(
    artifact: Path,
    model: str,
    data: Path,
    alone: str,
    out: Path | None,
    as_json: bool,
    **settings: Any,
) -> None:
    """Find the layers by which an int8 ARTIFACT answers worse than its float network, and why.

    Both run on pictures of DATA, layer beside layer. A layer is ranked by the error that rounding
    it adds, as the next layers hear it; the worst are scored each by itself, all else in float.
    DATA may be folders named by label, or plain pictures, where answers are held against float's.

    \b
    Example:
      mejiro diagnose build/efficientnet-lite0-int8.tflite \\
          --against efficientnet-lite0 --data pictures --out why
    """
    if out is not None and out.exists() and not out.is_dir():
        raise UsageError(f"{out} is a file; name a folder to write to")
    how_many = _how_many(alone)
    opened = Artifact.open_classifier(artifact)
    pictures = calibration_from_folder(data, limit=settings["count"])
    limit = settings["score_count"]
    with progress() as shown:
        shown.stage(f"opening {model}")
        floats = opening.open_float_model(model, settings)
        result = run_diagnosis(
            opened,
            floats,
            pictures,
            examples=examples_from_folder(data, floats.labels, limit=limit) if limit else None,
            alone=how_many,
            on_stage=shown.stage,
            on_progress=shown.advance,
        )
        page = None
        if out is not None:
            shown.stage("writing the page")
            page = write_diagnosis(out, result)
            write_json(out / JSON_NAME, result.to_json())
    if result.scored is not None and not is_labelled(result):
        note(
            f"the folders of {data} name no classes of the model: answers are held against float's"
        )
    if as_json:
        print_json(result.to_json())
        return
    _print(result)
    if page is not None:
        say(f"page: {page}")


def _how_many(word: str) -> int | None:
    if word == "all":
        return None
    if not (word.isascii() and word.isdecimal()):
        raise UsageError(f"--alone takes a number or 'all', not '{word}'")
    return int(word)


def _print(result: Diagnosis) -> None:
    say(f"{result.file} against {result.model}, on {result.pictures} pictures of {result.data}")
    say(lead_words(result))
    say()
    lost = "points lost alone" if is_labelled(result) else "% changed alone"
    columns = [">place", "layer", "operator", ">own dB", ">all dB", ">given", ">plain", ">cosine"]
    columns += [">range", ">cut", ">channels", f">{lost}", "likely causes"]
    print_table(columns, [_row(layer) for layer in result.layers[:_LISTED]])
    if len(result.layers) > _LISTED:
        say(f"… and {len(result.layers) - _LISTED} more; --json or --out tells all")
    told = [(layer, own_cause(layer)) for layer in result.layers[:_LISTED]]
    if any(cause for _, cause in told):
        say()
    for layer, cause in told:
        if cause is not None:
            say(f"{layer.name}: {cause.words}")
    if result.unmatched:
        note(f"{len(result.unmatched)} tensors of the file have no counterpart in float")


def _row(layer: LayerFindings) -> list[str]:
    noise, spread = layer.noise, layer.spread
    return [
        str(layer.place),
        layer.name,
        layer.operator.lower(),
        decibels(noise.own),
        decibels(noise.heard),
        decibels(noise.given),
        decibels(noise.plain),
        f"{layer.cosine:.4f}",
        f"{percent(spread.bulk)}%",
        f"{100 * spread.saturated:.2f}%",
        f"{spread.channels:.3g}×",
        NOTHING if layer.alone is None else f"{layer.alone.lost:.1f}",
        cause_words(layer),
    ]

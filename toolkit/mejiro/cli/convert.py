"""Define `mejiro convert`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from mejiro.cli import opening, options
from mejiro.cli.console import Reporter, note, print_json, print_table, progress, say
from mejiro.cli.repairing import Job, check_options, print_record, refuse_unmet, run_repair
from mejiro.data.calibration import (
    DEFAULT_LIMIT,
    CalibrationSet,
    calibration_from_folder,
    default_calibration,
)
from mejiro.data.folders import labelled_pictures
from mejiro.errors import UsageError
from mejiro.export import Outputs
from mejiro.export.recipe import Recipe, read_recipe
from mejiro.model import Artifact, FloatModel
from mejiro.quality.convert import DEFAULT_FORMATS, Conversion, Scoring
from mejiro.quality.convert import convert as run_conversion
from mejiro.quality.repair import REPAIR_FILE, Budget, Record
from mejiro.quality.run_calibration import calibration_from_run
from mejiro.quality.run_scores import Selection, keep_scores, select_validation
from mejiro.report.training import PAGE_NAME
from mejiro.report.training.run_files import is_run_folder
from mejiro_runtime.card import Format, Precision


@click.command()
@click.argument("model")
@click.option("--out", type=options.PATH, required=True, help="The folder to write to.")
@click.option(
    "--format",
    "formats",
    multiple=True,
    type=click.Choice([value.value for value in Format]),
    help="May be given again; default: both.",
)
@click.option(
    "--precision",
    "precisions",
    multiple=True,
    type=click.Choice(["int8", "fp16", "fp32"]),
    help="May be given again; default: int8.",
)
@click.option("--calibration", type=options.PATH, help="A folder of pictures for int8.")
@click.option(
    "--calibration-count",
    type=click.IntRange(1, 100_000),
    help=f"The most pictures to take from it.  [default: {DEFAULT_LIMIT}, or what the recipe says]",
)
@click.option(
    "--recipe",
    type=options.PATH,
    help="A TOML file that says how int8 files are quantized; see docs/recipes.md.",
)
@click.option("--evaluate", type=options.PATH, help="Folders of pictures, by class, to score on.")
@click.option(
    "--max-drop",
    type=click.FloatRange(0, 100),
    help="Fail if a file loses more points of top-1 against float (with --evaluate).",
)
@click.option(
    "--repair",
    is_flag=True,
    help="Mend int8 files that lose more than --max-drop, step by step; see docs/repair.md.",
)
@click.option(
    "--max-slower",
    type=click.FloatRange(0, 100, min_open=True),
    help="With --repair: the time allowed, over the plain int8 file's.  [default: 1.15]",
)
@click.option("--full-integer", is_flag=True, help="Keep uint8 at the output of int8 files too.")
@click.option(
    "--with-features",
    is_flag=True,
    help="Give the last feature map as a second output, for `mejiro explain`.",
)
@opening.model_options
@options.as_json
def convert(
    model: str,
    out: Path,
    formats: tuple[str, ...],
    precisions: tuple[str, ...],
    as_json: bool,
    **settings: Any,
) -> None:
    """Export MODEL as TFLite and ONNX, quantized to int8 unless told otherwise.

    MODEL is a name of the zoo (see `mejiro zoo`), a run of `mejiro train`, a model folder, a
    .keras or .h5 file, or a SavedModel. Each file takes uint8 RGB pixels as they are and gives
    float32 probabilities; a JSON card beside it says all that is known about it.

    A run is calibrated with pictures that it was trained on, unless others are given, and scored
    on those that it validated with, beside the network itself; its report is written anew with
    the scores.

    \b
    Examples:
      mejiro convert efficientnet-lite0 --out build
      mejiro convert efficientnet-lite0 --out build --calibration pictures \\
          --evaluate labelled --max-drop 1.0
      mejiro convert runs/flowers --out build --evaluate flowers --max-drop 0.5 --repair
      mejiro convert efficientnet-lite0 --out build --calibration pictures --recipe recipe.toml
      mejiro convert runs/flowers --out build --evaluate flowers
    """
    kinds = [
        (Format(name), Precision(precision))
        for precision in precisions or ("int8",)
        for name in formats or [value.value for value in DEFAULT_FORMATS]
    ]
    if settings["max_drop"] is not None and settings["evaluate"] is None:
        raise UsageError("--max-drop needs pictures to measure it on; give --evaluate DIR")
    budget = check_options(kinds, settings)
    recipe = _recipe(kinds, settings)
    outputs = Outputs(settings["full_integer"], settings["with_features"], recipe)
    with progress() as shown:
        shown.stage(f"opening {model}")
        opened = opening.open_float_model(model, settings)
        calibration = None
        if any(precision is Precision.INT8 for _, precision in kinds):
            calibration = _calibration(model, settings, recipe)
        shown.stage("finding the pictures to score on")
        selection = _selection(model, opened, settings)
        job = Job(model, opened, kinds, out, outputs, _scoring(opened, settings, selection))
        result, record = _run(job, calibration, budget, shown)
        if selection is not None:
            shown.stage("writing the report")
            keep_scores(Path(model), result, selection)
    if summary := opened.lineage.get("weights", {}).get("summary"):
        note(f"weights: {summary}")
    if calibration is not None and calibration.note:
        note(calibration.note)
    if selection is not None:
        note(selection.words)
    if as_json:
        _print_json(result, record)
    else:
        if record is not None:
            print_record(record, out)
        _print(result, out)
        if selection is not None:
            say(f"report: {Path(model) / PAGE_NAME}")
    if record is not None:
        refuse_unmet(record)


def _run(
    job: Job, calibration: CalibrationSet | None, budget: Budget | None, shown: Reporter
) -> tuple[Conversion, Record | None]:
    """Convert, and repair if there is a budget for it."""
    if budget is None or job.scoring is None or calibration is None:
        result = run_conversion(
            job.model,
            job.kinds,
            job.out,
            calibration=calibration,
            outputs=job.outputs,
            scoring=job.scoring,
            on_stage=shown.stage,
            on_progress=shown.advance,
        )
        # It would tell of files that were there before.
        (job.out / REPAIR_FILE).unlink(missing_ok=True)
        return result, None
    repaired = run_repair(job, job.scoring, calibration, budget, shown)
    return repaired.conversion, repaired.record


def _print_json(result: Conversion, record: Record | None) -> None:
    cards = [artifact.card.to_json(labels=False) for artifact in result.artifacts]
    print_json(cards if record is None else {"artifacts": cards, "repair": record.to_json()})


def _recipe(kinds: list[tuple[Format, Precision]], settings: dict[str, Any]) -> Recipe | None:
    """Return the recipe that was given, with the number of pictures that was."""
    if settings["recipe"] is None:
        return None
    if all(precision is not Precision.INT8 for _, precision in kinds):
        raise UsageError("a recipe quantizes int8 files; add --precision int8, or leave it out")
    recipe = read_recipe(settings["recipe"])
    if (count := settings["calibration_count"]) is not None:
        calibration = replace(recipe.calibration, pictures=count)
        recipe = replace(recipe, calibration=calibration)
    return recipe


def _calibration(model: str, settings: dict[str, Any], recipe: Recipe | None) -> CalibrationSet:
    limit = settings["calibration_count"] or DEFAULT_LIMIT
    if recipe is None:
        return _pictures(model, settings, limit)
    found = _pictures(model, settings, recipe.calibration.pool)
    count = recipe.calibration.pictures
    if len(found) > count:
        how = recipe.calibration.choice.value
        return replace(found, note=f"calibrated with {count} of {len(found)} pictures, by {how}")
    return found


def _pictures(model: str, settings: dict[str, Any], limit: int) -> CalibrationSet:
    if settings["calibration"] is not None:
        return calibration_from_folder(settings["calibration"], limit=limit)
    if is_run_folder(Path(model)):
        return calibration_from_run(Path(model), limit=limit)
    return default_calibration()


def _selection(model: str, opened: FloatModel, settings: dict[str, Any]) -> Selection | None:
    """Return the pictures that a training run is scored on; None if MODEL is none."""
    if settings["evaluate"] is None or not is_run_folder(Path(model)):
        return None
    return select_validation(Path(model), settings["evaluate"], opened.labels)


def _scoring(
    model: FloatModel, settings: dict[str, Any], selection: Selection | None
) -> Scoring | None:
    folder, max_drop = settings["evaluate"], settings["max_drop"]
    if folder is None:
        return None
    if selection is not None:
        return Scoring(selection.pictures, selection.data, max_drop, with_network=True)
    return Scoring(
        pictures=labelled_pictures(folder, model.labels),
        data=folder.resolve().name,
        max_drop=max_drop,
    )


def _print(result: Conversion, out: Path) -> None:
    columns = ["file", "precision", ">size"]
    scored = result.reference is not None
    if scored:
        columns += [">top-1", ">top-5", ">as float"]
    rows = [_row(artifact) for artifact in result.artifacts]
    if result.reference is not None and result.reference not in result.artifacts:
        _, precision, _, *scores = _row(result.reference)
        rows.append(["(float reference)", precision, "", *scores])
    if result.network is not None:
        shares = (result.network.top1, result.network.top5)
        rows.append(["(the network itself)", "fp32", "", *map(_percent, shares), ""])
    say(f"wrote to {out}:")
    print_table(columns, rows)
    evaluation = result.artifacts[0].card.evaluation
    if scored and evaluation:
        say(f"scored on {evaluation['pictures']} pictures of {evaluation['data']}")
        if evaluation["unreadable"]:
            note(f"left out, unreadable: {', '.join(evaluation['unreadable'])}")


def _row(artifact: Artifact) -> list[str]:
    card = artifact.card
    row = [card.file, card.precision.value, f"{card.size_bytes / 1e6:.2f} MB"]
    if card.evaluation:
        shares = (card.evaluation[key] for key in ("top1", "top5", "agreement"))
        row += [_percent(share) for share in shares]
    return row


def _percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.1f}%"

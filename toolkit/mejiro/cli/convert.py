"""Define `mejiro convert`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from mejiro.cli import options
from mejiro.cli.console import note, print_json, print_table, progress, say
from mejiro.data.calibration import (
    DEFAULT_LIMIT,
    CalibrationSet,
    calibration_from_folder,
    default_calibration,
)
from mejiro.data.folders import labelled_pictures
from mejiro.data.labels import read_labels
from mejiro.data.normalize import Normalize, scale_and_offset
from mejiro.errors import UsageError
from mejiro.model import Artifact, FloatModel
from mejiro.quality.convert import DEFAULT_FORMATS, Conversion, Scoring
from mejiro.quality.convert import convert as run_conversion
from mejiro.zoo import open_model, parse_weights
from mejiro_runtime.card import Format, Precision, Scores
from mejiro_runtime.fields import read_json
from mejiro_runtime.types import PixelOrder


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
    default=DEFAULT_LIMIT,
    show_default=True,
    help="The most pictures to take from it.",
)
@click.option("--evaluate", type=options.PATH, help="Folders of pictures, by class, to score on.")
@click.option(
    "--max-drop",
    type=click.FloatRange(0, 100),
    help="Fail if a file loses more points of top-1 against float (with --evaluate).",
)
@click.option("--full-integer", is_flag=True, help="Keep uint8 at the output of int8 files too.")
@click.option("--weights", help="For a model of the zoo: pretrained, none, or a file.")
@click.option("--labels", type=options.PATH, help="A file with a label for each class.")
@click.option("--input-spec", type=options.PATH, help="A JSON file; see docs/convert.md.")
@click.option(
    "--normalize",
    type=click.Choice([value.value for value in Normalize]),
    help="For a model from a file: the range its pixels were brought to in training.",
)
@click.option(
    "--scores",
    type=click.Choice([value.value for value in Scores]),
    help="For a model from a file that does not tell what it gives.",
)
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

    MODEL is a name of the zoo (see `mejiro zoo`), a model folder, a .keras or .h5 file, or a
    SavedModel. Each file takes uint8 RGB pixels as they are and gives float32 probabilities; a
    JSON card beside it says all that is known about it.

    \b
    Examples:
      mejiro convert efficientnet-lite0 --out build
      mejiro convert efficientnet-lite0 --out build --calibration pictures \\
          --evaluate labelled --max-drop 1.0
    """
    kinds = [
        (Format(name), Precision(precision))
        for precision in precisions or ("int8",)
        for name in formats or [value.value for value in DEFAULT_FORMATS]
    ]
    if settings["max_drop"] is not None and settings["evaluate"] is None:
        raise UsageError("--max-drop needs pictures to measure it on; give --evaluate DIR")
    with progress() as shown:
        shown.stage(f"opening {model}")
        opened = _open(model, settings)
        calibration = None
        if any(precision is Precision.INT8 for _, precision in kinds):
            calibration = _calibration(settings)
        result = run_conversion(
            opened,
            kinds,
            out,
            calibration=calibration,
            full_integer=settings["full_integer"],
            scoring=_scoring(opened, settings),
            on_stage=shown.stage,
            on_progress=shown.advance,
        )
    if summary := opened.lineage.get("weights", {}).get("summary"):
        note(f"weights: {summary}")
    if calibration is not None and calibration.note:
        note(calibration.note)
    if as_json:
        print_json([artifact.card.to_json(labels=False) for artifact in result.artifacts])
    else:
        _print(result, out)


def _open(model: str, settings: dict[str, Any]) -> FloatModel:
    weights, labels, scores = settings["weights"], settings["labels"], settings["scores"]
    return open_model(
        model,
        weights=parse_weights(weights) if weights else None,
        input_spec=_input_spec(settings),
        labels=read_labels(labels) if labels else None,
        scores=Scores(scores) if scores else None,
    )


def _input_spec(settings: dict[str, Any]) -> dict[str, Any] | None:
    """Return what the user says of the input, as the JSON object of an InputSpec, or None."""
    path, normalize = settings["input_spec"], settings["normalize"]
    if path is None and normalize is None:
        return None
    given = read_json(path) if path else {}
    if not isinstance(given, dict):
        raise UsageError(f"{path} must hold one JSON object; see docs/convert.md")
    if normalize is not None:
        if "scale" in given or "offset" in given:
            raise UsageError(f"{path} has a scale already; leave --normalize out")
        order = PixelOrder(given.get("order", PixelOrder.RGB.value))
        scale, offset = scale_and_offset(Normalize(normalize), order)
        given |= {"scale": list(scale), "offset": list(offset)}
    return given


def _calibration(settings: dict[str, Any]) -> CalibrationSet:
    folder = settings["calibration"]
    if folder is None:
        return default_calibration()
    return calibration_from_folder(folder, limit=settings["calibration_count"])


def _scoring(model: FloatModel, settings: dict[str, Any]) -> Scoring | None:
    folder = settings["evaluate"]
    if folder is None:
        return None
    return Scoring(
        pictures=labelled_pictures(folder, model.labels),
        data=folder.resolve().name,
        max_drop=settings["max_drop"],
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
        row += ["" if share is None else f"{100 * share:.1f}%" for share in shares]
    return row

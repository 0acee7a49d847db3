"""Diagnose a quantized file: compare it with its float network, rank its layers, name causes."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from mejiro.data.calibration import CalibrationSet
from mejiro.errors import QualityError, UsageError
from mejiro.export import export
from mejiro.export.normalization import exported_input
from mejiro.model import Artifact, FloatModel
from mejiro.quality.diagnose.alone import score_alone, score_whole
from mejiro.quality.diagnose.comparison import Comparison, compare
from mejiro.quality.diagnose.names import keras_names
from mejiro.quality.diagnose.pictures import Examples
from mejiro.quality.diagnose.ranking import find
from mejiro.report.diagnosis.findings import Diagnosis
from mejiro_runtime.card import Format, Precision

DEFAULT_ALONE = 8


def diagnose(
    artifact: Artifact,
    float_model: FloatModel,
    pictures: CalibrationSet,
    *,
    examples: Examples | None = None,
    alone: int | None = DEFAULT_ALONE,
    on_stage: Callable[[str], None] | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> Diagnosis:
    """Return what each layer of a quantized TFLite file loses against `float_model`, worst first.

    Both run on `pictures`, layer beside layer, the model as its own fp32 TFLite export. A layer
    is the worse, the more error its own rounding adds, weighed by how strongly later layers hear
    each channel. With `examples` the file is scored as a whole, and the worst `alone` layers
    (None: all) each by themselves, the rest of the network being float. `on_stage` gets a
    sentence before each stage, `on_progress` how far it is.

    Raises UsageError for a file that is no quantized TFLite, QualityError for one that was not
    made from the model, and whatever reading pictures and exporting raise.
    """
    tell = on_stage or (lambda text: None)
    _check(artifact, float_model)
    with tempfile.TemporaryDirectory(prefix="mejiro-diagnose.") as place:
        tell("exporting the float network")
        reference = export(
            float_model, format=Format.TFLITE, precision=Precision.FP32, out=Path(place)
        )
        tell(f"comparing layer by layer on {len(pictures)} pictures")
        comparison = compare(
            artifact.path,
            reference.path,
            pictures,
            artifact.card.input,
            on_progress=on_progress,
        )
        layers = find(comparison, keras_names(float_model))
        diagnosis = Diagnosis(
            file=artifact.card.file,
            model=float_model.name,
            data=pictures.name,
            pictures=comparison.pictures,
            layers=layers,
            unmatched=comparison.unmatched,
        )
        if examples is None:
            return diagnosis
        return _scored(
            diagnosis, comparison, (artifact, reference), examples, alone, (tell, on_progress)
        )


def _scored(
    diagnosis: Diagnosis,
    comparison: Comparison,
    files: tuple[Artifact, Artifact],
    examples: Examples,
    alone: int | None,
    tells: tuple[Callable[[str], None], Callable[[int, int], None] | None],
) -> Diagnosis:
    """Return the diagnosis with the scores of the file, and of the worst layers by themselves."""
    (artifact, reference), (tell, on_progress) = files, tells
    tell(f"scoring on {len(examples.pictures)} pictures")
    labelled = examples.labelled
    scored = score_whole(
        artifact, reference, examples.pictures, labelled=labelled, on_progress=on_progress
    )
    worst = diagnosis.layers[:alone]
    tell(f"scoring the worst {len(worst)} layers, each rounded alone")
    costs = score_alone(
        comparison,
        worst,
        reference,
        examples.pictures,
        labelled=labelled,
        on_progress=on_progress,
    )
    layers = tuple(replace(layer, alone=costs.get(layer.place)) for layer in diagnosis.layers)
    return replace(diagnosis, scored=scored, layers=layers)


def _check(artifact: Artifact, float_model: FloatModel) -> None:
    """Raise unless the file can be compared with the model."""
    card = artifact.card
    if card.format is not Format.TFLITE:
        raise UsageError(
            f"{card.file} is an {card.format.value.upper()} file, whose layers cannot be looked "
            "into; diagnose the .tflite that was made with it, which holds the same numbers"
        )
    if card.precision in (Precision.FP32, Precision.FP16):
        raise UsageError(
            f"{card.file} is {card.precision.value}, so nothing in it is quantized; diagnose an "
            "int8 file"
        )
    repair = card.lineage.get("model", {}).get("repair", {})
    if isinstance(repair, dict) and repair.get("amended"):
        raise UsageError(
            f"{card.file} was repaired ({', '.join(map(str, repair.get('done', [])))}), so that "
            "its layers hold other values than the float model's; diagnose the plain int8 file"
        )
    names = [label.name for label in card.labels]
    if names != [label.name for label in float_model.labels]:
        raise QualityError(
            f"{card.file} and {float_model.name} have different labels; give --against the model "
            "that the file was converted from"
        )
    if card.input.shape != exported_input(float_model.input).shape:
        raise QualityError(
            f"{card.file} takes pictures of {list(card.input.shape[1:])}, {float_model.name} of "
            f"{list(float_model.input.shape[1:])}; give --against the model that it was "
            "converted from"
        )

"""Export a model, score what was written, and refuse what lost too much."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mejiro.data.calibration import CalibrationSet
from mejiro.data.folders import LabelledPicture
from mejiro.errors import QualityError, UsageError
from mejiro.export import Exporter, Outputs, export_with
from mejiro.model import Artifact, Evaluation, FloatModel
from mejiro.quality.evaluate import evaluate
from mejiro_runtime.card import Format, Precision, card_path, head_path

DEFAULT_FORMATS = (Format.TFLITE, Format.ONNX)
REFERENCE = (Format.TFLITE, Precision.FP32)


@dataclass(frozen=True)
class Scoring:
    """Say on which pictures to score, and how much may be lost against float.

    `data` names the pictures in the evaluations; `max_drop` is in points of top-1, None for any.
    With `with_network` the network itself is scored too, by Keras, and `agreement` is counted
    with its answers; else with those of the float export.
    """

    pictures: Sequence[LabelledPicture]
    data: str
    max_drop: float | None = None
    with_network: bool = False


@dataclass(frozen=True)
class Conversion:
    """Hold what was written, and the float export that it was scored against, if it was.

    `reference` lies beside the artifacts only if fp32 TFLite was asked for; its card's
    evaluation is there in any case. `network` is what the network itself scored, if asked for.
    """

    artifacts: tuple[Artifact, ...]
    reference: Artifact | None = None
    network: Evaluation | None = None


def convert(
    model: FloatModel,
    kinds: Sequence[tuple[Format, Precision]],
    out: Path,
    *,
    calibration: CalibrationSet | None = None,
    outputs: Outputs | None = None,
    scoring: Scoring | None = None,
    on_stage: Callable[[str], None] | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> Conversion:
    """Export `model` once for each of `kinds` into the folder `out`, and score the files.

    With `scoring`, each file is run over the pictures by the runtime, beside the model's own
    fp32 TFLite export, which is what "float" means here and what `scoring.max_drop` is measured
    against; the score goes into each card. All files appear in `out` together, or none does.
    `on_stage` gets a sentence before each stage, `on_progress` the pictures scored of all.

    Raises QualityError if a file loses more than `scoring.max_drop` points of top-1, and
    whatever `export` and `evaluate` raise.
    """
    outputs = outputs or Outputs()
    tell = on_stage or (lambda text: None)
    if not kinds:
        raise UsageError("there is nothing to convert to; give a format and a precision")
    with staging(out) as folder:
        # One exporter for all: the files share their calibration, and the float graph.
        exporter = Exporter(
            model,
            calibration=calibration,
            full_integer=outputs.full_integer,
            with_features=outputs.with_features,
            recipe=outputs.recipe,
            on_progress=tell,
        )
        artifacts = [
            export_with(exporter, format=format, precision=precision, out=folder)
            for format, precision in dict.fromkeys(kinds)
        ]
        reference = network = None
        if scoring is not None:
            reference = make_reference(exporter, artifacts, folder / "reference")
            tell(f"scoring on {len(scoring.pictures)} pictures")
            extra = [model] if scoring.with_network else []
            artifacts, reference, network = score(artifacts, reference, extra, scoring, on_progress)
        moved = tuple(move(artifact, out) for artifact in artifacts)
        for before, after in zip(artifacts, moved, strict=True):
            if before is reference:
                reference = after
        return Conversion(artifacts=moved, reference=reference, network=network)


def make_reference(exporter: Exporter, artifacts: Sequence[Artifact], folder: Path) -> Artifact:
    """Return the fp32 TFLite export: one of `artifacts`, or a new one that is not kept."""
    for artifact in artifacts:
        if (artifact.card.format, artifact.card.precision) == REFERENCE:
            return artifact
    return export_with(exporter, format=REFERENCE[0], precision=REFERENCE[1], out=folder)


def score(
    artifacts: list[Artifact],
    reference: Artifact,
    networks: Sequence[FloatModel],
    scoring: Scoring,
    on_progress: Callable[[int, int], None] | None,
) -> tuple[list[Artifact], Artifact, Evaluation | None]:
    """Return the artifacts and the reference with their evaluations; refuse too large a loss.

    `networks` holds the network itself if it is to be scored; its evaluation comes last.
    """
    among = reference in artifacts
    scored = artifacts if among else [*artifacts, reference]
    results = evaluate(
        [*scored, *networks],
        scoring.pictures,
        data=scoring.data,
        against=networks[0] if networks else reference,
        on_progress=on_progress,
    )
    network = results.pop() if networks else None
    scored = [
        artifact.with_evaluation(result) for artifact, result in zip(scored, results, strict=True)
    ]
    place = artifacts.index(reference) if among else len(artifacts)
    float_top1 = results[place].top1
    for artifact, result in zip(scored, results, strict=True):
        lost = 100 * (float_top1 - result.top1)
        # A difference of two counts: what is lost beyond the limit is at least one picture.
        if scoring.max_drop is not None and lost > scoring.max_drop + 1e-9:
            raise QualityError(
                f"{artifact.card.file} loses {lost:.1f} points of top-1 ({100 * result.top1:.1f}% "
                f"against {100 * float_top1:.1f}% in float, on {result.pictures} pictures), more "
                f"than the {scoring.max_drop:g} allowed; nothing was written: calibrate with more "
                "pictures like those it will see, or allow more"
            )
    return scored[: len(artifacts)], scored[place], network


def move(artifact: Artifact, out: Path) -> Artifact:
    """Move a file and its card into `out`, in place of what has the same names there."""
    target = out / artifact.path.name
    # The card goes last: a file without a card is refused, one with another's card would not be.
    card_path(target).unlink(missing_ok=True)
    head_path(target).unlink(missing_ok=True)
    artifact.path.replace(target)
    if artifact.card.features:
        head_path(artifact.path).replace(head_path(target))
    card_path(artifact.path).replace(card_path(target))
    return Artifact(path=target, card=artifact.card)


@contextmanager
def staging(out: Path) -> Iterator[Path]:
    """Give a folder inside `out` that is gone afterwards; `out` too, if nothing was put there."""
    existed = out.is_dir()
    if out.exists() and not existed:
        raise UsageError(f"{out} is a file; name a folder to write to")
    out.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=".converting.", dir=out))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        if not existed and not any(out.iterdir()):
            out.rmdir()

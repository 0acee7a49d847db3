"""Convert a model, repair its int8 files until they meet their budgets, and keep what will do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mejiro.errors import UsageError
from mejiro.export import Exporter, export_with
from mejiro.model import Artifact, FloatModel
from mejiro.quality.convert import Conversion, make_reference, move, score, staging
from mejiro.quality.evaluate import evaluate
from mejiro.quality.repair.bench import Bench, Means
from mejiro.quality.repair.budget import Record
from mejiro.quality.repair.search import search
from mejiro.quality.repair.steps import Step
from mejiro_runtime.card import Format, Precision
from mejiro_runtime.files import write_json

REPAIR_FILE = "repair.json"


@dataclass(frozen=True)
class Repaired:
    """Hold the files that were kept, as of any conversion, and the record of what was tried."""

    conversion: Conversion
    record: Record


def repair(
    model: FloatModel,
    kinds: Sequence[tuple[Format, Precision]],
    out: Path,
    means: Means,
    steps: Mapping[str, Step],
) -> Repaired:
    """Export `model` as `kinds` into `out`; repair the int8 files by `steps` in their order.

    The search ends with the first files that meet `means.budget`: each loses so few points of
    top-1 against the model's own fp32 TFLite export, and TFLite's takes so little longer than the
    plain int8 file. If there are none, the best is kept. What each step gave is written beside
    the files, as repair.json. All files appear in `out` together, or none does.

    Raises UsageError if no int8 file is wanted, and what exporting, scoring and training raise.
    """
    formats = tuple(dict.fromkeys(kind for kind, precision in kinds if precision is Precision.INT8))
    if not formats:
        raise UsageError("only int8 files are repaired; ask for one, or leave --repair out")
    if means.outputs.full_integer:
        raise UsageError("a repaired file gives float32 probabilities; leave --full-integer out")
    means = replace(means, formats=formats, scoring=replace(means.scoring, max_drop=None))
    with staging(out) as folder:
        exporter = Exporter(
            model, with_features=means.outputs.with_features, on_progress=means.events.stage
        )
        floats = [
            export_with(exporter, format=kind, precision=precision, out=folder)
            for kind, precision in dict.fromkeys(kinds)
            if precision is not Precision.INT8
        ]
        reference = make_reference(exporter, floats, folder / "reference")
        bench = Bench(model, means, folder, _float_top1(reference, means))
        record = search(bench, steps)
        kept = [record.kept.files[kind] for kind in formats]
        conversion = _keep(model, [*kept, *floats], reference, means, out)
        write_json(out / REPAIR_FILE, record.to_json())
    return Repaired(conversion, record)


def _float_top1(reference: Artifact, means: Means) -> float:
    scoring, events = means.scoring, means.events
    events.stage(f"scoring float on {len(scoring.pictures)} pictures")
    (result,) = evaluate(
        [reference], scoring.pictures, data=scoring.data, on_progress=events.progress
    )
    return result.top1


def _keep(
    model: FloatModel,
    artifacts: list[Artifact],
    reference: Artifact,
    means: Means,
    out: Path,
) -> Conversion:
    """Score what is kept once more, beside the float reference, and move it to `out`."""
    means.events.stage("scoring what is kept")
    networks = [model] if means.scoring.with_network else []
    artifacts, reference, network = score(
        artifacts, reference, networks, means.scoring, means.events.progress
    )
    moved = tuple(move(artifact, out) for artifact in artifacts)
    for before, after in zip(artifacts, moved, strict=True):
        if before is reference:
            reference = after
    return Conversion(artifacts=moved, reference=reference, network=network)

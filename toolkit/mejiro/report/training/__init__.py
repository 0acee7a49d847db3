"""Report what a training run learnt: a page for people, and the same figures for programs."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from mejiro.report.html import write_page
from mejiro.report.training.balance import class_sizes
from mejiro.report.training.mistakes import worst_mistakes
from mejiro.report.training.page import current_exports, training_page
from mejiro.report.training.run_files import RunFiles, read_run_files
from mejiro.train.metrics import Metrics, classification_metrics
from mejiro_runtime.files import write_json

PAGE_NAME, METRICS_NAME = "report.html", "metrics.json"
METRICS_SCHEMA = 1
LISTED_MISTAKES = 200

__all__ = ["METRICS_NAME", "PAGE_NAME", "write_training_report"]


def write_training_report(run_folder: Path) -> Path:
    """Write `metrics.json` and `report.html` into a finished run's folder; return the page's path.

    Only files of the folder are read, and the few pictures that are shown, where they still are.
    Raises DataError for a folder that is no finished run, and SpecError for a file in it that is
    not well formed.
    """
    run = read_run_files(run_folder)
    metrics = classification_metrics(
        run.predictions.probabilities, run.predictions.truth, run.labels
    )
    kept = kept_epoch(run)
    page = training_page(run, metrics, kept=kept)
    write_json(run_folder / METRICS_NAME, _metrics_json(run, metrics, kept))
    write_page(run_folder / PAGE_NAME, page)
    return run_folder / PAGE_NAME


def kept_epoch(run: RunFiles) -> int | None:
    """Return the place of the epoch whose weights were kept, as the model's lineage says."""
    trained = run.lineage.get("trained")
    number = trained.get("kept_epoch") if isinstance(trained, dict) else None
    if isinstance(number, int) and 1 <= number <= len(run.history):
        return number - 1
    return None


def _metrics_json(run: RunFiles, metrics: Metrics, kept: int | None) -> dict[str, Any]:
    exports = current_exports(run)
    return {
        "schema": METRICS_SCHEMA,
        "model": run.model,
        "model_sha256": run.model_sha256,
        "data": run.split.data,
        "pictures": {"train": len(run.split.train), "val": len(run.split.val)},
        "classes": [
            {"label": one.name, "train": one.train, "val": one.val}
            for one in class_sizes(run.split, run.labels)
        ],
        "epochs": len(run.history),
        "kept_epoch": None if kept is None else kept + 1,
        "seconds": sum(epoch.seconds for epoch in run.history if math.isfinite(epoch.seconds)),
        "validation": metrics.to_json(),
        "mistakes": [
            one.to_json()
            for one in worst_mistakes(run.predictions, run.labels, count=LISTED_MISTAKES)
        ],
        "exports": exports and exports.to_json(),
    }

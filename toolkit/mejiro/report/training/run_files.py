"""Read what a training run left in its folder; nothing here needs Keras or the pictures."""

from __future__ import annotations

import csv
import dataclasses
import math
import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mejiro.data.notes import DatasetNotes
from mejiro.errors import DataError
from mejiro.report.training.exports import Exports
from mejiro_runtime.errors import SpecError
from mejiro_runtime.fields import Fields, read_json
from mejiro_runtime.types import Label

if TYPE_CHECKING:
    from numpy.typing import NDArray

MODEL, SETTINGS, HISTORY, SPLIT = "model/model.json", "settings.json", "history.csv", "split.json"
PREDICTIONS, DATASET, EXPORTS = "predictions.npz", "dataset.json", "exports.json"
_SHA256 = re.compile("[0-9a-f]{64}")
_MEASURES = ("seconds", "rate", "loss", "accuracy", "val_loss", "val_accuracy")


@dataclass(frozen=True)
class Epoch:
    """Hold one epoch of a history; what was not measured, or was not finite, is NaN."""

    phase: str
    seconds: float
    rate: float
    loss: float
    accuracy: float
    val_loss: float
    val_accuracy: float


@dataclass(frozen=True)
class SplitPicture:
    """Hold one picture of a split: where it lay, the hash of its bytes, and its class."""

    path: Path
    sha256: str
    label_index: int

    def __post_init__(self) -> None:
        if not _SHA256.fullmatch(self.sha256):
            raise SpecError(f"'{self.sha256}' is no SHA-256, as the split should have of a picture")


@dataclass(frozen=True)
class Split:
    """Hold the pictures that a run trained on and those that it validated with."""

    data: str
    train: tuple[SplitPicture, ...]
    val: tuple[SplitPicture, ...]


@dataclass(frozen=True, eq=False)
class Predictions:
    """Hold the answers to the validation pictures.

    `probabilities` is float32 (N, classes), `truth` int (N,); `paths` has N entries.
    """

    probabilities: NDArray[np.float32]
    truth: NDArray[np.int32]
    paths: tuple[Path, ...]


@dataclass(frozen=True, eq=False)
class RunFiles:
    """Hold all that a report of a run is made from.

    `notes` are sentences about the pictures; `lineage` is that of the model; `exports` is None
    as long as the run was not converted.
    """

    folder: Path
    model: str
    model_sha256: str
    labels: tuple[Label, ...]
    lineage: Mapping[str, Any]
    settings: Mapping[str, Any]
    history: tuple[Epoch, ...]
    split: Split
    predictions: Predictions
    notes: tuple[str, ...]
    exports: Exports | None


def is_run_folder(folder: Path) -> bool:
    """Return whether `folder` is one that a finished `mejiro train` wrote."""
    return (folder / MODEL).is_file() and (folder / SPLIT).is_file()


def read_run_files(folder: Path) -> RunFiles:
    """Read a run's folder; raises DataError for what is missing, SpecError for what is wrong."""
    for name in (MODEL, SETTINGS, HISTORY, SPLIT, PREDICTIONS, DATASET):
        if not (folder / name).is_file():
            raise DataError(
                f"{folder} has no {name}, so it is no finished training run; give the folder "
                "that `mejiro train --out` wrote, or finish it with --resume"
            )
    card = Fields(read_json(folder / MODEL), str(folder / MODEL))
    labels = tuple(
        Label(index, entry.text("name"), entry.text("synset", ""))
        for index, entry in enumerate(Fields(one, "label") for one in card.items("labels"))
    )
    exports = folder / EXPORTS
    return RunFiles(
        folder=folder,
        model=card.text("name"),
        model_sha256=card.text("sha256"),
        labels=labels,
        lineage=card.mapping("lineage"),
        settings=Fields(read_json(folder / SETTINGS), str(folder / SETTINGS)).rest(),
        history=read_history(folder / HISTORY),
        split=read_split(folder),
        predictions=read_predictions(folder / PREDICTIONS),
        notes=_read_notes(folder / DATASET),
        exports=Exports.from_json(read_json(exports)) if exports.is_file() else None,
    )


def read_split(folder: Path) -> Split:
    """Read a run's `split.json`; raises SpecError. Paths that are not whole begin at its root."""
    fields = Fields(read_json(folder / SPLIT), str(folder / SPLIT))
    data, root = fields.text("data"), Path(fields.text("root", ""))
    sides = [
        tuple(_split_picture(entry, root) for entry in fields.items(side))
        for side in ("train", "val")
    ]
    fields.finish()
    return Split(data, *sides)


def _split_picture(value: Any, root: Path) -> SplitPicture:
    fields = Fields(value, "picture of a split")
    picture = SplitPicture(
        path=root / fields.text("path"),
        sha256=fields.text("sha256"),
        label_index=fields.integer("label"),
    )
    fields.finish()
    return picture


def _read_notes(path: Path) -> tuple[str, ...]:
    """Return what a run's `dataset.json` has to say, in sentences; raises SpecError."""
    stored = Fields(Fields(read_json(path), str(path)).mapping("notes"), f"notes of {path}")
    notes = {field.name: stored.items(field.name, []) for field in dataclasses.fields(DatasetNotes)}
    return tuple(DatasetNotes(**{name: _frozen(value) for name, value in notes.items()}).lines())


def _frozen(value: Any) -> Any:
    """Return JSON's lists as tuples, the inner ones too."""
    return tuple(_frozen(entry) for entry in value) if isinstance(value, list) else value


def read_history(path: Path) -> tuple[Epoch, ...]:
    """Read a run's `history.csv`; raises DataError."""
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            rows = list(csv.DictReader(stream))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} cannot be read: {error}") from None
    missing = [name for name in ("phase", *_MEASURES) if rows and name not in rows[0]]
    if missing or not rows:
        found = f"no column {', '.join(missing)}" if missing else "no epochs"
        raise DataError(f"{path} has {found}; train again to write it anew")
    return tuple(
        Epoch(row["phase"] or "", *(_measure(path, row[name]) for name in _MEASURES))
        for row in rows
    )


def _measure(path: Path, text: str | None) -> float:
    """Return a number of the history, NaN where it is empty or not finite."""
    try:
        value = float(text) if text else math.nan
    except ValueError:
        raise DataError(f"{path} holds '{text}' where a number belongs") from None
    return value if math.isfinite(value) else math.nan


def read_predictions(path: Path) -> Predictions:
    """Read a run's `predictions.npz`, which can hold no code; raises DataError."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            probabilities, truth = arrays["probabilities"], arrays["truth"]
            paths = tuple(Path(str(name)) for name in arrays["paths"])
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(f"{path} cannot be read: {error}; train again to write it anew") from None
    if probabilities.ndim != 2 or not len(probabilities) == len(truth) == len(paths):
        raise DataError(
            f"{path} has {len(probabilities)} answers, {len(truth)} truths and {len(paths)} "
            "paths; train again to write it anew"
        )
    return Predictions(probabilities, truth, paths)

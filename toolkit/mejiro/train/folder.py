"""Keep a run in its folder: what it was asked for, what it is trained on, what came of it."""

from __future__ import annotations

import hashlib
import shlex
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mejiro.data.dataset import Dataset, HashedPicture
from mejiro.errors import DataError, UsageError
from mejiro.train.settings import Settings
from mejiro_runtime.fields import Fields, read_json
from mejiro_runtime.files import replacing, write_json

SCHEMA = 1
RUN, SETTINGS, SPLIT, DATASET = "run.json", "settings.json", "split.json", "dataset.json"
HISTORY, PREDICTIONS, MODEL = "history.csv", "predictions.npz", "model"
CHECKPOINT, CACHE, TENSORBOARD = "checkpoint", "cache", "tensorboard"


@dataclass(frozen=True)
class Run:
    """Hold a run's folder and what it was begun with.

    `data` and `start` are hashes of the pictures and of the weights it began with. `command`
    holds what a command line needs to go on. `finished` says whether training is done.
    """

    folder: Path
    settings: Settings
    data: str
    start: str
    command: Mapping[str, Any] = field(default_factory=dict)

    @property
    def finished(self) -> bool:
        """Whether the run has ended and its model lies in `folder`."""
        return (self.model / "model.json").is_file() and not (self.folder / CHECKPOINT).exists()

    @property
    def model(self) -> Path:
        """The folder of the trained model."""
        return self.folder / MODEL

    @property
    def how_to_go_on(self) -> str:
        """A few words for whoever stopped the run."""
        return f"go on with `mejiro train --out {shlex.quote(str(self.folder))} --resume`"

    def result(self) -> dict[str, Any]:
        """Return what the trained model's lineage says of the run, as plain JSON values."""
        card = Fields(read_json(self.model / "model.json"), str(self.model / "model.json"))
        trained = Fields(card.mapping("lineage"), "lineage").mapping("trained")
        return {"run": str(self.folder), "model": card.text("name"), **trained}

    @property
    def checkpoint(self) -> Path:
        """The folder of what is needed to go on."""
        return self.folder / CHECKPOINT

    @property
    def cache(self) -> Path:
        """The folder of what can be made again."""
        return self.folder / CACHE


def is_run(folder: Path) -> bool:
    """Say whether `folder` was made by `mejiro train`."""
    return (folder / RUN).is_file() and (folder / SETTINGS).is_file()


def open_run(folder: Path) -> Run:
    """Read what a run was begun with; raises UsageError if `folder` is none, SpecError if bad."""
    if not is_run(folder):
        raise UsageError(f"{folder} holds no training run; give the --out of a `mejiro train`")
    fields = Fields(read_json(folder / RUN), str(folder / RUN))
    schema = fields.integer("schema")
    if schema > SCHEMA:
        raise DataError(f"{folder / RUN} has schema {schema}, not up to {SCHEMA}; upgrade mejiro")
    run = Run(
        folder=folder,
        settings=Settings.from_json(read_json(folder / SETTINGS)),
        data=fields.text("data"),
        start=fields.text("start"),
        command=fields.mapping("command"),
    )
    fields.finish()
    return run


def check_free(folder: Path) -> None:
    """Raise UsageError if a new run cannot be put into `folder`, because something is there."""
    if folder.is_dir() and not any(folder.iterdir()):
        return
    if not (folder.exists() or folder.is_symlink()):
        return
    if not is_run(folder):
        raise UsageError(f"{folder} is there and is no training run; give another --out")
    raise UsageError(
        f"{folder} holds a training run; go on with --resume, replace it with --force, or give "
        "another --out"
    )


def begin_run(run: Run, dataset: Dataset, *, force: bool) -> None:
    """Make the folder of a new run; `force` removes the run that is there."""
    if force and is_run(run.folder):
        shutil.rmtree(run.folder)
    check_free(run.folder)
    run.folder.mkdir(parents=True, exist_ok=True)
    write_json(run.folder / SETTINGS, run.settings.to_json())
    write_json(run.folder / SPLIT, _split(dataset))
    write_json(
        run.folder / DATASET,
        {
            "name": dataset.name,
            "labels": [label.name for label in dataset.labels],
            "notes": dataset.notes.to_json(),
        },
    )
    # Last: a folder with this file is a whole run's.
    write_json(
        run.folder / RUN,
        {"schema": SCHEMA, "data": run.data, "start": run.start, "command": dict(run.command)},
    )


def check_same(old: Run, new: Run) -> None:
    """Raise UsageError, naming the first difference, unless `new` can go on with `old`."""
    before, after = (_flat(run.settings.to_json()) for run in (old, new))
    for name in sorted(before.keys() | after.keys()):
        if before.get(name) != after.get(name):
            raise UsageError(
                f"{old.folder} was begun with {name} {_word(before.get(name))}, found "
                f"{_word(after.get(name))}; give the same settings, or begin anew with --force"
            )
    for what, one, other in (
        ("pictures", old.data, new.data),
        ("weights", old.start, new.start),
    ):
        if one != other:
            raise UsageError(
                f"{old.folder} was begun with other {what} (SHA-256 {one[:12]}…, found "
                f"{other[:12]}…); give the same ones, or begin anew with --force"
            )


def _flat(value: Any, name: str = "") -> dict[str, Any]:
    """Return nested JSON values by their dotted names."""
    if isinstance(value, Mapping):
        items = value.items()
    elif isinstance(value, list):
        items = {str(place): entry for place, entry in enumerate(value, start=1)}.items()
    else:
        return {name: value}
    found: dict[str, Any] = {}
    for key, entry in items:
        found |= _flat(entry, f"{name}.{key}" if name else key)
    return found


def _word(value: Any) -> str:
    return "nothing" if value is None else f"'{value}'"


def hash_pictures(dataset: Dataset) -> str:
    """Return one hash over the pictures of both sides, their classes and the labels."""
    digest = hashlib.sha256()
    for label in dataset.labels:
        digest.update(f"{label.name}\0{label.synset}\n".encode())
    for side in (dataset.train, dataset.val):
        digest.update(b"\n")
        for picture in side:
            digest.update(f"{picture.sha256} {picture.label_index}\n".encode())
    return digest.hexdigest()


def hash_weights(variables: Sequence[Any]) -> str:
    """Return one hash over the values of `variables`, in order."""
    digest = hashlib.sha256()
    for variable in variables:
        digest.update(np.ascontiguousarray(variable.numpy()).tobytes())
    return digest.hexdigest()


def _split(dataset: Dataset) -> dict[str, Any]:
    def entries(pictures: Sequence[HashedPicture]) -> list[dict[str, Any]]:
        return [
            {
                "path": dataset.place(picture),
                "sha256": picture.sha256,
                "label": picture.label_index,
            }
            for picture in pictures
        ]

    return {
        "data": dataset.name,
        "root": str(dataset.root.resolve()),
        "train": entries(dataset.train),
        "val": entries(dataset.val),
    }


def write_predictions(path: Path, probabilities: NDArray[np.float32], dataset: Dataset) -> None:
    """Write the answers to the validation pictures, in the order of the split."""
    root = dataset.root.resolve()
    with replacing(path) as beside, beside.open("wb") as stream:
        np.savez(
            stream,
            probabilities=probabilities.astype(np.float32),
            truth=np.array([picture.label_index for picture in dataset.val], np.int32),
            paths=np.array([str(root / dataset.place(picture)) for picture in dataset.val]),
        )

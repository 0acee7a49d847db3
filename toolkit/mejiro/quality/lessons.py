"""Find the pictures that a model is trained on further: a run's own, or those in a folder."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from mejiro.data.calibration import (
    DEFAULT_LIMIT,
    CalibrationSet,
    calibration_from_folder,
    default_calibration,
)
from mejiro.data.dataset import Dataset, read_dataset
from mejiro.data.hashing import HashedPicture
from mejiro.data.notes import DatasetNotes
from mejiro.errors import DataError, UsageError
from mejiro.model import FloatModel
from mejiro.quality.run_calibration import calibration_from_run
from mejiro.report.training.run_files import SplitPicture, is_run_folder, read_split
from mejiro.train.events import Events
from mejiro.train.pictures import Pictures, labelled_rows, unlabelled_rows
from mejiro_runtime.files import sha256_of
from mejiro_runtime.types import Label

# Pictures without labels stay in memory.
MOST_UNLABELLED = 2_000


def read_lessons(
    model: FloatModel,
    reference: str,
    data: Path | None,
    cache: Path,
    *,
    val: float | None = None,
    events: Events | None = None,
) -> Pictures | None:
    """Return pictures to train `model` on further, or None if there are none to be had.

    `reference` is how a user named the model. A training run's validation pictures are held back
    here too, wherever they lie in `data`; without `data` they are the run's own pictures. Folders
    that are named by the model's classes make labels; other pictures have none, and `events` get
    a note. `cache` is a folder for pixels. Raises DataError or UsageError for what cannot be read.
    """
    events = events or Events()
    run = Path(reference) if is_run_folder(Path(reference)) else None
    if data is None:
        if val is not None:
            raise UsageError("--val is a share of the pictures in --data; give both or neither")
        if run is None:
            return None
        return labelled_rows(_of_run(model, run, events), model.input, cache, events=events)
    dataset = _labelled(model, data, val, events)
    if dataset is None:
        return unlabelled_rows(_unlabelled(data), model.input)
    if run is not None:
        dataset = _held_back_alike(dataset, run, events)
    return labelled_rows(dataset, model.input, cache, events=events)


def read_calibration(
    reference: str, data: Path | None, *, limit: int = DEFAULT_LIMIT
) -> CalibrationSet:
    """Return what int8 files of such a model are calibrated with: up to `limit` of the same."""
    if is_run_folder(Path(reference)):
        return calibration_from_run(Path(reference), limit=limit)
    return default_calibration() if data is None else calibration_from_folder(data, limit=limit)


def _of_run(model: FloatModel, run: Path, events: Events) -> Dataset:
    """Return the pictures of a run as they were split, without those that changed since."""
    split = read_split(run)
    train, val = (_there(side, events.progress) for side in (split.train, split.val))
    missing = len(split.train) + len(split.val) - len(train) - len(val)
    if not train or not val:
        raise DataError(
            f"the pictures of {run} are no longer where they were; say where with --data"
        )
    if missing:
        events.note(f"left out {missing} of the run's pictures, which were moved or changed")
    return Dataset(split.data, Path(), model.labels, train, val, DatasetNotes())


def _there(
    pictures: Sequence[SplitPicture], on_progress: Callable[[int, int], None]
) -> tuple[HashedPicture, ...]:
    found = []
    for done, picture in enumerate(pictures, start=1):
        try:
            if sha256_of(picture.path) == picture.sha256:
                found.append(HashedPicture(picture.path, picture.label_index, picture.sha256))
        except OSError:
            pass  # it is counted as missing
        on_progress(done, len(pictures))
    return tuple(found)


def _labelled(model: FloatModel, data: Path, val: float | None, events: Events) -> Dataset | None:
    """Return the pictures in `data` with the model's classes, None if they do not name them."""
    try:
        dataset = read_dataset(str(data), val=val, on_progress=events.progress)
    except DataError as error:
        if not data.is_dir():
            raise
        events.note(f"the pictures in {data} are used without labels: {error}")
        return None
    places = _places(dataset.labels, model.labels)
    if isinstance(places, str):
        events.note(
            f"the pictures in {data} are used without labels, since {model.name} knows no class "
            f"'{places}'"
        )
        return None
    for line in dataset.notes.lines():
        events.note(line)

    def placed(pictures: Iterable[HashedPicture]) -> tuple[HashedPicture, ...]:
        return tuple(replace(one, label_index=places[one.label_index]) for one in pictures)

    train, held_back = placed(dataset.train), placed(dataset.val)
    return replace(dataset, labels=model.labels, train=train, val=held_back)


def _places(found: Sequence[Label], known: Sequence[Label]) -> list[int] | str:
    """Return which class of the model each found one is, or the name of one that it has not."""
    # ImageNet has two classes of some names; a synset names one.
    by_synset = {label.synset: label.index for label in known if label.synset}
    by_name = {label.name: label.index for label in known}
    places = []
    for label in found:
        place = by_synset.get(label.synset, by_name.get(label.name))
        if place is None:
            return label.name
        places.append(place)
    return places


def _unlabelled(data: Path) -> CalibrationSet:
    return calibration_from_folder(data, limit=MOST_UNLABELLED)


def _held_back_alike(dataset: Dataset, run: Path, events: Events) -> Dataset:
    """Return `dataset` with the run's validation pictures to validate with, and no others."""
    wanted = {picture.sha256 for picture in read_split(run).val}
    # By class, then by name, as in any Dataset: then a seed means the same order again.
    pictures = sorted(
        (*dataset.train, *dataset.val), key=lambda picture: (picture.label_index, picture.path)
    )
    val = tuple(picture for picture in pictures if picture.sha256 in wanted)
    if not val:
        return dataset
    events.note(f"validates with the run's {len(val)} validation pictures, found by their hashes")
    train = tuple(picture for picture in pictures if picture.sha256 not in wanted)
    if not train:
        raise DataError(f"{dataset.name} has no pictures but those that the run validated with")
    return replace(dataset, train=train, val=val)

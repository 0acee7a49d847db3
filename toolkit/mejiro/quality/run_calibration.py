"""Calibrate what a training run is converted to with pictures that the run was trained on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from mejiro.data.calibration import (
    DEFAULT_LIMIT,
    CalibrationSet,
    PictureFile,
    default_calibration,
)
from mejiro.report.training.run_files import SplitPicture, read_split
from mejiro_runtime.files import sha256_of


def calibration_from_run(run: Path, *, limit: int = DEFAULT_LIMIT) -> CalibrationSet:
    """Return up to `limit` of the training pictures of `run`, of all classes in turn.

    The choice depends on nothing but the pictures' bytes. Those that were moved or changed are
    passed over; if all were, the default set is returned, and its note says so.
    """
    split = read_split(run)
    chosen: list[PictureFile] = []
    for picture in _in_turn(split.train):
        if len(chosen) == limit:
            break
        if _unchanged(picture):
            chosen.append(PictureFile(picture.path, "/".join(picture.path.parts[-2:])))
    if not chosen:
        usual = default_calibration()
        note = f"The training pictures of {run} are no longer where they were. {usual.note}"
        return replace(usual, note=note.strip())
    return CalibrationSet(
        name=split.data,
        pictures=tuple(chosen),
        note=f"calibrated with {len(chosen)} of the run's {len(split.train)} training pictures",
    )


def _in_turn(pictures: Sequence[SplitPicture]) -> Iterator[SplitPicture]:
    """Yield one picture of each class, then a second of each, and so on, in the hashes' order."""
    classes: dict[int, list[SplitPicture]] = {}
    for picture in sorted(pictures, key=lambda one: one.sha256):
        classes.setdefault(picture.label_index, []).append(picture)
    members = [classes[index] for index in sorted(classes)]
    for turn in range(max(map(len, members), default=0)):
        yield from (group[turn] for group in members if turn < len(group))


def _unchanged(picture: SplitPicture) -> bool:
    try:
        return sha256_of(picture.path) == picture.sha256
    except OSError:
        return False

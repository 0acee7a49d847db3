"""Choose the pictures that a diagnosis scores on: labelled where their folders tell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mejiro.data.calibration import PictureFile, calibration_from_folder
from mejiro.data.folders import ClassNames, LabelledPicture
from mejiro_runtime.types import Label


@dataclass(frozen=True)
class Examples:
    """Hold pictures to score on; without labels only equal answers can be counted."""

    pictures: tuple[LabelledPicture, ...]
    labelled: bool


def examples_from_folder(folder: Path, labels: Sequence[Label], *, limit: int) -> Examples:
    """Return up to `limit` pictures of `folder`, spread evenly over the folders in it.

    They are labelled if each lies in a folder of `folder` that names one class, as
    `data.folders.labelled_pictures` reads them. Raises CalibrationError if there are none.
    """
    chosen = calibration_from_folder(folder, limit=limit).pictures
    paths = [picture.path for picture in chosen if isinstance(picture, PictureFile)]
    classes = ClassNames(labels)
    found = [_class_of(path, folder, classes) for path in paths]
    labelled = None not in found
    return Examples(
        tuple(
            LabelledPicture(path, index if labelled and index is not None else 0)
            for path, index in zip(paths, found, strict=True)
        ),
        labelled,
    )


def _class_of(path: Path, folder: Path, classes: ClassNames) -> int | None:
    """Return the one class that a picture's folder names, or None."""
    parts = path.relative_to(folder).parts
    if len(parts) != 2:
        return None
    found = classes.find(parts[0]) or set()
    return next(iter(found)) if len(found) == 1 else None

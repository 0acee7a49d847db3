"""Hold the pictures that a network is fine-tuned on: rows of pixels, with classes or without."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mejiro.data.calibration import CalibrationSet
from mejiro.data.dataset import Dataset
from mejiro.data.pixels import decode_pixels, pixels_only
from mejiro.errors import DataError
from mejiro.train.events import Events
from mejiro_runtime.preprocess import InputSpec

# Of pictures without labels the share that training does not see.
HELD_BACK = 0.2


@dataclass(frozen=True, eq=False)
class Pictures:
    """Hold the pictures to train on and to validate with, uint8 (N, H, W, C), before any scale.

    `train_truth` and `val_truth` are their classes, int32 (N,), or both None. `data` names them.
    """

    data: str
    train: NDArray[Any]
    val: NDArray[Any]
    train_truth: NDArray[np.int32] | None = None
    val_truth: NDArray[np.int32] | None = None

    def __post_init__(self) -> None:
        if (self.train_truth is None) != (self.val_truth is None):
            raise DataError(f"{self.data} has labels on one side only; give both sides theirs")
        for rows, truth in ((self.train, self.train_truth), (self.val, self.val_truth)):
            if not len(rows):
                raise DataError(f"{self.data} has no pictures on one side; give more pictures")
            if truth is not None and len(truth) != len(rows):
                raise DataError(
                    f"{self.data} has {len(rows)} pictures and {len(truth)} classes of them; "
                    "give each picture its class"
                )


def labelled_rows(
    dataset: Dataset, spec: InputSpec, cache: Path, *, events: Events | None = None
) -> Pictures:
    """Return the pictures of `dataset` as a network with the input `spec` sees them.

    Their pixels lie in files in the folder `cache`, which must last as long as they are used.
    """
    events = events or Events()
    rows, truth = [], []
    for side in (dataset.train, dataset.val):
        events.stage(f"decoding {len(side)} pictures")
        rows.append(decode_pixels(side, spec, cache, on_progress=events.progress))
        truth.append(np.array([picture.label_index for picture in side], np.int32))
    return Pictures(dataset.name, rows[0], rows[1], truth[0], truth[1])


def unlabelled_rows(
    calibration: CalibrationSet, spec: InputSpec, *, held_back: float = HELD_BACK, seed: int = 0
) -> Pictures:
    """Return the pictures of `calibration`, without labels; all of them stay in memory.

    Those that cannot be read are left out; `held_back` of the others, drawn by `seed`, are to
    validate with, at least one. Raises CalibrationError if none can be read, DataError for one.
    """
    tensors = calibration.tensors(pixels_only(spec), on_unreadable=lambda picture: None)
    rows = np.concatenate(list(tensors))
    order = np.random.default_rng(seed).permutation(len(rows))
    held = max(1, round(held_back * len(rows)))
    return Pictures(calibration.name, rows[np.sort(order[held:])], rows[np.sort(order[:held])])

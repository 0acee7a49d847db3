"""Choose and decode a few training pictures, to show what augmentation makes of them."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mejiro.data.dataset import Dataset, HashedPicture
from mejiro.data.pixels import decode_pixels
from mejiro.train.network import input_of
from mejiro.train.settings import Settings
from mejiro_runtime.types import PixelOrder

COUNT = 8


def preview_pixels(
    dataset: Dataset, settings: Settings
) -> tuple[NDArray[np.uint8], list[int], PixelOrder]:
    """Return pictures as the network of `settings` sees them, their classes, and their order.

    uint8 (N, H, W, C); one picture of each class in turn, `COUNT` at most.
    """
    spec = input_of(settings)
    chosen = _in_turn(dataset)[:COUNT]
    with tempfile.TemporaryDirectory() as name:
        pixels = np.array(decode_pixels(chosen, spec, Path(name)))
    return pixels, [picture.label_index for picture in chosen], spec.order


def _in_turn(dataset: Dataset) -> list[HashedPicture]:
    """Return the training pictures: the first of each class, then the second of each, ..."""
    seen: dict[int, int] = {}
    turns = []
    for picture in dataset.train:
        turn = seen.get(picture.label_index, 0)
        seen[picture.label_index] = turn + 1
        turns.append((turn, picture.label_index, picture))
    return [picture for *_, picture in sorted(turns, key=lambda entry: entry[:2])]

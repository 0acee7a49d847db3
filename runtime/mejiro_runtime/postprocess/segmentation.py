"""Read a segmentation's output: the class of each place, and the share of each class."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from mejiro_runtime.card import ArtifactCard, Scores
from mejiro_runtime.errors import ModelError
from mejiro_runtime.postprocess import ReadOptions
from mejiro_runtime.postprocess.regions import to_frame
from mejiro_runtime.preprocess import InputSpec, TensorInfo, place
from mejiro_runtime.types import Box, Segmentation

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mejiro_runtime.postprocess.protocol import Findings, Gap

# What `at_frame_size` writes where the model did not look.
UNSEEN = 255


class MaskReader:
    """Read a segmentation; see `Reader`. A record is the uint8 map (height, width) of classes."""

    count = 1
    remembers = False
    unit = "share of the map"

    def __init__(
        self, card: ArtifactCard, outputs: tuple[TensorInfo, ...], options: ReadOptions
    ) -> None:
        if not 2 <= len(card.labels) <= UNSEEN:
            raise ModelError(
                f"{card.file} has {len(card.labels)} labels; a segmentation has 2 to {UNSEEN}"
            )
        self._file, self._input, self._labels = card.file, card.input, card.labels
        self._background = card.output.background
        self._indices = card.output.indices
        self._size, self._axis = _size_and_axis(card, outputs[0])
        self._limit = 0.0 if card.output.scores is Scores.LOGITS else 0.5
        if (quantization := outputs[0].quantization) is not None:
            self._limit = self._limit / quantization.scale + quantization.zero_point

    def _classes(self, raw: NDArray[Any]) -> NDArray[np.uint8]:
        """Return the class of each place, uint8 (height, width)."""
        if self._indices:
            found = raw.reshape(self._size)
            low, high = found.min(), found.max()
            if not (low >= 0 and high < len(self._labels)):  # false for NaN as well
                raise ModelError(
                    f"{self._file} gives classes {low} to {high} and has {len(self._labels)} "
                    "labels; adopt it again with a label for each class"
                )
            return found.astype(np.uint8)
        if raw.dtype.kind == "f" and not np.isfinite(raw).all():
            raise ModelError(f"{self._file} gives scores that are not finite; its file is broken")
        if self._axis is None:
            return (raw.reshape(self._size) > self._limit).astype(np.uint8)
        # Neither a softmax nor a scale changes which class is the best.
        best: NDArray[np.uint8] = raw[0].argmax(axis=self._axis - 1).astype(np.uint8)
        return best

    def _seen(self, raw: NDArray[Any], height: int, width: int) -> tuple[NDArray[np.uint8], Box]:
        """Return the part of the map that shows the frame, and which region of it."""
        rows, columns, box = map_region(self._input, self._size, height, width)
        return self._classes(raw)[rows, columns], box

    def read(self, outputs: Sequence[NDArray[Any]], height: int, width: int) -> Findings:
        """See `Reader.read`."""
        classes, box = self._seen(outputs[0], height, width)
        counts = np.bincount(classes.reshape(-1), minlength=len(self._labels))
        if self._background is not None:
            counts[self._background] = 0
        order = np.argsort(-counts, kind="stable")[: np.count_nonzero(counts)]
        shares = tuple((self._labels[i], counts.item(i) / classes.size) for i in order.tolist())
        return (), None, Segmentation(classes, box, shares)

    def reset(self) -> None:
        """See `Reader.reset`."""

    def record(self, outputs: Sequence[NDArray[Any]], height: int, width: int) -> NDArray[np.uint8]:
        """Return the whole map, also where it shows no part of the frame."""
        return self._classes(outputs[0])

    def fits(self, recorded: NDArray[Any]) -> bool:
        """See `Reader.fits`."""
        alike = recorded.shape == self._size and recorded.dtype == np.uint8
        return bool(alike and recorded.max() < len(self._labels))

    def compare(self, made: NDArray[Any], recorded: NDArray[Any]) -> Gap:
        """Return the share of places that are of another class, and the other largest class."""
        from mejiro_runtime.postprocess.protocol import Gap

        differ = int((made != recorded).sum())
        most = [int(np.bincount(one.reshape(-1)).argmax()) for one in (recorded, made)]
        names = [self._labels[index].short for index in most]
        answer = "" if most[0] == most[1] else f"{names[0]} became {names[1]}"
        return Gap(differ / made.size, differ, made.size, answer)

    def margin(self, outputs: Sequence[NDArray[Any]], height: int, width: int) -> float:
        """Return how much more of the frame the largest class has than the second."""
        counts = np.bincount(self._classes(outputs[0]).reshape(-1), minlength=2)
        second, first = np.sort(counts)[-2:]
        return float(first - second) / prod(self._size)


def map_region(
    spec: InputSpec, size: tuple[int, int], height: int, width: int
) -> tuple[slice, slice, Box]:
    """Return the rows and columns of a map of `size` that show a frame, and what they show.

    Where the picture ends within a cell of the map, that cell is among them, and the box reaches
    over the frame's edge by less than a cell.
    """
    where = place(spec, height, width)
    # In whole numbers: a rounded quotient would now and then be a cell too many.
    top = where.top * size[0] // spec.height
    bottom = -(-(where.top + where.inner_height) * size[0] // spec.height)
    left = where.left * size[1] // spec.width
    right = -(-(where.left + where.inner_width) * size[1] // spec.width)
    corners = np.array([[left, top, right, bottom]])
    corners = corners * ([spec.width, spec.height] * 2) / ([size[1], size[0]] * 2)
    box = Box(*to_frame(corners, spec, height, width, clip=False)[0].tolist())
    return slice(top, bottom), slice(left, right), box


def at_frame_size(
    mask: Segmentation, height: int, width: int, *, outside: int = UNSEEN
) -> NDArray[np.uint8]:
    """Return the class of each pixel of the frame, uint8 (height, width): its nearest place's.

    Pixels that the model did not see, cut off by a crop, are `outside`.
    """
    rows, columns = mask.classes.shape
    box = mask.box
    y = np.floor((np.arange(height) + 0.5 - box.top) * rows / (box.bottom - box.top))
    x = np.floor((np.arange(width) + 0.5 - box.left) * columns / (box.right - box.left))
    seen_y, seen_x = (y >= 0) & (y < rows), (x >= 0) & (x < columns)
    y, x = np.clip(y, 0, rows - 1).astype(np.intp), np.clip(x, 0, columns - 1).astype(np.intp)
    found: NDArray[np.uint8] = mask.classes[y[:, None], x]
    if not (seen_y.all() and seen_x.all()):
        found[~seen_y] = outside
        found[:, ~seen_x] = outside
    return found


def _size_and_axis(card: ArtifactCard, output: TensorInfo) -> tuple[tuple[int, int], int | None]:
    """Return the map's (height, width) and the axis of the classes, None if it has none.

    Raises ModelError unless the shape is a map with a score for each label, or without an axis
    of classes: class numbers, or the score of the second of two labels.
    """
    shape, labels = output.shape, len(card.labels)
    single = card.output.indices or labels == 2
    if shape[:1] == (1,) and min(shape) > 0 and not (output.dtype.startswith("str")):
        if len(shape) == 3 and single:
            return (shape[1], shape[2]), None
        if len(shape) == 4 and 1 in (shape[1], shape[3]) and single:
            return (shape[1:3] if shape[3] == 1 else shape[2:4]), None
        if len(shape) == 4 and labels in (shape[1], shape[3]) and not card.output.indices:
            last = shape[3] == labels
            return (shape[1:3] if last else shape[2:4]), (3 if last else 1)
    what = "class numbers" if card.output.indices else "scores"
    raise ModelError(
        f"{card.file} gives {list(shape)}, which is no map of {what} for {labels} labels; "
        "give one label for each class"
    )


def make_reader(
    card: ArtifactCard, outputs: tuple[TensorInfo, ...], options: ReadOptions
) -> MaskReader:
    """Return what reads a segmentation; see `mejiro_runtime.postprocess.make_reader`."""
    return MaskReader(card, outputs, options)

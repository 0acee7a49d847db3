"""Read a detector's outputs: decode its head, keep the best of boxes that overlap, map them back.

Sources: SSD (arXiv:1512.02325), YOLO (arXiv:1506.02640); the order of outputs is that of the
operator TFLite_Detection_PostProcess of TensorFlow Lite.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from mejiro_runtime.card import ArtifactCard
from mejiro_runtime.errors import ModelError
from mejiro_runtime.heads import ROLES, DetectionSpec, Head
from mejiro_runtime.postprocess import ReadOptions
from mejiro_runtime.postprocess.decoding import Decoder
from mejiro_runtime.postprocess.overlap import areas, match, suppress
from mejiro_runtime.postprocess.regions import to_frame
from mejiro_runtime.preprocess import TensorInfo
from mejiro_runtime.types import Box, Detection

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mejiro_runtime.postprocess.protocol import Findings, Gap

# Golden frames tell more if boxes count that would not be shown: those that score this part of
# the threshold, the best of them.
_RECORDED_SHARE = 0.25
_RECORDED_MOST = 20


class BoxReader:
    """Read a detector; see `Reader`. A record is float32 (boxes, 6), best first.

    A row is class, score, left, top, right, bottom, in pixels of the frame. A record holds more
    than is shown: see `_RECORDED_SHARE`.
    """

    remembers = False
    unit = "score of a box"

    def __init__(
        self, card: ArtifactCard, outputs: tuple[TensorInfo, ...], options: ReadOptions
    ) -> None:
        spec = card.output.detection
        if spec is None or not card.labels:
            raise ModelError(f"{card.file} has no labels or no head in its card; adopt it again")
        roles = spec.roles or find_roles(card.file, spec.head, outputs)
        check_shapes(card, spec, outputs, roles)
        self.count = max(roles) + 1
        self._spec, self._input, self._labels = spec, card.input, card.labels
        self._threshold = spec.threshold if options.threshold is None else options.threshold
        self._decode = Decoder(card, spec, outputs, roles)

    def _rows(
        self, outputs: Sequence[NDArray[Any]], height: int, width: int, threshold: float
    ) -> NDArray[np.float32]:
        """Return the boxes of a frame, as they are recorded."""
        found = self._decode(outputs, threshold)
        boxes = to_frame(found.boxes, self._input, height, width, clip=False)
        if self._spec.head is Head.POSTPROCESSED:
            kept = np.argsort(-found.scores, kind="stable")[: self._spec.most]
        else:
            kept = suppress(
                boxes, found.scores, found.classes, iou=self._spec.iou, most=self._spec.most
            )
        boxes = np.clip(boxes[kept], 0, [width, height] * 2)
        columns = [found.classes[kept, None], found.scores[kept, None], boxes]
        rows = np.concatenate(columns, axis=1).astype(np.float32)
        return rows[areas(boxes) > 0]

    def read(self, outputs: Sequence[NDArray[Any]], height: int, width: int) -> Findings:
        """See `Reader.read`."""
        rows = self._rows(outputs, height, width, self._threshold)
        boxes = tuple(
            Detection(self._labels[int(row[0])], row[1], Box(*row[2:])) for row in rows.tolist()
        )
        return (), boxes, None

    def reset(self) -> None:
        """See `Reader.reset`."""

    def record(
        self, outputs: Sequence[NDArray[Any]], height: int, width: int
    ) -> NDArray[np.float32]:
        """See `Reader.record`."""
        least = _RECORDED_SHARE * self._threshold
        return self._rows(outputs, height, width, least)[:_RECORDED_MOST]

    def fits(self, recorded: NDArray[Any]) -> bool:
        """See `Reader.fits`."""
        if recorded.ndim != 2 or recorded.shape[1] != 6 or recorded.dtype != np.float32:
            return False
        classes = recorded[:, 0]
        known = ((classes >= 0) & (classes < len(self._labels)) & (classes % 1 == 0)).all()
        return bool(np.isfinite(recorded).all() and known)

    def compare(self, made: NDArray[Any], recorded: NDArray[Any]) -> Gap:
        """Return the largest change of any box, in score.

        A box that moved loses of its score what it no longer overlaps. One without a partner has
        changed by what its score is above the least that is recorded.
        """
        from mejiro_runtime.postprocess.protocol import Gap

        found = match(recorded, made)
        gaps = [
            max(
                abs(float(recorded[one, 1] - made[other, 1])),
                float(recorded[one, 1]) * (1 - share),
            )
            for one, other, share in found.pairs
        ]
        for rows, alone, others in (
            (recorded, found.only_one, made),
            (made, found.only_other, recorded),
        ):
            least = _RECORDED_SHARE * self._threshold
            if len(others) >= _RECORDED_MOST:  # it may be the one too many
                least = max(least, float(others[-1, 1]))
            gaps += [max(0.0, float(rows[place, 1]) - least) for place in alone]
        return Gap(max(gaps, default=0.0), sum(gap > 0 for gap in gaps), len(gaps))

    def margin(self, outputs: Sequence[NDArray[Any]], height: int, width: int) -> float:
        """Return the best score: a frame in which nothing is seen tells least."""
        rows = self.record(outputs, height, width)
        return float(rows[0, 1]) if len(rows) else 0.0


def find_roles(file: str, head: Head, outputs: tuple[TensorInfo, ...]) -> tuple[int, ...]:
    """Return the places of a head's outputs, as their shapes and names tell; raises ModelError."""
    if head in (Head.YOLO, Head.YOLO_OBJECTNESS):
        return (0,)
    boxes = [p for p, value in enumerate(outputs) if len(value.shape) > 2 and value.shape[-1] == 4]
    if head is Head.SSD and len(outputs) >= 2:
        named = [p for p in boxes if "box" in outputs[p].name.lower()] or boxes
        if len(named) == 1:
            return (named[0], next(p for p in range(len(outputs)) if p != named[0]))
    one = [p for p, value in enumerate(outputs) if prod(value.shape) == 1]
    flat = [p for p, v in enumerate(outputs) if p not in one and p not in boxes]
    if len(boxes) == len(one) == 1 and len(flat) == 2:
        names = [outputs[place].name.lower() for place in flat]
        for word, order in (("class", 0), ("score", 1)):
            told = [word in name for name in names]
            if sum(told) == 1:
                first = flat[told.index(True)]
                other = flat[told.index(False)]
                pair = (first, other) if order == 0 else (other, first)
                return (boxes[0], *pair, one[0])
        ends = {name.rpartition("postprocess")[2]: p for name, p in zip(names, flat, strict=True)}
        if ":1" in ends and ":2" in ends:
            return (boxes[0], ends[":1"], ends[":2"], one[0])
    shapes = ", ".join(f"{value.name} {list(value.shape)}" for value in outputs)
    raise ModelError(
        f"{file} gives {shapes}, which do not tell {', '.join(ROLES[head])} apart; "
        "adopt it with --roles"
    )


def check_shapes(
    card: ArtifactCard, spec: DetectionSpec, outputs: tuple[TensorInfo, ...], roles: tuple[int, ...]
) -> None:
    """Raise ModelError unless the outputs have the shapes that the head, and the labels, ask."""
    if max(roles) >= len(outputs):
        raise ModelError(
            f"{card.file} has {len(outputs)} outputs, its card reads output {max(roles)}; "
            "adopt it again"
        )
    shapes = [outputs[place].shape for place in roles]
    labels = len(card.labels)
    if spec.head is Head.POSTPROCESSED:
        fit = shapes[0][-1:] == (4,) and prod(shapes[1]) == prod(shapes[2]) == prod(shapes[0]) // 4
        fit = fit and prod(shapes[3]) == 1
    elif spec.head is Head.SSD:
        fit = prod(shapes[0]) == 4 * spec.anchor_count and shapes[0][-1:] == (4,)
        fit = fit and prod(shapes[1]) == labels * spec.anchor_count
    else:
        values = 4 + labels + (spec.head is Head.YOLO_OBJECTNESS)
        fit = prod(shapes[0][:-2]) == 1 and values in shapes[0][-2:] and len(shapes[0]) > 1
    if not fit or min(min(shape, default=1) for shape in shapes) < 1:
        anchors = f" and {spec.anchor_count} anchors" if spec.anchor_count else ""
        raise ModelError(
            f"{card.file} gives {', '.join(str(list(shape)) for shape in shapes)}, which is no "
            f"{spec.head.value} head of {labels} labels{anchors}; adopt it again"
        )


def make_reader(
    card: ArtifactCard, outputs: tuple[TensorInfo, ...], options: ReadOptions
) -> BoxReader:
    """Return what reads a detector; see `mejiro_runtime.postprocess.make_reader`."""
    return BoxReader(card, outputs, options)

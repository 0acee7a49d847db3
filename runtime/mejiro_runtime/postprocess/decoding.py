"""Decode what the heads of detectors give: boxes of the tensor, a score and a class for each.

Every decoder looks at the scores first and works out only the boxes that reach the threshold.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from mejiro_runtime.card import ArtifactCard, Scores
from mejiro_runtime.errors import ModelError
from mejiro_runtime.heads import DetectionSpec, Head
from mejiro_runtime.preprocess import Quantization, TensorInfo

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Candidates that suppression looks at: the best ones. Only a broken model has as many objects.
MAX_CANDIDATES = 1000


class Candidates(NamedTuple):
    """Hold N boxes (N, 4) as left, top, right, bottom in pixels of the tensor; scores; classes."""

    boxes: NDArray[Any]
    scores: NDArray[Any]
    classes: NDArray[np.intp]


class Decoder:
    """Hold what decoding needs of a card and of the file's outputs; call it with raw outputs."""

    def __init__(
        self,
        card: ArtifactCard,
        spec: DetectionSpec,
        outputs: tuple[TensorInfo, ...],
        roles: tuple[int, ...],
    ) -> None:
        self.file = card.file
        self.spec = spec
        self.roles = roles
        self.classes = len(card.labels)
        self.background = card.output.background
        self.logits = card.output.scores is Scores.LOGITS
        self.quantizations = [value.quantization for value in outputs]
        self.size = np.array([card.input.width, card.input.height] * 2, dtype=np.float32)
        self._decode = DECODERS[spec.head]
        self._anchors: NDArray[np.float32] | None = None

    def __call__(self, outputs: Sequence[NDArray[Any]], threshold: float) -> Candidates:
        """Return what scores `threshold` or more; raises ModelError for what is not finite."""
        found = self._decode(self, outputs, threshold)
        if not (np.isfinite(found.boxes).all() and np.isfinite(found.scores).all()):
            raise ModelError(f"{self.file} gives boxes that are not finite; its file is broken")
        return found

    def real(self, outputs: Sequence[NDArray[Any]], role: int) -> NDArray[np.float32]:
        """Return the output of a role as float32, dequantized as the file says."""
        place = self.roles[role]
        return dequantized(outputs[place], self.quantizations[place], self.file)

    @property
    def anchors(self) -> NDArray[np.float32]:
        """Anchors (N, 4): centre y, centre x, height, width, in shares of the input."""
        if self._anchors is None:
            self._anchors = anchors_of(self.spec)
        return self._anchors

    def best(self, scores: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.intp]]:
        """Return the best class of each of N rows (N, classes), and its probability.

        The background class takes its part of a softmax, and is never the best.
        """
        if self.logits and not self.spec.sigmoid:
            wide = scores - scores.max(axis=1, keepdims=True)
            np.exp(wide, out=wide)
            wide /= wide.sum(axis=1, keepdims=True)
            scores = wide
        if self.background is not None:
            scores = scores.copy()
            scores[:, self.background] = -np.inf
        classes = scores.argmax(axis=1)
        best = np.take_along_axis(scores, classes[:, None], axis=1)[:, 0]
        return (sigmoid(best) if self.logits and self.spec.sigmoid else best), classes


def dequantized(
    raw: NDArray[Any], quantization: Quantization | None, file: str
) -> NDArray[np.float32]:
    """Return real numbers; raises ModelError for integers without a scale."""
    if raw.dtype.kind not in "iu":
        return raw.astype(np.float32, copy=False)
    if quantization is None:
        raise ModelError(f"{file} has an output of {raw.dtype} without a scale; export it again")
    values = raw.astype(np.float32)
    values -= np.float32(quantization.zero_point)
    values *= np.float32(quantization.scale)
    return values


def sigmoid(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return 1 / (1 + exp(-x)), without overflow."""
    with np.errstate(under="ignore"):
        small = np.exp(-np.abs(values))
    found: NDArray[np.float32] = np.where(values >= 0, 1 / (1 + small), small / (1 + small))
    return found


def anchors_of(spec: DetectionSpec) -> NDArray[np.float32]:
    """Return the anchors (N, 4) of a card: centre y, centre x, height, width."""
    if spec.anchors:
        return np.array(spec.anchors, dtype=np.float32)
    parts = []
    for grid in spec.grids:
        y = (np.arange(grid.rows) + 0.5) / grid.rows
        x = (np.arange(grid.columns) + 0.5) / grid.columns
        centres = np.stack(np.meshgrid(y, x, indexing="ij"), axis=-1).reshape(-1, 1, 2)
        sizes = np.broadcast_to(np.array(grid.sizes), (len(centres), len(grid.sizes), 2))
        spread = np.broadcast_to(centres, sizes.shape)
        parts.append(np.concatenate([spread, sizes], axis=-1).reshape(-1, 4))
    return np.concatenate(parts).astype(np.float32)


def reaching(scores: NDArray[np.float32], threshold: float) -> NDArray[np.intp]:
    """Return the places of at most MAX_CANDIDATES scores that reach `threshold`, in order.

    What is not finite is among them, so that it is seen.
    """
    places = np.flatnonzero(~(scores < threshold))
    if places.size > MAX_CANDIDATES:
        order = np.argsort(-scores[places], kind="stable")[:MAX_CANDIDATES]
        places = np.sort(places[order])
    return places


def _decode_postprocessed(
    self: Decoder, outputs: Sequence[NDArray[Any]], threshold: float
) -> Candidates:
    boxes, classes = self.real(outputs, 0).reshape(-1, 4), self.real(outputs, 1).reshape(-1)
    scores, counted = self.real(outputs, 2).reshape(-1), self.real(outputs, 3).reshape(-1)
    if not np.isfinite(counted).all():
        raise ModelError(f"{self.file} does not say how many boxes count; its file is broken")
    count = int(min(max(counted[0], 0), len(scores)))
    left = reaching(scores[:count], threshold)
    if not np.isfinite(classes[left]).all():
        raise ModelError(f"{self.file} gives classes that are not finite; its file is broken")
    found = classes[left].astype(np.intp)
    if found.size and not 0 <= found.min() <= found.max() < self.classes:
        strange = found[(found < 0) | (found >= self.classes)][0]
        raise ModelError(
            f"{self.file} sees class {strange} and has {self.classes} labels; "
            "adopt it again with a label for each class"
        )
    # From top, left, bottom, right in shares.
    return Candidates(boxes[left][:, [1, 0, 3, 2]] * self.size, scores[left], found)


def _decode_ssd(self: Decoder, outputs: Sequence[NDArray[Any]], threshold: float) -> Candidates:
    scores, classes = self.best(self.real(outputs, 1).reshape(-1, self.classes))
    left = reaching(scores, threshold)
    offsets = self.real(outputs, 0).reshape(-1, 4)[left]
    if self.spec.x_first:
        offsets = offsets[:, [1, 0, 3, 2]]
    scales: NDArray[np.float32] = np.array(self.spec.scales, dtype=np.float32)
    offsets = np.divide(offsets, scales, dtype=np.float32)
    anchors = self.anchors[left]
    centres = offsets[:, :2] * anchors[:, 2:] + anchors[:, :2]
    # Beyond e^20 a side is no side; a broken value is told, not an overflow.
    halves = np.exp(np.minimum(offsets[:, 2:], 20)) * anchors[:, 2:] / 2
    boxes = np.concatenate([centres - halves, centres + halves], axis=1)
    return Candidates(boxes[:, [1, 0, 3, 2]] * self.size, scores[left], classes[left])


def _decode_yolo(self: Decoder, outputs: Sequence[NDArray[Any]], threshold: float) -> Candidates:
    place = self.roles[0]
    raw = outputs[place]
    raw = raw.reshape(raw.shape[-2], raw.shape[-1])
    objectness = self.spec.head is Head.YOLO_OBJECTNESS
    values = 4 + objectness + self.classes
    # (values, N) is the customary form of the one head, (N, values) of the other.
    turned = raw.shape[0] == values if not objectness else raw.shape[1] != values
    rows = dequantized(raw.T if turned else raw, self.quantizations[place], self.file)
    if objectness:
        certain = sigmoid(rows[:, 4]) if self.logits else rows[:, 4]
        may = ~(certain < threshold)  # times the score of a class it will not be more
        rows = rows[may]
        scores, classes = self.best(rows[:, 5:])
        scores = scores * certain[may]
    else:
        scores, classes = self.best(rows[:, 4:])
    left = reaching(scores, threshold)
    boxes = rows[left, :4]
    halves = boxes[:, 2:] / 2
    boxes = np.concatenate([boxes[:, :2] - halves, boxes[:, :2] + halves], axis=1)
    boxes = boxes if self.spec.pixels else boxes * self.size
    return Candidates(boxes, scores[left], classes[left])


DECODERS: dict[Head, Callable[[Decoder, Sequence[Any], float], Candidates]] = {
    Head.POSTPROCESSED: _decode_postprocessed,
    Head.SSD: _decode_ssd,
    Head.YOLO: _decode_yolo,
    Head.YOLO_OBJECTNESS: _decode_yolo,
}

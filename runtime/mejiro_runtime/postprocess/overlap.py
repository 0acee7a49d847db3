"""Compare boxes: how much they overlap, which of several to keep, which are the same."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def areas(boxes: NDArray[Any]) -> NDArray[Any]:
    """Return the area of each box (N, 4): left, top, right, bottom."""
    sides = np.maximum(boxes[:, 2:] - boxes[:, :2], 0)
    found: NDArray[Any] = sides[:, 0] * sides[:, 1]
    return found


def overlaps(box: NDArray[Any], boxes: NDArray[Any]) -> NDArray[Any]:
    """Return the intersection over union of `box` with each of `boxes`; 0 where both are empty."""
    left_top = np.maximum(box[:2], boxes[:, :2])
    sides = np.maximum(np.minimum(box[2:], boxes[:, 2:]) - left_top, 0)
    shared = sides[:, 0] * sides[:, 1]
    union = areas(box[None])[0] + areas(boxes) - shared
    found: NDArray[Any] = np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
    return found


def suppress(
    boxes: NDArray[Any], scores: NDArray[Any], classes: NDArray[Any], *, iou: float, most: int
) -> NDArray[np.intp]:
    """Return which boxes stay, best first; of equal scores the earlier one first.

    A box goes if it overlaps by more than `iou` with a better one of its class that stays. At
    most `most` stay, so the work is at most `most` passes over the boxes.
    """
    left = np.argsort(-scores, kind="stable")
    kept: list[int] = []
    while left.size and len(kept) < most:
        best, left = left[0], left[1:]
        kept.append(int(best))
        goes = (classes[left] == classes[best]) & (overlaps(boxes[best], boxes[left]) > iou)
        left = left[~goes]
    return np.array(kept, dtype=np.intp)


class Matches(NamedTuple):
    """Say which rows of two lists of boxes are the same object, and which have no partner."""

    pairs: list[tuple[int, int, float]]  # one, other, their intersection over union
    only_one: list[int]
    only_other: list[int]


def match(one: NDArray[Any], other: NDArray[Any]) -> Matches:
    """Pair boxes of the same class, those that overlap most first.

    Rows are class, score, left, top, right, bottom; boxes that do not overlap are no pair.
    """
    found = []
    for index, row in enumerate(one):
        shares = overlaps(row[2:], other[:, 2:])
        same = np.flatnonzero((other[:, 0] == row[0]) & (shares > 0))
        found += [(float(shares[partner]), index, int(partner)) for partner in same]
    pairs: list[tuple[int, int, float]] = []
    ones, others = set(range(len(one))), set(range(len(other)))
    for share, index, partner in sorted(found, key=lambda entry: (-entry[0], *entry[1:])):
        if index in ones and partner in others:
            ones.remove(index)
            others.remove(partner)
            pairs.append((index, partner, share))
    return Matches(pairs, sorted(ones), sorted(others))

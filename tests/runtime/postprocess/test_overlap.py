"""Suppression gives what a plain reading of its rule gives, whatever the boxes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mejiro_runtime.postprocess.overlap import areas, match, overlaps, suppress

# Few different numbers, so that ties and equal boxes are common.
edges = st.integers(0, 6)


@st.composite
def boxes(draw: Any) -> np.ndarray:
    rows = draw(st.lists(st.tuples(edges, edges, edges, edges), max_size=14))
    return np.array([(x, y, x + w, y + h) for x, y, w, h in rows], float).reshape(-1, 4)


def naive_overlap(one: Any, other: Any) -> float:
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    shared = max(width, 0) * max(height, 0)
    union = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)) - shared
    return shared / union if union else 0.0


def naive_suppress(rows: Any, scores: Any, classes: Any, iou: float, most: int) -> list[int]:
    kept: list[int] = []
    for index in sorted(range(len(rows)), key=lambda i: -scores[i]):
        rivals = [k for k in kept if classes[k] == classes[index]]
        if all(naive_overlap(rows[k], rows[index]) <= iou for k in rivals):
            kept.append(index)
    return kept[:most]


@given(boxes(), st.data(), st.sampled_from([0.0, 0.2, 0.5, 1.0]), st.integers(1, 6))
def test_what_stays_is_what_the_rule_says(rows: Any, data: Any, iou: float, most: int) -> None:
    each = {"min_size": len(rows), "max_size": len(rows)}
    scores = np.array(data.draw(st.lists(st.sampled_from([0.1, 0.5, 0.9]), **each)))
    classes = np.array(data.draw(st.lists(st.integers(0, 2), **each)), dtype=int)
    found = suppress(rows, scores, classes, iou=iou, most=most)
    assert found.tolist() == naive_suppress(rows, scores, classes, iou, most)


@given(boxes(), boxes())
def test_overlap_is_intersection_over_union(one: Any, other: Any) -> None:
    for box in one:
        wanted = [naive_overlap(box, each) for each in other]
        np.testing.assert_allclose(overlaps(box, other), wanted, atol=1e-12)
    assert (areas(one) == [(b[2] - b[0]) * (b[3] - b[1]) for b in one]).all()


def test_boxes_are_paired_with_those_they_overlap_most() -> None:
    one = np.array([[0, 0.9, 0, 0, 10, 10], [0, 0.8, 4, 0, 14, 10], [1, 0.7, 0, 0, 9, 9]], float)
    other = np.array(
        [[0, 0.5, 3, 0, 13, 10], [0, 0.6, 90, 90, 95, 95], [2, 0.7, 0, 0, 9, 9]], float
    )
    found = match(one, other)
    assert [pair[:2] for pair in found.pairs] == [(1, 0)]
    assert found.pairs[0][2] == pytest.approx(90 / 110)
    assert (found.only_one, found.only_other) == ([0, 2], [1, 2])


@given(boxes())
def test_a_list_is_its_own_match(rows: Any) -> None:
    kept = rows[areas(rows) > 0]
    full = np.concatenate([np.zeros((len(kept), 1)), np.ones((len(kept), 1)), kept], axis=1)
    found = match(full, full)
    assert len(found.pairs) == len(full)
    assert all(share == pytest.approx(1) for _, _, share in found.pairs)

"""The page of a comparison: what is dominated, the front, and the table."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mejiro.errors import UsageError
from mejiro.report.pareto import Comparison, Point, pareto_page
from mejiro.report.pareto.figures import COSTS, _labels
from mejiro.report.pareto.points import front

POINTS = (
    Point("a <b>.tflite", "int8", 0.90, 3_000_000, 4_000_000, 300_000_000),
    Point("float.tflite", "fp32", 0.91, 9_000_000, 16_000_000, 300_000_000),
    Point("worse.onnx", "int8", 0.80, 4_000_000, 5_000_000, 400_000_000, "a <b>.tflite"),
)
COMPARISON = Comparison("birds", 50, POINTS, 15, ("LiteRT 2, XNNPACK", "ORT 1"), "a board, 2 CPUs")


def text_of(page: str) -> str:
    body = re.sub(r"<(style|svg).*?</\1>", "", page, flags=re.DOTALL)
    return " ".join(re.sub(r"<[^>]*>", " ", body).split())


def test_the_page_names_what_is_dominated_and_by_what() -> None:
    page = pareto_page(COMPARISON)
    text = text_of(page)
    assert "worse.onnx by a &lt;b&gt;.tflite" in text
    assert "3 a &lt;b&gt;" not in text  # numbers are those of the order given
    assert "1 a &lt;b&gt;.tflite" in text
    assert "91.0 %" in text
    assert "3.00" in text
    assert "LiteRT 2, XNNPACK; ORT 1" in text
    assert "<b>.tflite" not in page
    assert page.count("<svg") >= 2  # for wide and narrow screens


def test_where_nothing_is_dominated_the_page_says_so() -> None:
    points = tuple(replace(point, dominated_by=None) for point in POINTS)
    assert "none is dominated" in text_of(pareto_page(replace(COMPARISON, points=points)))


def test_there_is_something_to_compare() -> None:
    with pytest.raises(UsageError, match="needs files"):
        replace(COMPARISON, points=())


points = st.builds(
    Point,
    st.text(min_size=1),
    st.just("int8"),
    st.floats(0, 1),
    st.integers(1, 100),
    st.integers(1, 100),
    st.integers(1, 100),
)


@given(st.lists(points, min_size=1, max_size=12), st.sampled_from(sorted(COSTS)))
def test_the_front_is_what_nothing_beats(all_points: list[Point], cost: str) -> None:
    def beats(one: Point, other: Point) -> bool:
        pairs = (getattr(other, cost), one.accuracy), (getattr(one, cost), other.accuracy)
        return all(a >= b for a, b in zip(*pairs, strict=True)) and pairs[0] != pairs[1]

    found = front(all_points, cost)
    assert not any(beats(other, one) for one in found for other in all_points)
    for point in all_points:
        equal = any(
            (getattr(one, cost), one.accuracy) == (getattr(point, cost), point.accuracy)
            for one in found
        )
        assert equal or any(beats(other, point) for other in all_points)


def test_points_that_lie_together_share_a_label() -> None:
    close = replace(POINTS[0], name="twin", latency_ns=POINTS[0].latency_ns + 1000)
    labels = _labels((*POINTS, close), "latency_ns")
    assert sorted(labels.values()) == ["1, 4", "2", "3"]

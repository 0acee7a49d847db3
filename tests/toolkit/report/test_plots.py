"""Check that plots show the durations that they were given."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure as Canvas

from mejiro.report import plots
from mejiro.report.plots import Series, StackedBar
from mejiro.report.svg import WIDE
from mejiro_runtime.latency import Distribution

COLOURS = {"preprocess": "sky", "infer": "leaf"}
BARS = [
    StackedBar("int8", {"preprocess": 400_000, "infer": 3_000_000}, mark_ns=2_900_000, note="3.4"),
    StackedBar("fp32", {"preprocess": 410_000, "infer": 9_000_000}),
]


def axes_with(bars: list[StackedBar], **settings: Any) -> Any:
    axes = Canvas().subplots()
    plots.draw_stages(axes, bars, COLOURS, mark="bare engine", **settings)
    return axes


def test_stages_are_stacked_in_order_and_to_scale() -> None:
    patches = axes_with(BARS).patches
    found = [(patch.get_x(), patch.get_width()) for patch in patches]
    assert found == [
        pytest.approx((0.0, 0.4)),
        pytest.approx((0.0, 0.41)),
        pytest.approx((0.4, 3.0)),
        pytest.approx((0.41, 9.0)),
    ]


def test_the_mark_stands_where_it_was_measured() -> None:
    (line,) = axes_with(BARS).collections
    assert [segment[0][0] for segment in line.get_segments()] == [pytest.approx(2.9)]


@pytest.mark.parametrize("above", [False, True])
def test_the_first_bar_is_on_top_and_every_bar_is_named(above: bool) -> None:
    axes = axes_with(BARS, above=above)
    bottom, top = axes.get_ylim()
    assert bottom > top
    ticks = [label.get_text() for label in axes.get_yticklabels()]
    texts = [text.get_text() for text in axes.texts]
    for bar in BARS:
        assert bar.name in ticks or any(text.startswith(bar.name) for text in texts)


def test_the_legend_has_the_stages_first() -> None:
    _, names = plots.legend_of(axes_with(BARS), COLOURS)
    assert names == ["preprocess", "infer", "bare engine"]


def test_a_figure_of_stages_tells_its_numbers_in_words() -> None:
    figure = plots.plot_stages(BARS, COLOURS, mark="bare engine")
    assert figure.description == (
        "Milliseconds by stage. int8: preprocess 0.40, infer 3.00; "
        "fp32: preprocess 0.41, infer 9.00."
    )


@given(
    st.lists(st.integers(1_000, 10**9), min_size=1, max_size=300), st.sampled_from([0.5, 0.9, 0.99])
)
def test_percentiles_are_those_of_the_runtime_s_reports(values: list[int], share: float) -> None:
    reported = Distribution.of(values)
    expected = {0.5: reported.p50_ns, 0.9: reported.p90_ns, 0.99: reported.p99_ns}[share]
    assert plots._nearest_rank(values, share) == expected


def test_a_histogram_counts_every_frame_drawn_or_not() -> None:
    values = [3_000_000 + 1_000 * index for index in range(397)] + [900_000_000] * 3
    canvas = Canvas()
    axes = canvas.subplots()
    edges = plots.histogram_edges([Series("int8", values)])
    plots._draw_histogram(axes, Series("int8", values), edges, WIDE)
    assert sum(patch.get_height() for patch in axes.patches) == 397
    assert axes.get_title(loc="left") == "int8  (400 frames, 3 beyond)"


def test_a_histogram_of_equal_durations_can_be_drawn() -> None:
    figure = plots.plot_histogram([Series("int8", [3_000_000] * 10)], what="frame to label")
    assert "median 3.00, 99th percentile 3.00, 10 frames" in figure.description


def test_series_share_one_scale() -> None:
    figure = plots.plot_histogram(
        [Series("fast", [1_000_000, 1_100_000]), Series("slow", [8_000_000, 8_200_000])],
        what="frame to label",
    )
    for image in (figure.wide, figure.narrow):
        assert len(re.findall("fast|slow", image)) >= 2
        assert "p99 8.20" in image
        assert "p50 1.00" in image

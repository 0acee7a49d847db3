"""Draw accuracy against what it costs, one panel for each cost."""

from __future__ import annotations

from typing import Any

from mejiro.report.elements import Figure
from mejiro.report.palette import light
from mejiro.report.pareto.points import Comparison, Point, front
from mejiro.report.svg import Layout, draw_figure

# Field of a point -> what the axis says, and by how much its values are divided.
COSTS: dict[str, tuple[str, float]] = {
    "latency_ns": ("frame to label, ms", 1e6),
    "size_bytes": ("size, MB", 1e6),
    "multiply_adds": ("multiply-adds, millions", 1e6),
}
CHOSEN, DOMINATED, FRONT = "leaf", "clay", "moss"
_PANEL_HEIGHT = 330
# Points nearer than this share of the axis and so many points of top-1 share one label.
_CLOSE, _CLOSE_POINTS = 0.05, 0.15


def plot_pareto(comparison: Comparison) -> Figure:
    """Return a panel for each cost: the files by their numbers, and the front among them."""

    def draw(figure: Any, layout: Layout) -> None:
        shape = (len(COSTS), 1) if layout.narrow else (1, len(COSTS))
        panels = figure.subplots(*shape, sharey=True, squeeze=False).ravel()
        for axes, cost in zip(panels, COSTS, strict=True):
            _draw_panel(axes, comparison.points, cost)
        for place, axes in enumerate(panels):
            if layout.narrow or place == 0:
                axes.set_ylabel("top-1, %")
        handles, names = panels[0].get_legend_handles_labels()
        figure.legend(
            handles, names, loc="outside upper left", ncols=2 if layout.narrow else 3,
            handlelength=1.2, borderaxespad=0.0,
        )  # fmt: skip

    best = max(comparison.points, key=lambda point: point.accuracy)
    dominated = [point.name for point in comparison.points if point.dominated_by]
    return draw_figure(
        draw,
        lambda layout: 40 + _PANEL_HEIGHT * (len(COSTS) if layout.narrow else 1),
        name="pareto",
        description=(
            f"Top-1 of {len(comparison.points)} files against latency, size and multiply-adds. "
            f"The most accurate is {best.name}. Dominated: {', '.join(dominated) or 'none'}."
        ),
        caption="Numbers are those of the table. Up and to the left is better; on the line are the "
        "files that no other beats in both.",
    )


def _draw_panel(axes: Any, points: tuple[Point, ...], cost: str) -> None:
    title, unit = COSTS[cost]
    line = front(points, cost)
    axes.step(
        [getattr(point, cost) / unit for point in line],
        [100 * point.accuracy for point in line],
        where="post",
        color=light(FRONT),
        linewidth=2,
        label="nothing beats these in both",
    )
    for colour, name, ours in (
        (CHOSEN, "worth choosing", [point for point in points if not point.dominated_by]),
        (DOMINATED, "dominated", [point for point in points if point.dominated_by]),
    ):
        if ours:
            axes.scatter(
                [getattr(point, cost) / unit for point in ours],
                [100 * point.accuracy for point in ours],
                color=light(colour),
                s=46,
                zorder=3,
                label=name,
            )
    for (x, y), names in _labels(points, cost).items():
        axes.annotate(names, (x / unit, y), xytext=(5, 5), textcoords="offset points")
    axes.set_xlim(left=0)
    axes.margins(y=0.12)
    axes.set_ylim(top=min(100.5, axes.get_ylim()[1]))
    axes.set_xlabel(title)
    axes.grid(axis="y", color=light("rule"), linewidth=1)
    axes.set_axisbelow(True)


def _labels(points: tuple[Point, ...], cost: str) -> dict[tuple[float, float], str]:
    """Return the numbers to write, by place: those of points that lie too close share one."""
    widest = max(getattr(point, cost) for point in points) or 1
    places: dict[tuple[float, float], str] = {}
    for number, point in enumerate(points, start=1):
        x, y = float(getattr(point, cost)), 100 * point.accuracy
        near = next(
            (
                place
                for place in places
                if abs(place[0] - x) < _CLOSE * widest and abs(place[1] - y) < _CLOSE_POINTS
            ),
            None,
        )
        if near is None:
            places[x, y] = str(number)
        else:
            places[near] += f", {number}"
    return places

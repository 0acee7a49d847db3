"""Draw durations: stages stacked into bars, and histograms one below the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mejiro.report.elements import Figure
from mejiro.report.numbers import milliseconds
from mejiro.report.palette import light
from mejiro.report.svg import Layout, draw_figure

SERIES_COLOURS = ("leaf", "sky", "clay", "moss")
BINS = 48
# A histogram ends this share of its width beyond the 99th percentile, and counts what lies further
# out: one hiccup of the machine would squeeze all else into the first few bars.
BEYOND = 0.3


@dataclass(frozen=True)
class StackedBar:
    """Hold one bar: named durations in nanoseconds, from left to right.

    `mark_ns` is drawn as a line across the bar, for comparison; `note` stands behind its end.
    """

    name: str
    parts: Mapping[str, int]
    mark_ns: int | None = None
    note: str = ""


@dataclass(frozen=True)
class Series:
    """Hold one histogram's durations, in nanoseconds."""

    name: str
    durations_ns: Sequence[int]
    colour: str = "leaf"


def plot_stages(
    bars: Sequence[StackedBar], colours: Mapping[str, str], *, mark: str, caption: str = ""
) -> Figure:
    """Return horizontal bars of stages, in milliseconds.

    `colours` names a colour of the palette for each part; `mark` says what the lines are.
    """

    def draw(figure: Any, layout: Layout) -> None:
        axes = figure.subplots()
        draw_stages(axes, bars, colours, mark=mark, above=layout.narrow)
        figure.legend(
            *legend_of(axes, colours),
            loc="outside upper left",
            ncols=2 if layout.narrow else 4,
            handlelength=1.0,
            handleheight=0.9,
            columnspacing=1.4,
            borderaxespad=0.0,
        )

    def height(layout: Layout) -> int:
        return 96 + len(bars) * 62 + 20 if layout.narrow else 84 + len(bars) * 48

    told = "; ".join(f"{bar.name}: {_told(bar)}" for bar in bars)
    return draw_figure(
        draw,
        height,
        name="stages",
        description=f"Milliseconds by stage. {told}.",
        caption=caption,
    )


def _told(bar: StackedBar) -> str:
    return ", ".join(f"{part} {milliseconds(value)}" for part, value in bar.parts.items())


def draw_stages(
    axes: Any,
    bars: Sequence[StackedBar],
    colours: Mapping[str, str],
    *,
    mark: str = "",
    above: bool = False,
) -> None:
    """Draw `bars` on matplotlib `axes`, the first at the top.

    Names stand beside the bars, or `above` them where the drawing is narrow.
    """
    thickness = 0.34 if above else 0.52
    places = np.arange(len(bars), dtype=float)
    for part, colour in colours.items():
        left = [_until(bar, part) for bar in bars]
        width = [bar.parts.get(part, 0) / 1e6 for bar in bars]
        axes.barh(places, width, thickness, left=left, color=light(colour), label=part)
    marks = [(place, bar.mark_ns) for place, bar in zip(places, bars, strict=True) if bar.mark_ns]
    if marks and mark:
        axes.vlines(
            [value / 1e6 for _, value in marks],
            [place - thickness * 0.72 for place, _ in marks],
            [place + thickness * 0.72 for place, _ in marks],
            color=light("ink"),
            linewidth=2.2,
            label=mark,
        )
    ends = [sum(bar.parts.values()) / 1e6 for bar in bars]
    furthest = max([*ends, *[value / 1e6 for _, value in marks]])
    for place, bar, end in zip(places, bars, ends, strict=True):
        reach = max(end, (bar.mark_ns or 0) / 1e6)
        if above:
            axes.text(0, place - thickness * 0.95, f"{bar.name}   {bar.note}", va="bottom")
        else:
            axes.text(reach + furthest * 0.012, place, bar.note, va="center")
    axes.set_xlim(0, furthest * (1.02 if above else 1.2))
    axes.set_ylim(len(bars) - 0.45, -0.95 if above else -0.55)
    axes.set_yticks([] if above else places, labels=[] if above else [bar.name for bar in bars])
    axes.set_xlabel("milliseconds")
    axes.grid(axis="x", color=light("rule"), linewidth=1)
    axes.set_axisbelow(True)


def legend_of(axes: Any, colours: Mapping[str, str]) -> tuple[list[Any], list[str]]:
    """Return the handles and names of a legend: the stages in their order, then the line."""
    found = dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
    names = [*colours, *(name for name in found if name not in colours)]
    return [found[name] for name in names], names


def _until(bar: StackedBar, part: str) -> float:
    """Return where `part` begins, in milliseconds."""
    total = 0
    for name, value in bar.parts.items():
        if name == part:
            break
        total += value
    return total / 1e6


def plot_histogram(series: Sequence[Series], *, what: str, caption: str = "") -> Figure:
    """Return one histogram a series, on one scale, in milliseconds; `what` names the durations.

    Lines mark the median and the 99th percentile. The few frames beyond the scale are counted
    in the drawing.
    """
    edges = histogram_edges(series)

    def draw(figure: Any, layout: Layout) -> None:
        rows = figure.subplots(len(series), 1, sharex=True, sharey=True, squeeze=False)[:, 0]
        for axes, one in zip(rows, series, strict=True):
            _draw_histogram(axes, one, edges, layout)
        rows[-1].set_xlabel(f"{what}, milliseconds")

    told = "; ".join(
        f"{one.name}: median {milliseconds(_nearest_rank(one.durations_ns, 0.5))}, "
        f"99th percentile {milliseconds(_nearest_rank(one.durations_ns, 0.99))}, "
        f"{len(one.durations_ns)} frames"
        for one in series
    )
    return draw_figure(
        draw,
        lambda layout: 50 + (150 if layout.narrow else 135) * len(series),
        name="histogram",
        description=f"Histogram of {what} in milliseconds. {told}.",
        caption=caption,
    )


def histogram_edges(series: Sequence[Series]) -> Any:
    """Return the edges of the bins that all of `series` share, in milliseconds."""
    slow = max(_nearest_rank(one.durations_ns, 0.99) for one in series) / 1e6
    low = min(min(one.durations_ns) for one in series) / 1e6 * 0.97
    return np.linspace(low, slow + (slow - low) * BEYOND, BINS + 1)


def _draw_histogram(axes: Any, one: Series, edges: Any, layout: Layout) -> None:
    values = np.asarray(one.durations_ns, dtype=np.float64) / 1e6
    axes.hist(values[values <= edges[-1]], bins=edges, color=light(one.colour), rwidth=0.9)
    axes.set_yticks([])
    axes.margins(y=0.28)
    # At two heights: the two lie close together where the machine is steady.
    for share, name, top in ((0.5, "p50", 0.98), (0.99, "p99", 0.6)):
        value = _nearest_rank(one.durations_ns, share) / 1e6
        axes.axvline(value, color=light("ink"), linewidth=1.2, ymax=top)
        axes.annotate(
            f"{name} {milliseconds(value * 1e6)}",
            (value, top),
            xycoords=("data", "axes fraction"),
            xytext=(4, 0),
            textcoords="offset points",
            ha="left",
            va="top",
            fontsize=layout.font_size - 1,
            color=light("muted"),
        )
    beyond = int((values > edges[-1]).sum())
    more = f", {beyond} beyond" if beyond else ""
    axes.set_title(
        f"{one.name}  ({len(values)} frames{more})", loc="left", fontsize=layout.font_size
    )


def _nearest_rank(durations_ns: Sequence[int], share: float) -> int:
    """Return a percentile that was measured, as the runtime's reports do."""
    values = sorted(durations_ns)
    return int(values[max(0, int(np.ceil(share * len(values))) - 1)])

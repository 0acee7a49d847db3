"""Assemble the page of a comparison."""

from __future__ import annotations

from mejiro import __version__
from mejiro.report.elements import Cell, Column, Fact, Table, Tone, table
from mejiro.report.html import Page, render_page
from mejiro.report.numbers import megabytes, milliseconds, percent
from mejiro.report.pareto.figures import plot_pareto
from mejiro.report.pareto.points import Comparison, Point

_LATENCY = "median of {} rounds in which the files took turns, on synthetic frames of 640x480"


def pareto_page(comparison: Comparison) -> str:
    """Return the HTML of a comparison's report."""
    points = comparison.points
    return render_page(
        "pareto.html",
        package="mejiro.report.pareto",
        page=Page(
            title=f"{len(points)} files on {comparison.data}",
            kind="comparison",
            footer=f"Written by mejiro {__version__}. For programs: comparison.json.",
        ),
        content={
            "lead": lead_words(comparison),
            "facts": _facts(points),
            "plot": plot_pareto(comparison),
            "files": _table(points),
            "details": [
                ("pictures", f"{comparison.pictures} of {comparison.data}"),
                ("engines", "; ".join(comparison.engines)),
                ("machine", comparison.machine),
                ("latency", _LATENCY.format(comparison.rounds)),
            ],
        },
    )  # fmt: skip


def lead_words(comparison: Comparison) -> str:
    """Return what the comparison comes to, in a sentence or two."""
    dominated = [point for point in comparison.points if point.dominated_by]
    if not dominated:
        return "Each of these files is the best choice for somebody: none is dominated."
    told = "; ".join(f"{point.name} by {point.dominated_by}" for point in dominated)
    return (
        f"Dominated, which is to say that another is as accurate, as fast and as small, and "
        f"better in something: {told}."
    )


def _facts(points: tuple[Point, ...]) -> list[Fact]:
    best = max(points, key=lambda point: (point.accuracy, -point.latency_ns))
    fastest = min(points, key=lambda point: point.latency_ns)
    smallest = min(points, key=lambda point: point.size_bytes)
    return [
        Fact(percent(best.accuracy), "%", "the most accurate", best.name),
        Fact(milliseconds(fastest.latency_ns), "ms", "the fastest", fastest.name),
        Fact(megabytes(smallest.size_bytes), "MB", "the smallest", smallest.name),
    ]


def _table(points: tuple[Point, ...]) -> Table:
    rows: list[list[Cell | str]] = []
    for number, point in enumerate(points, start=1):
        note = f"dominated by {point.dominated_by}" if point.dominated_by else ""
        tone = Tone.MUTED if point.dominated_by else Tone.PLAIN
        rows.append(
            [
                Cell(f"{number}  {point.name}", note),
                point.precision,
                Cell(percent(point.accuracy), tone=tone),
                Cell(milliseconds(point.latency_ns), tone=tone),
                Cell(megabytes(point.size_bytes), tone=tone),
                Cell(f"{point.multiply_adds / 1e6:.0f}", tone=tone),
            ]
        )
    return table(
        [
            Column("file"),
            Column("precision"),
            Column("top-1", "%", numeric=True),
            Column("frame to label", "ms", numeric=True),
            Column("size", "MB", numeric=True),
            Column("multiply-adds", "M", numeric=True),
        ],
        rows,
    )

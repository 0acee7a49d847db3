"""Lay out a confusion matrix: a table that can be read, or a picture where there are many."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from typing import TYPE_CHECKING

import numpy as np
from markupsafe import Markup, escape

from mejiro.report.elements import Figure
from mejiro.report.numbers import percent
from mejiro.report.svg import NARROW, WIDE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mejiro.train.metrics import Metrics

# As many columns of numbers as can be read; a phone scrolls from about ten on.
NUMBERED_CLASSES = 20
_ROOMY_CLASSES, _CLOSE_CLASSES = 5, 12
# Names can stand beside rows and columns of a picture up to here.
_NAMED_CLASSES = 60
# Beyond these a page would grow by megabytes if each cell told what it is.
_TOLD_CELLS = 4000
_LEVELS = 16
_NAME_WIDTH = 150
_NAME_LETTERS = 20
_FAINTEST = 0.14
_SMALLEST_SQUARE = 2.2


@dataclass(frozen=True)
class MatrixCell:
    """Hold the pictures of one truth with one answer; `strength` (0..1) is its shade."""

    pictures: int
    strength: float
    right: bool
    words: str


@dataclass(frozen=True)
class Matrix:
    """Hold a confusion matrix as a table: a row for each truth, a column for each answer."""

    names: tuple[str, ...]
    rows: tuple[tuple[MatrixCell, ...], ...]

    @property
    def density(self) -> str:
        """The style sheet's word for how closely the columns stand."""
        count = len(self.names)
        return "few" if count <= _ROOMY_CLASSES else "many" if count <= _CLOSE_CLASSES else "dense"


def matrix_table(metrics: Metrics) -> Matrix:
    """Return the matrix of few classes, to be drawn with its numbers."""
    names = tuple(one.label.short for one in metrics.per_class)
    shares = _row_shares(metrics.confusion)
    return Matrix(
        names=names,
        rows=tuple(
            tuple(
                MatrixCell(
                    pictures=int(count),
                    strength=round(_strength(share), 3),
                    right=truth == answer,
                    words=_words(names, truth, answer, int(count), share),
                )
                for answer, (count, share) in enumerate(zip(counts, row, strict=True))
            )
            for truth, (counts, row) in enumerate(zip(metrics.confusion, shares, strict=True))
        ),
    )


def matrix_figure(metrics: Metrics) -> Figure:
    """Return the matrix of many classes as a picture: a square for each pair that occurred."""
    names = [one.label.short for one in metrics.per_class]
    kept = int(np.trace(metrics.confusion))
    return Figure(
        wide=_draw(metrics, names, width=WIDE.width, named=len(names) <= _NAMED_CLASSES),
        narrow=_draw(metrics, names, width=NARROW.width, named=False),
        description=f"Confusion matrix of {len(names)} classes: {kept} of {metrics.pictures} "
        "pictures lie on its diagonal.",
        caption="Rows are truths, columns answers, both in the order of the classes. Green squares "
        "on the diagonal are right answers, the others mistakes; the stronger the colour, the "
        "larger the share of the row's pictures."
        + (" A pointer held over a square tells what it is." if _told(metrics) else ""),
    )


def _row_shares(confusion: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return each count as a share of its row, the pictures of one truth."""
    shares: NDArray[np.float64] = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    return shares


def _strength(share: float) -> float:
    """Return the shade of a share: its root, so that a few in a hundred can still be seen."""
    return 0.0 if share == 0 else max(_FAINTEST, sqrt(share))


def _words(names: Sequence[str], truth: int, answer: int, count: int, share: float) -> str:
    pictures = f"{count} picture" + ("" if count == 1 else "s")
    if truth == answer:
        return f"{names[truth]}: {pictures} right ({percent(share)}%)"
    return f"{names[truth]} taken for {names[answer]}: {pictures} ({percent(share)}%)"


def _draw(metrics: Metrics, names: Sequence[str], *, width: int, named: bool) -> Markup:
    """Return the matrix as SVG, `width` CSS pixels wide."""
    count = len(names)
    margin = _NAME_WIDTH if named else 0
    side = min(width - margin, 16 * count if named else width, 720)
    cell = side / count
    parts = [
        Markup('<svg aria-hidden="true" viewBox="0 0 {} {}" style="max-width:{}px">').format(
            round(margin + side), round(margin + side), round(margin + side)
        ),
        Markup('<g transform="translate({0} {0}) scale({1:.5f})">').format(margin, cell),
        Markup('<rect width="{0}" height="{0}" style="fill:var(--panel)"/>').format(count),
        _lines(count, width=1 / cell),
        # Squares below a few pixels would not be seen; they may cover their neighbours instead.
        _cells(metrics, names, size=max(1.0, _SMALLEST_SQUARE / cell)),
        Markup("</g>"),
    ]
    if named:
        parts += [_names(names, margin, cell)]
    return Markup("").join([*parts, Markup("</svg>")])


def _lines(count: int, *, width: float) -> Markup:
    """Return a line for each tenth class, or hundredth of very many, to find one's way by."""
    step = 10 if count <= 200 else 100
    path = "".join(f"M{n} 0v{count}M0 {n}h{count}" for n in range(step, count, step))
    return Markup('<path d="{}" style="fill:none;stroke:var(--rule);stroke-width:{:.4f}"/>').format(
        path, width
    )


def _told(metrics: Metrics) -> bool:
    """Return whether each square can tell what it is."""
    return int(np.count_nonzero(metrics.confusion)) <= _TOLD_CELLS


def _cells(metrics: Metrics, names: Sequence[str], *, size: float) -> Markup:
    """Return the squares, those of one shade in one group; `size` is their side, in classes."""
    shares = _row_shares(metrics.confusion)
    groups: dict[tuple[bool, int], list[tuple[int, int]]] = {}
    for truth, answer in zip(*(axis.tolist() for axis in np.nonzero(shares)), strict=True):
        level = max(1, round(_LEVELS * _strength(float(shares[truth, answer]))))
        groups.setdefault((truth == answer, level), []).append((truth, answer))
    told, shift = _told(metrics), (size - 1) / 2
    parts = []
    for (right, level), places in sorted(groups.items()):
        style = Markup('style="fill:var(--{});opacity:{:.3f}"').format(
            "leaf" if right else "clay", level / _LEVELS
        )
        corners = [(f"{answer - shift:.4g}", f"{truth - shift:.4g}") for truth, answer in places]
        if not told:
            side = f"{size:.4g}"
            path = "".join(f"M{x} {y}h{side}v{side}h-{side}z" for x, y in corners)
            parts.append(Markup('<path {} d="{}"/>').format(style, path))
            continue
        squares = Markup("").join(
            Markup(
                '<rect x="{}" y="{}" width="{:.4g}" height="{:.4g}"><title>{}</title></rect>'
            ).format(
                *corner,
                size,
                size,
                _words(
                    names,
                    truth,
                    answer,
                    int(metrics.confusion[truth, answer]),
                    float(shares[truth, answer]),
                ),
            )
            for corner, (truth, answer) in zip(corners, places, strict=True)
        )
        parts.append(Markup("<g {}>{}</g>").format(style, squares))
    return Markup("").join(parts)


def _names(names: Sequence[str], margin: int, cell: float) -> Markup:
    """Return the classes' names beside the rows and, turned, above the columns."""
    parts = []
    for index, name in enumerate(names):
        shown = name if len(name) <= _NAME_LETTERS else f"{name[: _NAME_LETTERS - 1]}…"
        place = f"{margin + cell * (index + 0.5):.1f}"
        parts.append(
            Markup(
                '<text x="{0}" y="{1}" text-anchor="end" dominant-baseline="central">{2}</text>'
                '<text transform="translate({1} {0}) rotate(-90)" dominant-baseline="central">'
                "{2}</text>"
            ).format(margin - 6, place, escape(shown))
        )
    return Markup('<g style="font-size:11px;fill:var(--muted)">{}</g>').format(
        Markup("").join(parts)
    )

"""Define what pages are made of: facts, tables, figures, bars. Templates draw them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from markupsafe import Markup


class Tone(str, Enum):
    """Say whether a value is good or bad news; most are neither."""

    PLAIN = "plain"
    GOOD = "good"
    BAD = "bad"
    MUTED = "muted"


@dataclass(frozen=True)
class Fact:
    """Hold one figure that a reader should take away: 3.2 ms, from frame to label."""

    value: str
    unit: str
    name: str
    note: str = ""


@dataclass(frozen=True)
class Cell:
    """Hold one cell of a table; `note` stands below it, smaller."""

    text: str
    note: str = ""
    tone: Tone = Tone.PLAIN


@dataclass(frozen=True)
class Column:
    """Head one column of a table. Numbers are aligned to the right; `unit` follows the title."""

    title: str
    unit: str = ""
    numeric: bool = False


@dataclass(frozen=True)
class Table:
    """Hold a table. The first cell of each row names it; `caption` says how to read the rest.

    A row whose first cell is MUTED is a part of the one above. On a narrow screen each row
    becomes a block of its own, unless the table is `compact` enough to stay one.
    """

    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    caption: str = ""
    compact: bool = False

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.columns):
                raise ValueError(f"a row of {len(row)} cells in {len(self.columns)} columns")


@dataclass(frozen=True)
class Figure:
    """Hold one drawing as SVG, laid out once for wide screens and once for narrow ones.

    `description` is what a reader who cannot see it is told.
    """

    wide: Markup
    narrow: Markup
    description: str
    caption: str = ""


@dataclass(frozen=True)
class Bar:
    """Hold one named share (0..1) to be drawn as a bar; `text` is the share in words."""

    name: str
    share: float
    text: str
    tone: Tone = Tone.PLAIN

    @property
    def percent(self) -> str:
        """The bar's length for a style sheet."""
        return f"{100 * min(1.0, max(0.0, self.share)):.1f}%"


def table(
    columns: Sequence[Column],
    rows: Sequence[Sequence[Cell | str]],
    *,
    caption: str = "",
    compact: bool = False,
) -> Table:
    """Return a table whose cells may be written as plain strings."""
    return Table(
        columns=tuple(columns),
        rows=tuple(
            tuple(Cell(cell) if isinstance(cell, str) else cell for cell in row) for row in rows
        ),
        caption=caption,
        compact=compact,
    )

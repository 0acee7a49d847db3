"""Check what pages are made of."""

from __future__ import annotations

import pytest

from mejiro.report.elements import Bar, Cell, Column, Table, table


def test_strings_become_cells() -> None:
    made = table([Column("file"), Column("size")], [["a", Cell("2", "note")]], caption="read me")
    assert made.rows == ((Cell("a"), Cell("2", "note")),)
    assert made.caption == "read me"


def test_a_row_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="1 cells in 2 columns"):
        Table(columns=(Column("a"), Column("b")), rows=((Cell("1"),),))


@pytest.mark.parametrize(
    ("share", "length"), [(0.125, "12.5%"), (0.0, "0.0%"), (1.2, "100.0%"), (-1.0, "0.0%")]
)
def test_a_bar_never_leaves_its_track(share: float, length: str) -> None:
    assert Bar("cat", share, "").percent == length

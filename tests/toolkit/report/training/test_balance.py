"""Check the counts of each class's pictures."""

from __future__ import annotations

from pathlib import Path

from mejiro.report.training.balance import ClassSize, class_sizes, imbalance
from mejiro.report.training.run_files import Split, SplitPicture
from mejiro_runtime.types import Label


def pictures(*labels: int) -> tuple[SplitPicture, ...]:
    return tuple(SplitPicture(Path("x.jpg"), "0" * 64, label) for label in labels)


def test_both_sides_are_counted_in_the_labels_order() -> None:
    split = Split("set", train=pictures(1, 1, 0), val=pictures(1))
    sizes = class_sizes(split, [Label(0, "ant, pismire"), Label(1, "bee"), Label(2, "wasp")])
    assert sizes == [ClassSize("ant", 1, 0), ClassSize("bee", 2, 1), ClassSize("wasp", 0, 0)]
    assert [one.pictures for one in sizes] == [1, 3, 0]


def test_the_imbalance_is_a_ratio_and_has_none_for_an_empty_class() -> None:
    assert imbalance([ClassSize("a", 6, 0), ClassSize("b", 4, 9)]) == 1.5
    assert imbalance([ClassSize("a", 6, 0), ClassSize("b", 0, 9)]) is None

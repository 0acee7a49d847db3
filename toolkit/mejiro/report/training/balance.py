"""Count each class's pictures on both sides of a split."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from mejiro.report.training.run_files import Split
from mejiro_runtime.types import Label


@dataclass(frozen=True)
class ClassSize:
    """Hold how many pictures a class has to train on and to validate with."""

    name: str
    train: int
    val: int

    @property
    def pictures(self) -> int:
        """Both together."""
        return self.train + self.val


def class_sizes(split: Split, labels: Sequence[Label]) -> list[ClassSize]:
    """Return the sizes of all classes, in the order of `labels`."""
    train = Counter(picture.label_index for picture in split.train)
    val = Counter(picture.label_index for picture in split.val)
    return [ClassSize(label.short, train[label.index], val[label.index]) for label in labels]


def imbalance(sizes: Sequence[ClassSize]) -> float | None:
    """Return how many times as many training pictures the largest class has as the smallest.

    None if a class has none.
    """
    counts = [one.train for one in sizes]
    return max(counts) / min(counts) if min(counts) else None

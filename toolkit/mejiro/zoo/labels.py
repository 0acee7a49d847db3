"""Check the names of a classifier's classes, and give those of ImageNet."""

from __future__ import annotations

from mejiro.data.imagenet import imagenet_labels
from mejiro.errors import UsageError
from mejiro_runtime.types import Label

__all__ = ["check_labels", "imagenet_labels"]


def check_labels(labels: tuple[Label, ...], classes: int | None = None) -> None:
    """Raise UsageError unless the labels number 0, 1, 2 … and, where given, are `classes`."""
    if classes is not None and len(labels) != classes:
        raise UsageError(
            f"the model answers with {classes} classes and {len(labels)} labels are given; "
            "give one label for each class"
        )
    if len(labels) < 2:
        raise UsageError(f"a classifier needs two labels or more, found {len(labels)}")
    for place, label in enumerate(labels):
        if label.index != place:
            raise UsageError(
                f"label '{label.name}' has index {label.index} and stands at {place}; "
                "give labels in the order of the model's output"
            )

"""Name the 1000 classes of ImageNet (ILSVRC 2012), in the order that its models answer in."""

from __future__ import annotations

from functools import lru_cache
from importlib import resources

from mejiro.errors import UsageError
from mejiro_runtime.types import Label


@lru_cache(maxsize=1)
def imagenet_labels() -> tuple[Label, ...]:
    """Return ImageNet's classes, each with its names and its WordNet synset, sorted by synset."""
    text = resources.files("mejiro.zoo").joinpath("imagenet.tsv").read_text(encoding="utf-8")
    rows = [line.split("\t") for line in text.splitlines()]
    return tuple(Label(index, name, synset) for index, (synset, name) in enumerate(rows))


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

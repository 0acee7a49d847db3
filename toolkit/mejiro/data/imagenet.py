"""Name the 1000 classes of ImageNet (ILSVRC 2012), in the order that its models answer in."""

from __future__ import annotations

from functools import lru_cache
from importlib import resources

from mejiro_runtime.types import Label


@lru_cache(maxsize=1)
def imagenet_labels() -> tuple[Label, ...]:
    """Return ImageNet's classes, each with its names and its WordNet synset, sorted by synset."""
    text = resources.files("mejiro.data").joinpath("imagenet.tsv").read_text(encoding="utf-8")
    rows = [line.split("\t") for line in text.splitlines()]
    return tuple(Label(index, name, synset) for index, (synset, name) in enumerate(rows))

"""Say what can be explained: a network of Keras, or an exported file with its features."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from mejiro.data.folders import ClassNames
from mejiro.errors import UsageError
from mejiro.explain.methods import Map
from mejiro_runtime.preprocess import InputSpec
from mejiro_runtime.types import Label


class Seen(NamedTuple):
    """Hold what one layer gave for one picture: float32 (height, width, channels)."""

    layer: str
    features: Map


class Slopes(NamedTuple):
    """Hold what one layer gave, and the gradients of a class's score with respect to it.

    Both are float32 (height, width, channels); the score is the one before any softmax.
    `computed` says how the gradients were found, if not by differentiation.
    """

    layer: str
    features: Map
    gradients: Map
    computed: str = ""


class Subject(Protocol):
    """Answer what explanations ask of a model; use it in a `with` block to close it.

    Tensors are inputs (N, ...) as `spec` says; `layer` None is the last feature map.
    """

    name: str
    spec: InputSpec
    labels: tuple[Label, ...]
    background: int | None

    def scores(self, tensors: NDArray[Any]) -> NDArray[np.float32]:
        """Return probabilities (N, classes)."""
        ...

    def slopes(self, tensor: NDArray[Any], index: int, layer: str | None) -> Slopes:
        """Return a layer's features, and how the score of class `index` depends on them.

        Raises UsageError for a layer that has no map, ModelError for a model without any.
        """
        ...

    def stages(self, tensor: NDArray[Any], layer: str | None) -> list[Seen]:
        """Return what layers early, midway and late gave, or the one called `layer`."""
        ...

    def __enter__(self) -> Subject: ...

    def __exit__(self, *reason: object) -> None: ...


def find_class(labels: Sequence[Label], text: str) -> Label:
    """Return the label that `text` names: by name, synset or index.

    Raises UsageError if it names none, or more than one.
    """
    found = ClassNames(labels).find(text)
    if found is None:
        names = [name for label in labels for name in (label.short, label.synset) if name]
        near = difflib.get_close_matches(text, names, n=1)
        hint = f"did you mean '{near[0]}'?" if near else "give a label's name, synset or index"
        raise UsageError(f"the model has no class '{text}'; {hint}")
    if len(found) > 1:
        listed = " and ".join(str(index) for index in sorted(found))
        raise UsageError(f"classes {listed} are all called '{text}'; give the synset or the index")
    (index,) = found
    return labels[index]

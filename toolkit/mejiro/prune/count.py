"""Count what a network would cost after a cut, without making the cut."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mejiro.errors import PruneError
from mejiro.prune.graph import ChannelGraph, Keep
from mejiro.prune.trace import Axis
from mejiro.prune.widths import MULTIPLE, strongest
from mejiro.zoo.count import is_counted, multiply_adds, places_of

_HALVINGS = 20  # to a millionth of a group, which is less than a channel


class Measure(str, Enum):
    """Name what a target speaks of."""

    MACS = "macs"
    PARAMS = "params"
    LATENCY = "latency"


@dataclass(frozen=True)
class Cost:
    """Hold the multiply-adds of one picture and the number of parameters, as the zoo counts."""

    multiply_adds: int
    parameters: int

    def of(self, measure: Measure) -> int:
        """Return the number that `measure` names; raises PruneError for what is timed."""
        if measure is Measure.LATENCY:
            raise PruneError("latency is measured on a machine, it cannot be counted")
        return {Measure.MACS: self.multiply_adds, Measure.PARAMS: self.parameters}[measure]

    def share_of(self, whole: Cost, measure: Measure) -> float:
        """Return this cost over that of `whole`: 0.6 means that four tenths are saved."""
        return self.of(measure) / max(whole.of(measure), 1)


class Counter:
    """Count a network's cost for many cuts; the network is looked through once."""

    def __init__(self, graph: ChannelGraph) -> None:
        self._graph = graph
        names = {id(layer): name for name, layer in graph.layers.items()}
        self._places: dict[str, int] = {}
        self._shapes: dict[str, list[list[int]]] = {}
        for step in graph.network.steps.values():
            layer: Any = step.layer
            name = names.get(id(layer), step.name)
            weights = getattr(layer, "weights", ())  # a plain operation has none
            self._shapes[name] = [list(weight.shape) for weight in weights]
            if is_counted(layer):
                places = places_of(layer, step.inputs[0].shape, step.output.shape)
                self._places[name] = self._places.get(name, 0) + places

    def cost(self, keep: Keep | None = None) -> Cost:
        """Return the cost after `cut(graph, keep)`, or before any; raises PruneError."""
        changed: dict[str, list[list[int]]] = {}
        for axis, kept in self._graph.kept_indices(keep or {}).items():
            self._shorten(changed, axis, len(kept))
        macs = parameters = 0
        for name, whole in self._shapes.items():
            shapes = changed.get(name, whole)
            parameters += sum(math.prod(shape) for shape in shapes)
            macs += multiply_adds(shapes, self._places.get(name, 0))
        return Cost(macs, parameters)

    def _shorten(self, changed: dict[str, list[list[int]]], axis: Axis, length: int) -> None:
        if not isinstance(axis.weight, int):
            return
        whole = self._shapes[axis.layer]
        shapes = changed.setdefault(axis.layer, [list(shape) for shape in whole])
        shapes[axis.weight][axis.axis] = length


def uniform_cut(
    graph: ChannelGraph,
    scores: Mapping[str, NDArray[np.floating[Any]]],
    *,
    target: float,
    measure: Measure = Measure.MACS,
    multiple: int = MULTIPLE,
) -> dict[str, NDArray[np.int64]]:
    """Return what to keep so that the cost is at most `target` of the uncut network's.

    The same share of each group in `scores` stays, the largest that meets the target, and of
    each group the channels with the highest scores. It is the plainest allocation, to compare
    others with. Raises PruneError if even the narrowest network costs more.
    """
    counter = Counter(graph)
    whole = counter.cost()

    def kept(share: float) -> dict[str, NDArray[np.int64]]:
        return {
            name: strongest(score, share, graph.groups[name], multiple=multiple)
            for name, score in scores.items()
        }

    def reached(share: float) -> float:
        return counter.cost(kept(share)).share_of(whole, measure)

    low, high = 1e-6, 1.0
    if reached(low) > target:
        raise PruneError(
            f"{measure.value} cannot be brought to {target:g} of the whole; the narrowest network "
            f"has {reached(low):.3f}, so ask for more, or give a smaller multiple than {multiple}"
        )
    if reached(high) <= target:
        return kept(high)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if reached(middle) <= target:
            low = middle
        else:
            high = middle
    return kept(low)

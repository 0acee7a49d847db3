"""Tell which tensors of a file are quantized, and which of them share one scale."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mejiro.train.qat.reading import ABSENT, Graph, Node, Value

# What moves integers as they are, so that what goes in and comes out have one scale. An average
# is rounded to that scale again.
MOVING = frozenset(
    {
        "RESHAPE", "SQUEEZE", "EXPAND_DIMS", "TRANSPOSE", "MAX_POOL_2D", "PAD", "PADV2",
        "CONCATENATION", "REDUCE_MAX", "MAXIMUM", "MINIMUM", "QUANTIZE",
    }
)  # fmt: skip
_SHARING = MOVING | {"AVERAGE_POOL_2D"}
# What TFLite's kernels give a scale of their own, whatever the values.
_FIXED = frozenset({"LOGISTIC", "SOFTMAX", "TANH"})
_BITS = {"int8": 8, "uint8": 8, "int16": 16}


@dataclass(frozen=True)
class Group:
    """Hold tensors that share one scale: their places, and the range at the beginning.

    `fixed` says that the range cannot be chosen, `symmetric` that the zero point is 0.
    """

    places: tuple[int, ...]
    low: float
    high: float
    bits: int
    fixed: bool
    symmetric: bool


def find_groups(graph: Graph) -> tuple[Group, ...]:
    """Return the groups of the quantized activations in `graph`, in running order."""
    places = [graph.input, *(node.output for node in graph.nodes)]
    quantized = [place for place in places if _is_activation(graph.values[place])]
    parents = {place: place for place in quantized}

    def root(place: int) -> int:
        while parents[place] != place:
            place = parents[place]
        return place

    for node in graph.nodes:
        if node.kind in _SHARING and node.output in parents:
            for place in node.inputs:
                if place in parents and same_scale(graph.values[place], graph.values[node.output]):
                    parents[root(node.output)] = root(place)
    members: dict[int, list[int]] = {}
    for place in quantized:
        members.setdefault(root(place), []).append(place)
    fixed = {graph.input, *(node.output for node in graph.nodes if node.kind in _FIXED)}
    chosen = [place for group in members.values() for place in group if not fixed & {*group}]
    symmetric = bool(chosen) and all(graph.values[place].zero_point == 0 for place in chosen)
    return tuple(
        _group(graph, tuple(group), bool(fixed & {*group}), symmetric=symmetric)
        for group in members.values()
    )


def _group(graph: Graph, places: tuple[int, ...], fixed: bool, *, symmetric: bool) -> Group:
    value = graph.values[places[0]]
    assert value.scale is not None  # noqa: S101  (that is what makes it an activation)
    limits, scale = np.iinfo(np.dtype(value.dtype)), float(value.scale[0])
    low, high = ((end - value.zero_point) * scale for end in (limits.min, limits.max))
    bits = _BITS[value.dtype]
    symmetric = not fixed and (symmetric or bits == 16)
    if symmetric:
        low = -high
    return Group(places, low, high, bits, fixed, symmetric)


def _is_activation(value: Value) -> bool:
    return value.dtype in _BITS and value.scale is not None and value.stored is None


def same_scale(one: Value, other: Value) -> bool:
    """Say whether the integers of both stand for the same numbers, signed or not."""
    if one.scale is None or other.scale is None or one.dtype not in _BITS:
        return False
    if _BITS.get(other.dtype) != _BITS[one.dtype]:
        return False

    def least(value: Value) -> int:
        return int(np.iinfo(np.dtype(value.dtype)).min) - value.zero_point

    return bool(np.array_equal(one.scale, other.scale)) and least(one) == least(other)


def shares_scale(graph: Graph, node: Node) -> bool:
    """Say whether `node` gives numbers of the scale that it takes, and so needs no range."""
    if node.kind not in _SHARING:
        return False
    taken = [graph.values[place] for place in node.inputs if place != ABSENT]
    output = graph.values[node.output]
    return all(same_scale(value, output) for value in taken if _is_activation(value))

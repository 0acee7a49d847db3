"""Find the tensors of a float file whose channels may be scaled together without being noticed.

A channel made k times as large by all that writes it, and divided by k again in all that reads
it, changes nothing as long as what lies between gives f(k x) = k f(x) for k > 0: ReLU, sums,
pooling, moves. ReLU6, swish and all gates do not.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from mejiro.export.flatbuffer import Operator, TFLiteFile

WEIGHTED = frozenset({"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"})
_LINEAR = frozenset({"NONE", "RELU"})
_EACH = frozenset({"AVERAGE_POOL_2D", "LEAKY_RELU", "MAX_POOL_2D", "PAD", "RELU"})
_OVER_PLACES = frozenset({"MEAN", "REDUCE_MAX", "SUM"})
_MOVES = frozenset({"RESHAPE", "SQUEEZE"})
_SUMS = frozenset({"ADD", "SUB"})


@dataclass(frozen=True)
class Group:
    """Hold tensors whose channels go together: places of tensors, and of operators in the file.

    `writers` make one of them with weights, `readers` read one with weights.
    """

    tensors: tuple[int, ...]
    channels: int
    writers: tuple[int, ...]
    readers: tuple[int, ...]


@dataclass
class _Ties:
    """Gather what the operators say of the tensors."""

    parents: dict[int, int] = field(default_factory=dict)
    blocked: set[int] = field(default_factory=set)
    writers: dict[int, list[int]] = field(default_factory=dict)
    readers: dict[int, list[int]] = field(default_factory=dict)

    def root(self, place: int) -> int:
        while (parent := self.parents.setdefault(place, place)) != place:
            place = parent
        return place

    def join(self, *places: int) -> None:
        first, *others = (self.root(place) for place in places)
        for other in others:
            self.parents[other] = first


def channel_groups(file: TFLiteFile) -> list[Group]:
    """Return the groups of a float file that weights write and weights read, in running order.

    The file's inputs and outputs belong to no group, so that what goes in and comes out stays.
    """
    ties = _Ties()
    for place, operator in enumerate(file.operators):
        _tie(ties, file, place, operator)
    ties.blocked |= file.places_of_ends()
    blocked = {ties.root(place) for place in ties.blocked}
    members: dict[int, list[int]] = {}
    for place in ties.parents:
        members.setdefault(ties.root(place), []).append(place)
    return list(_groups(ties, file, {root: members[root] for root in members.keys() - blocked}))


def _groups(ties: _Ties, file: TFLiteFile, members: dict[int, list[int]]) -> Iterator[Group]:
    groups = []
    for tensors in members.values():
        writers = [one for place in tensors for one in ties.writers.get(place, [])]
        readers = [one for place in tensors for one in ties.readers.get(place, [])]
        if writers and readers:
            channels = file.tensor(tensors[0]).shape[-1]
            groups.append(Group(tuple(tensors), channels, tuple(writers), tuple(readers)))
    yield from sorted(groups, key=lambda group: group.writers)


def _tie(ties: _Ties, file: TFLiteFile, place: int, operator: Operator) -> None:
    """Note what one operator does to the tensors that it reads and writes."""
    given = [index for index in operator.inputs if not file.tensor(index).constant]
    made = list(operator.outputs)
    if operator.name in WEIGHTED and has_weights(file, operator):
        for tensor, side, fits in (
            (given[0], ties.readers, reads_channels(file, operator)),
            (made[0], ties.writers, operator.activation in _LINEAR),
        ):
            ties.root(tensor)
            if fits:
                side.setdefault(tensor, []).append(place)
            else:
                ties.blocked.add(tensor)
    elif given and operator.activation in _LINEAR and _passes_scale(file, operator, given):
        ties.join(*given, *made)
    else:
        for tensor in (*given, *made):
            ties.root(tensor)
            ties.blocked.add(tensor)


def has_weights(file: TFLiteFile, operator: Operator) -> bool:
    """Whether all but the first input of a weighted operator are float32 constants."""
    first, *others = (file.tensor(index) for index in operator.inputs)
    return not first.constant and all(one.constant and one.dtype == "float32" for one in others)


def reads_channels(file: TFLiteFile, operator: Operator) -> bool:
    """Whether the operator's kernel has its own weights for each channel of what it reads."""
    channels = file.tensor(operator.inputs[0]).shape[-1:]
    kernel = file.tensor(operator.inputs[1]).shape
    if operator.name == "DEPTHWISE_CONV_2D":
        return bool(channels) and kernel[-1] % channels[0] == 0
    return channels == kernel[-1:]


def _passes_scale(file: TFLiteFile, operator: Operator, given: list[int]) -> bool:
    """Whether a factor of a channel goes through an operator without weights."""
    shapes = [file.tensor(index).shape for index in (*given, *operator.outputs)]
    if any(shape[-1:] != shapes[0][-1:] or not shape for shape in shapes):
        return False
    if operator.name in _EACH:
        return True
    if operator.name in _MOVES:
        return len(given) == 1
    if operator.name in _SUMS:
        return len(given) == len(operator.inputs)  # a constant would have to be scaled too
    if operator.name in _OVER_PLACES and len(given) == 1:
        axes = file.values(operator.inputs[1]) % len(shapes[0])
        return len(shapes[0]) - 1 not in np.ravel(axes)
    return False

"""Follow every channel of a network: which are one and the same, and which weights belong to it.

A channel of one tensor is an atom, a number. Where channels pass through a layer one by one the
atoms pass too; where two tensors are added their atoms are tied, and what is tied goes together.
"""

from __future__ import annotations

from collections import Counter
from enum import Enum
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Atoms = NDArray[np.int64]


class Role(str, Enum):
    """Say what an axis of a weight tensor is to the channels along it."""

    PRODUCED = "produced"  # they are made here: outputs of a convolution, and its bias
    CARRIED = "carried"  # they pass, each by itself: a norm, a depthwise kernel
    CONSUMED = "consumed"  # they are summed up here: inputs of a convolution


class Axis(NamedTuple):
    """Name one axis of one weight tensor of a layer.

    `weight` is an index into `layer.weights`. A word is the name of a number in the layer's
    configuration that counts the channels, such as `filters`, or of a list that ends with it.
    """

    layer: str
    weight: int | str
    axis: int


class NotUnderstood(Exception):
    """Say why a layer's channels cannot be followed; never leaves this package."""


class Trace:
    """Gather what the layers of a network say of their channels.

    `axes` maps an axis to its role and the atom of each index; `held` are atoms that have to
    stay, with reasons of which the last counts.
    """

    def __init__(self) -> None:
        self.axes: dict[Axis, tuple[Role, Atoms]] = {}
        self.layers: dict[str, Any] = {}
        self.held: list[tuple[Atoms, str]] = []
        self._parents: list[int] = []
        self._names: dict[int, str] = {}

    def fresh(self, count: int) -> Atoms:
        """Return `count` new atoms."""
        first = len(self._parents)
        self._parents.extend(range(first, first + count))
        return np.arange(first, first + count)

    def tie(self, one: Atoms, two: Atoms) -> None:
        """Make the channels of `one` those of `two`, pair by pair."""
        for first, second in zip(one.tolist(), two.tolist(), strict=True):
            low, high = sorted((self._root(first), self._root(second)))
            self._parents[high] = low

    def hold(self, atoms: Atoms, reason: str) -> None:
        """Note that `atoms` have to stay."""
        self.held.append((atoms, reason))

    def note(self, step: Any, variable: Any, axis: int, role: Role, atoms: Atoms) -> None:
        """Note the atoms along one axis of a weight of the step's layer."""
        weights = step.layer.weights
        number = next(i for i, known in enumerate(weights) if known is variable)
        self._note(step, number, axis % len(variable.shape), role, atoms)

    def note_count(self, step: Any, word: str, role: Role, atoms: Atoms) -> None:
        """Note the atoms that a number in the configuration of the step's layer counts."""
        self._note(step, word, 0, role, atoms)

    def _note(self, step: Any, weight: int | str, axis: int, role: Role, atoms: Atoms) -> None:
        # A layer that is used again has the same weights, so its channels are tied to those of
        # its first use.
        name = self._names.setdefault(id(step.layer), step.name)
        self.layers[name] = step.layer
        key = Axis(name, weight, axis)
        if key in self.axes:
            self.tie(self.axes[key][1], atoms)
        else:
            self.axes[key] = (role, atoms)

    def roots(self) -> Atoms:
        """Return, for each atom, the one that stands for all that it is tied to."""
        return np.array([self._root(atom) for atom in range(len(self._parents))], np.int64)

    def _root(self, atom: int) -> int:
        parents = self._parents
        while parents[atom] != atom:
            parents[atom] = parents[parents[atom]]
            atom = parents[atom]
        return atom


def signatures(trace: Trace, roots: Atoms) -> dict[int, tuple[Any, ...]]:
    """Return, for the root of each channel, what it takes part in.

    Channels with the same signature take part in the same axes, the same number of times in
    each, and have to stay for the same reason or none: they are of one group.
    """
    reasons: dict[int, str] = {}
    for atoms, reason in trace.held:
        reasons.update(dict.fromkeys(roots[atoms].tolist(), reason))
    parts: dict[int, list[Any]] = {}
    for number, (_, atoms) in enumerate(trace.axes.values()):
        for root, count in Counter(roots[atoms].tolist()).items():
            parts.setdefault(root, [reasons.get(root)]).append((number, count))
    return {root: tuple(part) for root, part in parts.items()}

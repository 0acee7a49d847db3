"""Find the channels of a network that can only go together, and all that goes with each.

Cutting one channel of a feature map takes the filter that makes it, its share of the norms and
depthwise filters behind it, the inputs of whatever consumes it, and the same channel of every map
that is added to it or multiplied with it. Groups of this kind are what Fang et al. call the
dependency graph ("DepGraph: Towards Any Structural Pruning", CVPR 2023, arXiv:2301.12900); here
they are found by following each channel by itself, which also gives concatenations and
flattened maps their right places.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mejiro.errors import PruneError
from mejiro.export.flat import FlatNetwork, Step, flatten, flatten_network
from mejiro.model import FloatModel
from mejiro.prune.rules import pass_through
from mejiro.prune.trace import Atoms, Axis, NotUnderstood, Role, Trace, signatures
from mejiro.tensorflow import load_keras

Keep = Mapping[str, Sequence[int] | NDArray[np.integer[Any]]]


class Slice(NamedTuple):
    """Say what disappears from one axis of a weight tensor with each channel of a group.

    `indices` is (channels, k): row i holds the indices that go with channel i. `axis` says which
    weight of which layer. The kernel of a grouped convolution counts its inputs within a group.
    """

    axis: Axis
    role: Role
    indices: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Group:
    """Hold channels that are alike: each takes part in the same weights.

    Any number of them may go, but for the last; `reason` says why none may, and is None if they
    may. The name is that of the first layer that makes them.
    """

    name: str
    channels: int
    slices: tuple[Slice, ...]
    reason: str | None = None

    @property
    def cuttable(self) -> bool:
        """Whether channels may be taken out."""
        return self.reason is None and self.channels > 1

    @property
    def producers(self) -> tuple[str, ...]:
        """Names of the layers that make the channels."""
        return self._layers(Role.PRODUCED)

    @property
    def consumers(self) -> tuple[str, ...]:
        """Names of the layers that sum the channels up."""
        return self._layers(Role.CONSUMED)

    @property
    def copies(self) -> int:
        """Return how many outputs of its first producer go with one channel."""
        made = [part for part in self.slices if part.role is Role.PRODUCED]
        return made[0].indices.shape[1] if made else 1

    def _layers(self, role: Role) -> tuple[str, ...]:
        return tuple(dict.fromkeys(part.axis.layer for part in self.slices if part.role is role))


@dataclass(frozen=True, eq=False)
class ChannelGraph:
    """Hold all groups of a network by name, in running order, and what they speak of.

    `layers` are the layers that an `Axis` may name, `lengths` how long each axis is, uncut.
    """

    network: FlatNetwork
    groups: dict[str, Group]
    layers: dict[str, Any]
    lengths: dict[Axis, int]

    @property
    def cuttable(self) -> dict[str, Group]:
        """The groups that may be cut."""
        return {name: group for name, group in self.groups.items() if group.cuttable}

    def check(self, keep: Keep) -> dict[str, NDArray[np.int64]]:
        """Return `keep` with the kept channels of each group sorted; raises PruneError."""
        return {name: _checked(self._group(name), kept) for name, kept in keep.items()}

    def kept_indices(self, keep: Keep) -> dict[Axis, NDArray[np.int64]]:
        """Return the indices that stay, sorted, for each axis that `keep` makes shorter.

        Groups that `keep` does not name stay whole. Raises PruneError for a group that there is
        not or that may not be cut, and for channels that it has not.
        """
        gone: dict[Axis, list[NDArray[np.int64]]] = {}
        for name, kept in self.check(keep).items():
            group = self.groups[name]
            cut = np.setdiff1d(np.arange(group.channels), kept)
            if cut.size:
                for part in group.slices:
                    gone.setdefault(part.axis, []).append(part.indices[cut].ravel())
        return {
            axis: np.setdiff1d(np.arange(self.lengths[axis]), np.concatenate(indices))
            for axis, indices in gone.items()
        }

    def _group(self, name: str) -> Group:
        group = self.groups.get(name)
        if group is None:
            shown = ", ".join(list(self.cuttable)[:6]) or "none"
            raise PruneError(f"there is no group of channels '{name}'; those to cut begin {shown}")
        return group


def find_groups(model: FloatModel | Any, shape: Sequence[int] | None = None) -> ChannelGraph:
    """Return the groups of channels of a float model or a Keras model, nested models included.

    `shape` is the input's (height, width, channels), if it is another than a Keras model states.
    Raises ExportError for a network written as a class, whose layers Keras does not know.
    """
    if isinstance(model, FloatModel):
        network = flatten(model)
    else:
        network = flatten_network(model, shape or model.input_shape[1:])
    trace = Trace()
    known = {id(network.input): trace.fresh(network.input.shape[-1])}
    trace.hold(known[id(network.input)], "they are the model's input")
    for step in network.steps.values():
        _follow(trace, known, step)
    for tensor in load_keras().tree.flatten(network.output):
        trace.hold(known[id(tensor)], "they are the model's output")
    lengths = {axis: len(atoms) for axis, (_, atoms) in trace.axes.items()}
    return ChannelGraph(network, _groups(trace), trace.layers, lengths)


def _follow(trace: Trace, known: dict[int, Atoms], step: Step) -> None:
    """Add the atoms of what `step` gives to `known`."""
    outputs = load_keras().tree.flatten(step.output)
    inputs = [known[id(tensor)] for tensor in step.inputs]
    try:
        if len(outputs) > 1 or min(len(x.shape) for x in (*step.inputs, outputs[0])) < 2:
            raise NotUnderstood(f"'{step.name}' gives more than a tensor of channels")
        atoms = pass_through(trace, step, inputs)
        if len(atoms) != outputs[0].shape[-1]:
            raise NotUnderstood(f"'{step.name}' gives another number of channels than expected")
    except NotUnderstood as error:
        for entering in inputs:
            trace.hold(entering, str(error))
        for tensor in outputs:
            width = tensor.shape[-1] if len(tensor.shape) > 1 else 1
            known[id(tensor)] = trace.fresh(width or 1)
            trace.hold(known[id(tensor)], str(error))
    else:
        known[id(outputs[0])] = atoms


def _groups(trace: Trace) -> dict[str, Group]:
    roots = trace.roots()
    members: dict[tuple[Any, ...], list[int]] = {}
    for root, signature in signatures(trace, roots).items():
        members.setdefault(signature, []).append(root)
    axes = list(trace.axes.items())
    groups: dict[str, Group] = {}
    for signature, channels in members.items():
        reason, *parts = signature
        slices = tuple(
            Slice(axis, role, _rows(roots[atoms], channels))
            for axis, (role, atoms) in (axes[number] for number, _ in parts)
        )
        name = _free_name(groups, slices)
        groups[name] = Group(name, len(channels), slices, reason)
    return groups


def _rows(roots: Atoms, channels: Sequence[int]) -> NDArray[np.int64]:
    """Return the indices of each channel in `roots`, one row a channel."""
    order = np.argsort(roots, kind="stable")
    first = np.searchsorted(roots[order], channels, side="left")
    last = np.searchsorted(roots[order], channels, side="right")
    return np.stack([order[start:stop] for start, stop in zip(first, last, strict=True)])


def _free_name(taken: Mapping[str, Any], slices: Sequence[Slice]) -> str:
    makers = [part.axis.layer for part in slices if part.role is Role.PRODUCED]
    stem = makers[0] if makers else f"input of {slices[0].axis.layer}"
    name, number = stem, 1
    while name in taken:
        number += 1
        name = f"{stem}:{number}"
    return name


def _checked(group: Group, kept: Any) -> NDArray[np.int64]:
    if group.reason is not None:
        raise PruneError(f"the channels of '{group.name}' have to stay: {group.reason}")
    indices = np.unique(np.asarray(kept, np.int64))
    if indices.size == 0:
        raise PruneError(f"nothing is kept of '{group.name}'; keep one channel at least")
    if indices[0] < 0 or indices[-1] >= group.channels:
        raise PruneError(
            f"'{group.name}' has {group.channels} channels, counted from 0; found "
            f"{indices[0]}..{indices[-1]}"
        )
    return indices

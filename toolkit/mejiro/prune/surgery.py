"""Take channels out of a network: rebuild its layers narrower, with the weights that stay."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mejiro.prune.graph import ChannelGraph, Keep
from mejiro.prune.rebuild import Weights, rebuild
from mejiro.prune.trace import Axis, Role


def cut(graph: ChannelGraph, keep: Keep) -> Any:
    """Return a copy of the network that has only the channels of `keep`.

    `keep` maps a group's name to the channels that stay; other groups stay whole. Layers keep
    their names, order and nesting. Nothing is compiled. Raises PruneError.
    """
    by_layer: dict[str, dict[Axis, NDArray[np.int64]]] = {}
    for axis, kept in graph.kept_indices(keep).items():
        by_layer.setdefault(axis.layer, {})[axis] = kept
    names = {id(layer): name for name, layer in graph.layers.items()}

    def config(layer: Any) -> dict[str, Any]:
        return _narrower(layer, by_layer.get(names.get(id(layer), ""), {}))

    def weights(layer: Any) -> Weights:
        values: Weights = layer.get_weights()
        for axis, kept in by_layer.get(names.get(id(layer), ""), {}).items():
            if isinstance(axis.weight, int):
                values[axis.weight] = np.take(values[axis.weight], kept, axis=axis.axis)
        return values

    return rebuild(graph.network.keras_model, config, weights)


def silence(graph: ChannelGraph, keep: Keep) -> Any:
    """Return a copy of the uncut network that answers as `cut(graph, keep)` does.

    A channel is silenced where it is consumed: what a convolution or dense layer multiplies it
    with is zero. Zeros where it is produced would not do, since a norm, a bias or a sigmoid
    behind makes something of them again.
    """
    changed = _silenced_weights(graph, keep)

    def weights(layer: Any) -> Weights:
        return changed[id(layer)] if id(layer) in changed else layer.get_weights()

    return rebuild(graph.network.keras_model, lambda layer: dict(layer.get_config()), weights)


@contextmanager
def silenced(graph: ChannelGraph, keep: Keep) -> Iterator[None]:
    """Silence channels in the network itself while the block runs; weights come back after it.

    Nothing is built or traced anew, so that this is the quick way to try many cuts.
    """
    changed = _silenced_weights(graph, keep)
    layers = [layer for layer in graph.layers.values() if id(layer) in changed]
    before = [layer.get_weights() for layer in layers]
    try:
        for layer in layers:
            layer.set_weights(changed[id(layer)])
        yield
    finally:
        for layer, weights in zip(layers, before, strict=True):
            layer.set_weights(weights)


def _silenced_weights(graph: ChannelGraph, keep: Keep) -> dict[int, Weights]:
    """Return the weights of the layers that consume what is cut, by the layer's id."""
    changed: dict[int, Weights] = {}
    for name, kept in graph.check(keep).items():
        group = graph.groups[name]
        gone = np.setdiff1d(np.arange(group.channels), kept)
        for part in group.slices:
            name, number, axis = part.axis
            if part.role is not Role.CONSUMED or not isinstance(number, int):
                continue
            layer = graph.layers[name]
            weights = changed.setdefault(id(layer), layer.get_weights())
            np.moveaxis(weights[number], axis, 0)[part.indices[gone].ravel()] = 0
    return changed


def _narrower(layer: Any, shorter: dict[Axis, NDArray[np.int64]]) -> dict[str, Any]:
    """Return the layer's configuration with the lengths of `shorter` in it."""
    config: dict[str, Any] = dict(layer.get_config())
    for axis, kept in shorter.items():
        if isinstance(axis.weight, int):
            continue
        counted = config[axis.weight]
        if isinstance(counted, int):
            config[axis.weight] = len(kept)
        elif counted[-1] != -1:
            config[axis.weight] = [*counted[:-1], len(kept)]
    return config

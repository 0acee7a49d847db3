"""Look at what enters the consumers of channels while a network runs on pictures."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mejiro.export.flat import FlatNetwork, Step
from mejiro.prune.consumers import Consumer, batches, features_of
from mejiro.prune.reconstruct import Moments
from mejiro.tensorflow import load_keras

_BATCH = 8
# Of the places of one picture: neighbours say much the same.
_PLACES = 400
# Hermite's nodes and weights integrate over a normal distribution.
_NODES = 41


def gather(
    network: FlatNetwork, consumers: Sequence[Consumer], tensors: NDArray[np.float32], *, seed: int
) -> dict[str, Moments]:
    """Return the moments of the features of each consumer, by its name.

    `tensors` is (pictures, height, width, channels). Of the places of a large map some are drawn,
    with `seed`.
    """
    looker = load_keras().Model(network.input, [consumer.seen for consumer in consumers])
    readers = [features_of(consumer) for consumer in consumers]
    rng = np.random.default_rng(seed)
    moments: dict[str, Moments] = {}
    for batch in batches(tensors, _BATCH):
        seen = looker(batch, training=False)
        for consumer, reader, tensor in zip(consumers, readers, seen, strict=True):
            features = np.asarray(reader(tensor))
            places = features.shape[1]
            if places > _PLACES:
                features = features[:, np.sort(rng.permutation(places)[:_PLACES])]
            these = Moments.of(features.reshape(-1, features.shape[-1]))
            before = moments.get(consumer.name)
            moments[consumer.name] = these if before is None else before + these
    return moments


def expected_variance(network: FlatNetwork, consumer: Consumer) -> NDArray[np.float64] | None:
    """Return the variance of each feature as the batch norm before it promises, (n,), or None.

    What a batch norm gives is about normal in each channel, with its offset as mean and its scale
    as deviation, over all that the network was trained on; the activations behind it are then
    integrated. A few pictures leave many of the last features silent that others need. Source of
    the assumption: Nagel et al., "Data-Free Quantization through Weight Equalization and Bias
    Correction", ICCV 2019 (arXiv:1906.04721), section 4.2.1.
    """
    layers = load_keras().layers
    makers = {id(step.output): step for step in network.steps.values()}
    between: list[Step] = []
    step = makers.get(id(consumer.seen))
    while step is not None and not isinstance(step.layer, layers.BatchNormalization):
        if len(step.inputs) != 1 or type(step.layer).__name__ not in _BY_THEMSELVES | _SAME:
            return None
        between.append(step)
        step = makers.get(id(step.inputs[0]))
    if step is None or step.layer.gamma is None or step.layer.beta is None:
        return None
    variance = _integrated(step.layer, reversed(between))
    taps = int(np.prod(consumer.step.layer.weights[consumer.kernel].shape[:-2]))
    return np.tile(variance, taps)


# Layers whose output at a place depends on that place alone, and those that leave values be.
_BY_THEMSELVES = frozenset({"ReLU", "Activation", "LeakyReLU", "ELU"})
_SAME = frozenset({"Dropout", "SpatialDropout2D", "ZeroPadding2D"})


def _integrated(norm: Any, between: Iterable[Step]) -> NDArray[np.float64]:
    nodes, weights = np.polynomial.hermite_e.hermegauss(_NODES)
    weights = weights / weights.sum()
    beta, gamma = np.asarray(norm.beta), np.asarray(norm.gamma)
    values: Any = (beta + np.outer(nodes, gamma)).astype(np.float32)[:, None, None]
    for step in between:
        if type(step.layer).__name__ in _BY_THEMSELVES:
            values = step.layer(values)
    values = np.asarray(values, np.float64)[:, 0, 0]
    mean = weights @ values
    variance: NDArray[np.float64] = np.maximum(weights @ values**2 - mean**2, 0.0)
    return variance

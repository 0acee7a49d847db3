"""Compare what a changed network answers with what it answered before."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mejiro.export.flat import FlatNetwork, Step
from mejiro.prune.consumers import Consumer, batches
from mejiro.tensorflow import load_keras
from mejiro_runtime.card import Scores

_BATCH = 20


class Judge:
    """Compare the answers of a network whose weights are changed with those that it gave whole.

    `tensors` is (pictures, height, width, channels). Made before anything is changed.
    """

    def __init__(self, network: FlatNetwork, scores: Scores, tensors: NDArray[np.float32]) -> None:
        self._network = network
        self._scores = scores
        self._tensors = tensors
        self._whole = log_probabilities(run(network.keras_model, [tensors]), scores)

    def behind(self, consumers: Sequence[Consumer]) -> Callable[[], float]:
        """Return a function that gives the divergence when only what is behind has changed.

        What the network computes up to the first of `consumers` is computed once.
        """
        steps = list(self._network.steps.values())
        names = {consumer.name for consumer in consumers}
        first = next(place for place, step in enumerate(steps) if step.name in names)
        frontier = _frontier(self._network, steps, first)
        keras = load_keras()
        single = len(frontier) == 1
        before = keras.Model(self._network.input, frontier)
        after = keras.Model(frontier[0] if single else frontier, self._network.output)
        given = run(before, [self._tensors])
        held = [given] if single else given

        def divergence() -> float:
            return divergence_of(self._whole, log_probabilities(run(after, held), self._scores))

        return divergence


def _frontier(network: FlatNetwork, steps: Sequence[Step], first: int) -> list[Any]:
    """Return the tensors that were made before the step `first` and are used from it on."""
    made = {id(tensor) for step in steps[first:] for tensor in _flat(step.output)}
    used = {id(t): t for step in steps[first:] for t in step.inputs if id(t) not in made}
    return list(used.values())


def _flat(tensor: Any) -> list[Any]:
    flat: list[Any] = load_keras().tree.flatten(tensor)
    return flat


def run(keras_model: Any, tensors: Sequence[NDArray[np.float32]]) -> Any:
    """Return what a model makes of its inputs, a batch at a time: an array, or a list of them."""
    parts: list[list[NDArray[np.float32]]] = []
    for batch in zip(*(batches(one, _BATCH) for one in tensors), strict=True):
        given = keras_model(list(batch) if len(batch) > 1 else batch[0], training=False)
        parts.append([np.asarray(value) for value in _flat(given)])
    whole = [np.concatenate(column) for column in zip(*parts, strict=True)]
    return whole if len(whole) > 1 else whole[0]


def log_probabilities(answers: NDArray[np.float32], scores: Scores) -> NDArray[np.float64]:
    """Return the logarithms of the probabilities (pictures, classes) that answers stand for."""
    values = answers.astype(np.float64)
    if scores is Scores.PROBABILITIES:
        return np.log(np.maximum(values, 1e-12))
    shifted = values - values.max(axis=1, keepdims=True)
    logs: NDArray[np.float64] = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return logs


def divergence_of(whole: NDArray[np.float64], cut: NDArray[np.float64]) -> float:
    """Return Kullback and Leibler's divergence of `cut` from `whole`, the mean over pictures."""
    return float((np.exp(whole) * (whole - cut)).sum(axis=1).mean())

"""Score the channels of each group: how much would be lost with them.

A score says something about channels of one group only. Scores of different groups, and even
more of different criteria, are of different scales.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mejiro.errors import PruneError
from mejiro.export.flat import Step
from mejiro.prune.graph import ChannelGraph, Group, Slice
from mejiro.prune.trace import Axis, Role
from mejiro.tensorflow import load_keras, load_tensorflow
from mejiro_runtime.card import Scores

ChannelScores = dict[str, NDArray[np.float64]]


class Criterion(str, Enum):
    """Name a way to score channels."""

    L1 = "l1"
    L2 = "l2"
    BATCH_NORM = "batch-norm"
    ACTIVATION = "activation"
    TAYLOR = "taylor"


@dataclass(frozen=True, eq=False)
class Evidence:
    """Hold pictures to score by: what the model is given, and what it should answer.

    `tensors` is float32 (pictures, height, width, channels), `labels` integer (pictures,).
    `scores` says what the model gives. `batch` pictures are looked at together.
    """

    tensors: NDArray[np.float32] | None = None
    labels: NDArray[np.integer[Any]] | None = None
    scores: Scores = Scores.PROBABILITIES
    batch: int = 8

    def pictures(self, criterion: Criterion) -> NDArray[np.float32]:
        """Return the pictures; raises PruneError if there are none."""
        if self.tensors is None or not len(self.tensors):
            raise PruneError(f"the criterion '{criterion.value}' needs pictures; give some")
        return self.tensors

    def labelled(self) -> Iterator[tuple[NDArray[np.float32], NDArray[np.integer[Any]]]]:
        """Yield batches of pictures and labels; raises PruneError if there are none."""
        tensors = self.pictures(Criterion.TAYLOR)
        if self.labels is None or len(self.labels) != len(tensors):
            raise PruneError(
                "the criterion 'taylor' needs a label for each picture; give labelled pictures, "
                "or use 'activation'"
            )
        for start in range(0, len(tensors), self.batch):
            stop = start + self.batch
            yield tensors[start:stop], self.labels[start:stop]


def score_l1(graph: ChannelGraph, evidence: Evidence) -> ChannelScores:
    """Score by the sum of absolute weights of a channel's filters.

    Where several layers make a channel, each speaks in shares of its own sum. Source: Li et al.,
    "Pruning Filters for Efficient ConvNets", ICLR 2017 (arXiv:1608.08710).
    """
    return {name: _filters(graph, group, 1) for name, group in graph.cuttable.items()}


def score_l2(graph: ChannelGraph, evidence: Evidence) -> ChannelScores:
    """Score by the Euclidean norm of a channel's filters; else as `score_l1`."""
    return {name: _filters(graph, group, 2) for name, group in graph.cuttable.items()}


def score_batch_norm(graph: ChannelGraph, evidence: Evidence) -> ChannelScores:
    """Score by the scale that the batch norms behind a channel give it, summed.

    Source: Liu et al., "Learning Efficient Convolutional Networks through Network Slimming", ICCV
    2017 (arXiv:1708.06519). A group that no scaling batch norm follows is left out.
    """
    found: ChannelScores = {}
    for name, group in graph.cuttable.items():
        scales = [part for part in group.slices if _is_scale(graph, part.axis)]
        if scales:
            sums = (_over_rows(np.abs(_weight(graph, part.axis)), part) for part in scales)
            found[name] = np.sum(list(sums), axis=0)
    return found


def score_activation(graph: ChannelGraph, evidence: Evidence) -> ChannelScores:
    """Score by the spread of a channel's features times the norm of what multiplies them.

    The variance over pictures and places of what enters a consumer, times the squared weights
    for it, is what the channel alone adds to the variance of the consumer's outputs. Each
    consumer speaks in shares of all its inputs. The mean is no loss: a bias or the statistics of
    a norm can make up for it.
    """
    steps = _consuming_steps(graph)
    variances = _variances(graph, steps, evidence)
    energy: dict[Axis, NDArray[np.float64]] = {}
    for axis, uses in steps.items():
        total = sum(_energy(graph, axis, variances[step.name]) for step in uses)
        energy[axis] = np.asarray(total / max(float(np.sum(total)), np.finfo(np.float64).tiny))
    return _summed(graph, energy)


def score_taylor(graph: ChannelGraph, evidence: Evidence) -> ChannelScores:
    """Score by how much the loss changes, to first order, when a channel is silenced.

    That is the gradient times the weight, summed over all weights that consume the channel;
    squared for each batch and summed. Source: Molchanov et al., "Importance Estimation for Neural
    Network Pruning", CVPR 2019 (arXiv:1906.10771). The loss is the cross-entropy with the labels.
    """
    axes = list(_consuming_steps(graph))
    weights = [graph.layers[axis.layer].weights[int(axis.weight)] for axis in axes]
    gradients_of = _gradient_function(graph.network.keras_model, weights, evidence.scores)
    found: ChannelScores = {}
    for tensors, labels in evidence.labelled():
        slopes: dict[Axis, NDArray[np.float64]] = {}
        for axis, weight, gradient in zip(
            axes, weights, gradients_of(tensors, labels), strict=True
        ):
            product = np.asarray(weight, np.float64) * np.asarray(gradient, np.float64)
            slopes[axis] = np.moveaxis(product, axis.axis, 0).reshape(product.shape[axis.axis], -1)
            slopes[axis] = slopes[axis].sum(axis=1)
        for name, slope in _summed(graph, slopes).items():
            found[name] = found.get(name, 0.0) + slope**2
    return found


def _weight(graph: ChannelGraph, axis: Axis) -> NDArray[np.float32]:
    return np.asarray(graph.layers[axis.layer].weights[axis.weight], np.float32)


def _is_scale(graph: ChannelGraph, axis: Axis) -> bool:
    layer = graph.layers[axis.layer]
    if not isinstance(axis.weight, int):
        return False
    return layer.weights[axis.weight] is getattr(layer, "gamma", None)


def _filters(graph: ChannelGraph, group: Group, order: int) -> NDArray[np.float64]:
    """Return a norm of the filters that make each channel, (channels,)."""
    total = np.zeros(group.channels)
    for part in group.slices:
        if part.role is not Role.PRODUCED or not isinstance(part.axis.weight, int):
            continue
        weight = _weight(graph, part.axis)
        if weight.ndim == 1:  # a bias
            continue
        rows = np.moveaxis(weight, part.axis.axis, 0).reshape(weight.shape[part.axis.axis], -1)
        powers = _over_rows((np.abs(rows.astype(np.float64)) ** order).sum(axis=1), part)
        norms = powers ** (1 / order)
        total += norms / max(float(norms.sum()), np.finfo(np.float64).tiny)
    return total


def _over_rows(values: NDArray[Any], part: Slice) -> NDArray[np.float64]:
    """Return, for each channel, the sum of `values` at its indices."""
    sums: NDArray[np.float64] = np.asarray(values, np.float64)[part.indices].sum(axis=1)
    return sums


def _summed(graph: ChannelGraph, values: Mapping[Axis, NDArray[np.float64]]) -> ChannelScores:
    """Return, for each group, the sum over its consumers of `values` at each channel."""
    return {
        name: np.sum(
            [
                np.zeros(group.channels),
                *(_over_rows(values[part.axis], part) for part in _consuming(group)),
            ],
            axis=0,
        )
        for name, group in graph.cuttable.items()
    }


def _consuming(group: Group) -> Iterator[Slice]:
    return (part for part in group.slices if part.role is Role.CONSUMED)


def _consuming_steps(graph: ChannelGraph) -> dict[Axis, list[Step]]:
    """Return all uses of each layer that consumes channels of a group that may be cut."""
    uses: dict[int, list[Step]] = {}
    for step in graph.network.steps.values():
        uses.setdefault(id(step.layer), []).append(step)
    axes = (part.axis for group in graph.cuttable.values() for part in _consuming(group))
    return {axis: uses[id(graph.layers[axis.layer])] for axis in axes}


def _variances(
    graph: ChannelGraph, steps: Mapping[Axis, list[Step]], evidence: Evidence
) -> dict[str, NDArray[np.float64]]:
    """Return the variance of each channel that enters a step, over pictures and places."""
    tensors = evidence.pictures(Criterion.ACTIVATION)
    keras = load_keras()
    ops = keras.ops
    wanted = {step.name: step.inputs[0] for uses in steps.values() for step in uses}
    if not wanted:
        return {}
    moments: list[Any] = []
    for tensor in wanted.values():
        places = tuple(range(1, len(tensor.shape) - 1))
        if places:
            moments += [ops.mean(tensor, axis=places), ops.var(tensor, axis=places)]
        else:
            moments += [tensor, ops.zeros_like(tensor)]
    looker = keras.Model(graph.network.input, moments)
    batches = [
        looker.predict_on_batch(tensors[start : start + evidence.batch])
        for start in range(0, len(tensors), evidence.batch)
    ]
    seen = [np.concatenate(parts).astype(np.float64) for parts in zip(*batches, strict=True)]
    # Within pictures, and between their means. The mean of squares less the square of the mean
    # would drown a small spread in the rounding of a large mean.
    return {
        name: within.mean(axis=0) + means.var(axis=0)
        for name, means, within in zip(wanted, seen[::2], seen[1::2], strict=True)
    }


def _energy(graph: ChannelGraph, axis: Axis, variance: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return what each index of a consuming axis adds to the variance of all outputs.

    Neighbouring places are taken as independent.
    """
    layer = graph.layers[axis.layer]
    kernel = _weight(graph, axis).astype(np.float64)
    count = kernel.shape[axis.axis]
    depthwise = getattr(layer, "depthwise_kernel", None)
    if depthwise is not None:  # of a separable convolution, which stands before the consumer
        taps = np.square(np.asarray(depthwise, np.float64)).sum(axis=(0, 1)).ravel()
        variance = np.repeat(variance, count // len(variance)) * taps
    # A grouped convolution has its outputs in the order of its groups, each with inputs of its own.
    groups = len(variance) // count
    moved = np.moveaxis(kernel, axis.axis, 0)
    rows = moved.reshape(count, -1, groups, moved.shape[-1] // groups)
    by_group = np.square(rows).sum(axis=(1, 3)) * variance.reshape(groups, count).T
    return np.asarray(by_group.sum(axis=1), np.float64)


def _gradient_function(keras_model: Any, weights: list[Any], scores: Scores) -> Any:
    """Return a function of pictures and labels that gives the loss's gradients by `weights`."""
    tf = load_tensorflow()
    keras = load_keras()
    loss_of = keras.losses.SparseCategoricalCrossentropy(
        from_logits=scores is Scores.LOGITS, reduction="sum"
    )
    variables = [weight.value for weight in weights]

    @tf.function(reduce_retracing=True)  # type: ignore[untyped-decorator]
    def gradients(tensors: Any, labels: Any) -> Any:
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(variables)  # those of frozen layers too
            loss = loss_of(labels, keras_model(tensors, training=False))
        return tape.gradient(loss, variables, unconnected_gradients="zero")

    return gradients


CRITERIA: dict[Criterion, Callable[[ChannelGraph, Evidence], ChannelScores]] = {
    Criterion.L1: score_l1,
    Criterion.L2: score_l2,
    Criterion.BATCH_NORM: score_batch_norm,
    Criterion.ACTIVATION: score_activation,
    Criterion.TAYLOR: score_taylor,
}

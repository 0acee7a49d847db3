"""Estimate what rounding a layer's weights does to its output, and how unequal they are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mejiro.export.flatbuffer import Operator
from mejiro.quality.diagnose.network import Floats, Network
from mejiro.quality.diagnose.tally import Moments, Sums


@dataclass(frozen=True)
class WeightError:
    """Hold the mean square error of each output channel that altered weights make.

    `share` is the part of it, over all outputs, of the weights that read the input's `channel`,
    the one with the largest part. A depthwise layer has none such: each output reads one channel.
    """

    by_output: Sums
    channel: int = 0
    share: float = 0.0


def weight_error(
    floats: tuple[Network, Operator], quantized: tuple[Network, Operator], given: Moments
) -> WeightError | None:
    """Return what altered weights do to a layer's output.

    `given` are the moments of the layer's float input. Each product is taken to err for itself
    around a common shift, which the mean of the input and the bias decide. None for a layer
    without weights, or with others than the float network's.
    """
    pairs = []
    for network, operator in (floats, quantized):
        place = network.weights(operator)
        if place is None:
            return None
        pairs.append((network.floats(place), _bias(network, operator)))
    (weights, bias), (rounded, rounded_bias) = pairs
    if weights.shape != rounded.shape:
        return None
    error, shifted = (rounded - weights).astype(np.float64), rounded_bias - bias
    if floats[1].name == "DEPTHWISE_CONV_2D":
        return _depthwise(error, shifted, given)
    return _full(error, shifted, given)


def _depthwise(error: Sums, shifted: Sums | float, given: Moments) -> WeightError:
    taps = error.reshape(-1, error.shape[-1])
    each = taps.shape[1] // given.channels
    means, variances = np.repeat(given.mean, each), np.repeat(given.variance, each)
    return WeightError(
        (taps.sum(axis=0) * means + shifted) ** 2 + (taps**2).sum(axis=0) * variances
    )


def _full(error: Sums, shifted: Sums | float, given: Moments) -> WeightError | None:
    outputs, inputs = error.shape[0], error.shape[-1]
    if given.channels % inputs:
        return None
    groups = given.channels // inputs
    group = np.arange(outputs) * groups // outputs
    reads = group[:, None] * inputs + np.arange(inputs)
    products = error.reshape(outputs, -1, inputs)
    shift = products.sum(axis=1) * given.mean[reads]
    spread = (products**2).sum(axis=1) * given.variance[reads]
    by_output = (shift.sum(axis=1) + shifted) ** 2 + spread.sum(axis=1)
    by_input = np.bincount(reads.ravel(), (shift**2 + spread).ravel(), minlength=given.channels)
    total = float(by_input.sum())
    channel = int(np.argmax(by_input))
    return WeightError(by_output, channel, float(by_input[channel]) / total if total > 0 else 0.0)


def weight_spread(network: Network, operator: Operator) -> float | None:
    """Return how far the widest output channel's weights reach, over the median channel's."""
    place = network.weights(operator)
    if place is None:
        return None
    weights = np.abs(network.floats(place))
    if operator.name == "DEPTHWISE_CONV_2D":
        reach = weights.reshape(-1, weights.shape[-1]).max(axis=0)
    else:
        reach = weights.reshape(weights.shape[0], -1).max(axis=1)
    return over_median(reach)


def over_median(reach: Sums | Floats) -> float:
    """Return the greatest of `reach` over the median of those that are not 0; 1 if all are."""
    above = reach[reach > 0]
    return float(above.max() / np.median(above)) if above.size else 1.0


def _bias(network: Network, operator: Operator) -> Sums | float:
    """Return the bias of each output channel."""
    if len(operator.inputs) < 3 or not network.is_constant(operator.inputs[2]):
        return 0.0
    return network.floats(operator.inputs[2]).astype(np.float64)

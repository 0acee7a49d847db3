"""Count what a network costs: its parameters, and the multiply-adds of one picture."""

from __future__ import annotations

import math
from typing import Any

from mejiro.tensorflow import load_keras


def count_parameters(keras_model: Any) -> int:
    """Return the number of values in all weights, statistics of batch norms among them."""
    return int(keras_model.count_params())


def count_multiply_adds(keras_model: Any) -> int:
    """Return the multiply-adds of convolutions and dense layers for one picture.

    One multiply-add is one product and its addition to a sum, which others count as two
    operations. Norms, activations, sums and poolings are left out, as papers leave them out.
    The model's input has a fixed size.
    """
    layers = load_keras().layers
    total = 0
    for layer in keras_model.layers:
        if isinstance(layer, layers.DepthwiseConv2D | layers.Conv2D):
            # A kernel is (height, width, in / groups, out), a depthwise one (height, width, in,
            # multiplier): either way each of its values is used once for each place of the output.
            _, height, width, _ = layer.output.shape
            total += height * width * math.prod(layer.kernel.shape)
        elif isinstance(layer, layers.Dense):
            total += math.prod(layer.kernel.shape) * math.prod(layer.output.shape[1:-1])
    return total

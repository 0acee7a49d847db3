"""Count what a network costs: its parameters, and the multiply-adds of one picture."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
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
    return sum(
        multiply_adds(
            [tuple(weight.shape) for weight in layer.weights],
            places_of(layer, layer.input.shape, layer.output.shape),
        )
        for layer in keras_model.layers
        if is_counted(layer)
    )


def is_counted(layer: Any) -> bool:
    """Say whether a layer is a convolution or a dense layer."""
    layers = load_keras().layers
    return isinstance(
        layer,
        layers.Conv2D
        | layers.Conv2DTranspose
        | layers.DepthwiseConv2D
        | layers.SeparableConv2D
        | layers.Dense,
    )


def places_of(layer: Any, entering: Sequence[int], leaving: Sequence[int]) -> int:
    """Return at how many places a counted layer applies its kernels.

    `entering` and `leaving` are the shapes (batch, ..., channels) of its input and output.
    """
    # A transposed convolution spreads each place of its input.
    transposed = isinstance(layer, load_keras().layers.Conv2DTranspose)
    return math.prod((entering if transposed else leaving)[1:-1])


def multiply_adds(shapes: Iterable[Sequence[int]], places: int) -> int:
    """Return the multiply-adds of a counted layer whose weights have `shapes`."""
    # A kernel is (height, width, in / groups, out), a depthwise one (height, width, in,
    # multiplier), a dense one (in, out): each of its values is used once for each place.
    return places * sum(math.prod(shape) for shape in shapes if len(shape) > 1)

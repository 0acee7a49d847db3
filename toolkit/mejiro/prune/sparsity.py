"""Count the zeros of a network, layer by layer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mejiro.tensorflow import load_keras


@dataclass(frozen=True)
class LayerSparsity:
    """Hold how many of the weights of one layer's kernel are zero; `thinned` says if on purpose."""

    layer: str
    kind: str
    weights: int
    zeros: int
    thinned: bool

    @property
    def share(self) -> float:
        """The share of zeros."""
        return self.zeros / max(1, self.weights)

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "layer": self.layer,
            "kind": self.kind,
            "weights": self.weights,
            "zeros": self.zeros,
            "share": round(self.share, 6),
            "thinned": self.thinned,
        }


def kernel_layers(keras_model: Any) -> Iterator[Any]:
    """Yield the layers that multiply what they are given by a kernel, in the model's order.

    These are convolutions of two dimensions and dense layers, those within nested models too.
    """
    layers = load_keras().layers
    for layer in keras_model.layers:
        if hasattr(layer, "layers"):
            yield from kernel_layers(layer)
        elif isinstance(layer, layers.Conv2D | layers.DepthwiseConv2D | layers.Dense):
            yield layer


def count_zeros(keras_model: Any, thinned: Sequence[Any] = ()) -> tuple[LayerSparsity, ...]:
    """Return what each kernel of a network holds; `thinned` are the layers that were pruned."""
    chosen = {id(layer) for layer in thinned}
    rows = []
    for layer in kernel_layers(keras_model):
        kernel = layer.kernel.numpy()
        zeros = int(kernel.size - np.count_nonzero(kernel))
        kind = type(layer).__name__
        rows.append(LayerSparsity(layer.name, kind, kernel.size, zeros, id(layer) in chosen))
    return tuple(rows)

"""Make a network that computes as its int8 file will, and take its trained ranges from it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mejiro.errors import UsageError
from mejiro.export.flat import flatten
from mejiro.export.normalization import exact_quantization
from mejiro.model import FloatModel
from mejiro.tensorflow import load_keras
from mejiro.train.qat.groups import find_groups
from mejiro.train.qat.layer import layer_class, nudged
from mejiro.train.qat.operators import WEIGHTED
from mejiro.train.qat.reading import Graph, read_graph
from mejiro.train.qat.sources import find_sources
from mejiro_runtime.card import Scores
from mejiro_runtime.preprocess import InputSpec
from mejiro_runtime.types import PixelOrder


@dataclass(frozen=True)
class Following:
    """Say how the ranges of activations follow what the batches show.

    `momentum` is the share of a range that a step keeps; after `steps` steps the ranges stay, so
    that the weights settle on them.
    """

    momentum: float = 0.99
    steps: int = 2**31 - 1

    def __post_init__(self) -> None:
        if not 0 <= self.momentum < 1:
            raise UsageError(f"momentum must lie in 0 to 1, below 1, found {self.momentum:g}")
        if self.steps < 0:
            raise UsageError(f"steps cannot be negative, found {self.steps}")


@dataclass(frozen=True, eq=False)
class QuantizationAware:
    """Hold a network for training that computes as an int8 file does.

    `model` is the float model, whose variables are trained; `trainable` the network that shares
    them, with logits for its output. `constant` names the operators whose weights are no layer's,
    `untrained` the variables of the float model that nothing was found to be made of: both stay.
    """

    model: FloatModel
    trainable: FloatModel
    graph: Graph
    constant: tuple[str, ...]
    untrained: tuple[str, ...]

    @property
    def layer(self) -> Any:
        """The layer that does it all."""
        return self.trainable.keras_model.get_layer("quantized")

    def ranges(self) -> dict[str, tuple[float, float]]:
        """Return the range of each tensor of int8 or int16, by its name in the file."""
        groups = find_groups(self.graph)
        found: dict[str, tuple[float, float]] = {}
        for group, (low, high) in zip(groups, np.asarray(self.layer.ranges), strict=True):
            ends = (float(low), float(high))
            if not group.symmetric:
                ends = nudged(*ends, group.bits)
            found |= {self.graph.values[place].name: ends for place in group.places}
        return found


def quantize_aware(
    model: FloatModel, file: bytes, *, following: Following | None = None
) -> QuantizationAware:
    """Return `model` as a network that computes what its quantized TFLite file `file` does.

    A tensor is rounded where the file holds integers: weights by the scale of the greatest at
    each step, biases by the product of that and the input's scale, activations to ranges that
    begin as the file's. Batch norms are folded with their statistics as they are. What the file
    computes in float stays so.

    Raises ExportError for an operator that cannot be trained, or a file that is not the model's.
    """
    following = following or Following()
    graph = read_graph(file)
    sources = find_sources(graph, flatten(model))
    constant = tuple(
        graph.values[node.output].name
        for node in graph.nodes
        if node.kind in WEIGHTED and node.output not in sources
    )
    layer = layer_class()(
        graph,
        sources,
        find_groups(graph),
        entry=_entry(model.input),
        momentum=following.momentum,
        follow_steps=following.steps,
    )
    keras = load_keras()
    inputs = keras.Input(model.input.shape[1:], name="pixels")
    network = keras.Model(inputs, layer(inputs))
    trainable = replace(model, keras_model=network, scores=Scores.LOGITS)
    reached = {id(variable) for variable in network.trainable_variables}
    untrained = tuple(
        variable.path
        for variable in model.keras_model.trainable_variables
        if id(variable) not in reached
    )
    return QuantizationAware(model, trainable, graph, constant, untrained)


def _entry(spec: InputSpec) -> Callable[[Any], Any]:
    """Return a function of what the float model takes to what its quantized file dequantizes to."""
    if exact_quantization(spec) is not None:
        return lambda values: values
    scale, offset = (np.array(ends, np.float32) for ends in (spec.scale, spec.offset))

    def pixels(values: Any) -> Any:
        values = (values - offset) / scale
        return values[..., ::-1] if spec.order is PixelOrder.BGR else values

    return pixels

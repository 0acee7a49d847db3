"""Find what sums a group's channels up, and look at what enters it.

A consumer is a convolution or dense layer: each of its outputs is a weighted sum of features.
Its features are the values that one output is summed from, (taps * channels) of them, in the
order of its kernel; the kernel is then a matrix (features, outputs).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mejiro.export.flat import Step
from mejiro.prune.graph import ChannelGraph, Group
from mejiro.prune.trace import Role
from mejiro.tensorflow import load_keras, load_tensorflow

# A matrix of second moments has the square of this number of entries.
MOST_FEATURES = 4608

# What ties channels together so that they belong to the spine of a network, not to a branch.
_SUMS = frozenset({"Add", "Average", "Subtract", "Maximum", "Minimum"})


@dataclass(frozen=True, eq=False)
class Consumer:
    """Hold one layer that sums up the channels of a group.

    `seen` is the tensor that holds its features: what enters it, or the map that is averaged
    before, since an average of sums is the sum of averages and a map says more. `rows` is
    (channels, k): the features that go with each channel. `shift` adds (outputs,) to what the
    layer gives, in its bias or in the statistics of the norm behind it; it is None where there is
    neither.
    """

    step: Step
    seen: Any
    kernel: int
    rows: NDArray[np.int64]
    shift: Shift | None

    @property
    def name(self) -> str:
        """The step's name."""
        return self.step.name

    def matrix(self) -> NDArray[np.float64]:
        """Return the kernel as a matrix (features, outputs)."""
        kernel = np.asarray(self.step.layer.weights[self.kernel], np.float64)
        return kernel.reshape(-1, kernel.shape[-1])

    def assign(self, matrix: NDArray[np.floating[Any]]) -> None:
        """Put a matrix (features, outputs) in the kernel's place."""
        weight = self.step.layer.weights[self.kernel]
        weight.assign(np.asarray(matrix, np.float32).reshape(weight.shape))


@dataclass(frozen=True, eq=False)
class Shift:
    """Name the weight that holds a term of each output, and the sign with which it counts."""

    weight: Any
    sign: int

    def add(self, term: NDArray[np.floating[Any]]) -> None:
        """Add (outputs,) to what the layer gives."""
        self.weight.assign(self.weight + self.sign * np.asarray(term, np.float32))


def find_consumers(graph: ChannelGraph) -> tuple[dict[str, list[Consumer]], dict[str, str]]:
    """Return the consumers of each group that can be solved anew, and why others cannot."""
    uses: dict[int, list[Step]] = {}
    for step in graph.network.steps.values():
        uses.setdefault(id(step.layer), []).append(step)
    found: dict[str, list[Consumer]] = {}
    skipped: dict[str, str] = {}
    for name, group in graph.groups.items():
        reason = group.reason or _unfit(graph, group, uses)
        if reason is None and group.channels > 1:
            found[name] = _consumers(graph, group, uses)
        else:
            skipped[name] = reason or "there is only one channel"
    return found, skipped


def _unfit(graph: ChannelGraph, group: Group, uses: Mapping[int, list[Step]]) -> str | None:
    """Say why the consumers of a group cannot be solved anew, or return None."""
    layers = load_keras().layers
    if not group.consumers:
        return "nothing sums them up"
    for name in group.consumers:
        layer: Any = graph.layers[name]
        if len(uses[id(layer)]) > 1:
            return f"'{name}' is used more than once"
        if type(layer) not in (layers.Conv2D, layers.Dense) or getattr(layer, "groups", 1) > 1:
            return f"'{name}' is no plain convolution or dense layer"
        if int(np.prod(layer.kernel.shape[:-1])) > MOST_FEATURES:
            return f"an output of '{name}' is a sum of more than {MOST_FEATURES} values"
    if _on_a_spine(graph, group):
        return "they are tied to those of other layers by a sum"
    return None


def _on_a_spine(graph: ChannelGraph, group: Group) -> bool:
    """Whether the channels pass a sum of maps on their way to their consumers."""
    ends = {id(graph.layers[name]) for name in group.consumers}
    starts = {id(graph.layers[name]) for name in group.producers}
    reached: set[int] = set()
    for step in graph.network.steps.values():
        comes = any(id(tensor) in reached for tensor in step.inputs)
        if id(step.layer) in starts or (comes and id(step.layer) not in ends):
            if type(step.layer).__name__ in _SUMS:
                return True
            reached.update(id(tensor) for tensor in load_keras().tree.flatten(step.output))
    return False


def _consumers(graph: ChannelGraph, group: Group, uses: Mapping[int, list[Step]]) -> list[Consumer]:
    consumers = []
    for part in group.slices:
        if part.role is not Role.CONSUMED or not isinstance(part.axis.weight, int):
            continue
        layer = graph.layers[part.axis.layer]
        (step,) = uses[id(layer)]
        shape = layer.weights[part.axis.weight].shape
        taps, width = int(np.prod(shape[:-2])), shape[-2]
        places = np.arange(taps)[:, None, None] * width + part.indices  # (taps, channels, k)
        rows = np.moveaxis(places, 1, 0).reshape(group.channels, -1)
        seen = _before_averaging(graph, step)
        consumers.append(Consumer(step, seen, part.axis.weight, rows, _shift(graph, step)))
    return consumers


def _before_averaging(graph: ChannelGraph, step: Step) -> Any:
    layers = load_keras().layers
    tensor = step.inputs[0]
    if getattr(step.layer, "kernel_size", (1, 1)) != (1, 1):
        return tensor
    maker = graph.network.maker_of(tensor)
    while maker is not None and isinstance(
        maker.layer, layers.GlobalAveragePooling2D | layers.Dropout
    ):
        tensor = maker.inputs[0]
        maker = graph.network.maker_of(tensor)
    return tensor


def _shift(graph: ChannelGraph, step: Step) -> Shift | None:
    layers = load_keras().layers
    if step.layer.bias is not None:
        return Shift(step.layer.bias, 1)
    if step.output is graph.network.output:
        return None
    readers = [
        other
        for other in graph.network.steps.values()
        if any(tensor is step.output for tensor in other.inputs)
    ]
    if len(readers) == 1 and isinstance(readers[0].layer, layers.BatchNormalization):
        # A norm takes its mean away, so the mean falls by what is added.
        return Shift(readers[0].layer.moving_mean, -1)
    return None


def features_of(consumer: Consumer) -> Callable[[Any], Any]:
    """Return a function from what enters a consumer to its features (pictures, places, n)."""
    tf = load_tensorflow()
    layer = consumer.step.layer
    if isinstance(layer, load_keras().layers.Dense):
        return lambda tensor: tf.reshape(tensor, (tensor.shape[0], -1, tensor.shape[-1]))

    def patches(tensor: Any) -> Any:
        height, width = layer.kernel_size
        if (height, width, *layer.strides) != (1, 1, 1, 1):
            tensor = tf.image.extract_patches(
                tensor,
                sizes=(1, height, width, 1),
                strides=(1, *layer.strides, 1),
                rates=(1, *layer.dilation_rate, 1),
                padding=layer.padding.upper(),
            )
        return tf.reshape(tensor, (tensor.shape[0], -1, tensor.shape[-1]))

    return patches


def batches(tensors: NDArray[np.float32], size: int) -> Iterator[NDArray[np.float32]]:
    """Yield `size` pictures at a time."""
    for start in range(0, len(tensors), size):
        yield tensors[start : start + size]

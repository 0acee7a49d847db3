"""Find the variables that each operator's weights were computed from, so that they can be trained.

The converter folds batch normalization into the convolution before it, and other constants into
biases. A kernel in the file is recognized by its values: it is what one layer's kernel, times the
factor of the batch norm behind it, becomes. The rest of a bias is kept as a constant.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mejiro.export.flat import FlatNetwork
from mejiro.tensorflow import load_keras
from mejiro.train.qat.operators import WEIGHTED
from mejiro.train.qat.reading import ABSENT, Graph, Node

# How far a kernel in the file may be from the one that it is taken for, as a share of its norm.
# Rounding to int8 moves it by about a hundredth; kernels of other layers lie at 1 and beyond.
_NEAR = 0.1


@dataclass(frozen=True, eq=False)
class Source:
    """Hold a layer that makes weights, and the batch normalization that is folded into them.

    `kernel` and `bias` are variables of the layer, `bias` and `norm` None where there is none.
    """

    layer: Any
    kernel: Any
    bias: Any = None
    norm: Any = None

    @property
    def layers(self) -> tuple[Any, ...]:
        """The layers whose variables are trained."""
        return (self.layer,) if self.norm is None else (self.layer, self.norm)

    def fold(self) -> tuple[Any, Any]:
        """Return the kernel in TensorFlow's layout and the bias (channels,), with gradients.

        They hold the batch normalization with its statistics as they are (Jacob et al. 2018,
        arXiv:1712.05877, section 3.2, with frozen statistics).
        """
        ops, kernel = load_keras().ops, self.kernel
        channels = int(np.prod(kernel.shape[2:] if self.depthwise else kernel.shape[-1:]))
        bias = ops.zeros((channels,)) if self.bias is None else self.bias
        if self.norm is None:
            return ops.convert_to_tensor(kernel), ops.convert_to_tensor(bias)
        norm = self.norm
        factor = ops.rsqrt(norm.moving_variance + norm.epsilon)
        if norm.gamma is not None:
            factor = factor * norm.gamma
        bias = (bias - norm.moving_mean) * factor
        if norm.beta is not None:
            bias = bias + norm.beta
        shape = kernel.shape[2:] if self.depthwise else (channels,)
        return kernel * ops.reshape(factor, shape), bias

    @property
    def depthwise(self) -> bool:
        """Whether the kernel is (height, width, channels, multiplier)."""
        return bool(self.kernel is getattr(self.layer, "depthwise_kernel", None)) or isinstance(
            self.layer, load_keras().layers.DepthwiseConv2D
        )


@dataclass(frozen=True, eq=False)
class Weights:
    """Hold where one operator's weights come from.

    `shape` is its kernel's in TensorFlow's layout. `rest` (channels,) is what the file's bias has
    beyond that of `source`.
    """

    source: Source
    shape: tuple[int, ...]
    rest: NDArray[np.float32]


def find_sources(graph: Graph, network: FlatNetwork) -> dict[int, Weights]:
    """Return the sources of the weights in `graph` by the places of their operators' outputs.

    An operator whose kernel belongs to no layer of `network`, such as the normalization of
    pixels, is left out: it is no more than a constant.
    """
    groups = _candidates(network)
    folded = {id(one): _as_arrays(one) for group in groups for one in group}
    found: dict[int, Weights] = {}
    taken: set[int] = set()  # which groups
    for node in graph.nodes:
        if node.kind not in WEIGHTED:
            continue
        kernel = kernel_of(graph, node)
        if kernel is None:
            continue
        best, nearest = None, _NEAR
        for number, group in enumerate(groups):
            if number in taken:
                continue
            near = ((_distance(kernel, folded[id(one)][0]), one) for one in group)
            # The first that fits: what else fits is a batch norm that does next to nothing.
            distance, one = next((pair for pair in near if pair[0] <= _NEAR), (np.inf, None))
            if one is not None and (best is None or distance < nearest):
                best, nearest = (number, one), distance
        if best is not None:
            number, one = best
            taken.add(number)
            rest = _rest(graph, node, folded[id(one)][1])
            found[node.output] = Weights(one, kernel.shape, rest)
    return found


def kernel_of(graph: Graph, node: Node) -> NDArray[np.float32] | None:
    """Return the constant kernel of `node` in TensorFlow's layout, None if it is computed."""
    kernel: Any = graph.values[node.inputs[1]].constant
    if kernel is None:
        return None
    if node.kind == "CONV_2D":
        kernel = kernel.transpose(1, 2, 3, 0)
    elif node.kind == "FULLY_CONNECTED":
        kernel = kernel.transpose()
    else:
        channels = graph.values[node.inputs[0]].shape[-1]
        kernel = kernel.reshape(*kernel.shape[1:3], channels, -1)
    return np.asarray(kernel, np.float32)


def bias_of(graph: Graph, node: Node) -> NDArray[np.float32] | None:
    """Return the constant bias of `node`, None if there is none."""
    if len(node.inputs) < 3 or node.inputs[2] == ABSENT:
        return None
    return graph.values[node.inputs[2]].constant


def _candidates(network: FlatNetwork) -> list[list[Source]]:
    """Return for each kernel of the network what it may have become, in running order."""
    keras = load_keras()
    layers = keras.layers
    # Only a batch norm that alone reads a layer's plain sum can be folded into it.
    readers: dict[int, list[Any]] = {}
    for step in network.steps.values():
        for tensor in step.inputs:
            readers.setdefault(id(tensor), []).append(step)
    groups: list[list[Source]] = []
    for step in network.steps.values():
        layer = step.layer
        following = [one.layer for one in readers.get(id(step.output), [])]
        norm = following[0] if len(following) == 1 else None
        if not isinstance(norm, layers.BatchNormalization) or not _is_linear(layer):
            norm = None
        if isinstance(layer, layers.SeparableConv2D):
            groups.append([Source(layer, layer.depthwise_kernel)])
            groups.append(list(_variants(layer, layer.pointwise_kernel, norm)))
        elif isinstance(layer, layers.Conv2D | layers.DepthwiseConv2D | layers.Dense):
            groups.append(list(_variants(layer, layer.kernel, norm)))
    return groups


def _is_linear(layer: Any) -> bool:
    return getattr(layer, "activation", None) is load_keras().activations.linear


def _variants(layer: Any, kernel: Any, norm: Any) -> Iterator[Source]:
    """Yield what the kernel becomes, the likeliest first."""
    bias = layer.bias if layer.use_bias else None
    if norm is not None:
        yield Source(layer, kernel, bias, norm)
    yield Source(layer, kernel, bias)


def _as_arrays(source: Source) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    kernel, bias = (np.asarray(value, dtype=np.float32) for value in source.fold())
    return kernel, bias


def _distance(kernel: NDArray[np.float32], candidate: NDArray[np.float32]) -> float:
    """Return how far `candidate` is from `kernel`, as a share of its norm; infinity if unlike."""
    if candidate.shape != kernel.shape:
        # A 1x1 convolution and a dense layer are one operation.
        if candidate.size != kernel.size or candidate.shape[-2:] != kernel.shape[-2:]:
            return np.inf
        candidate = candidate.reshape(kernel.shape)
    norm = float(np.linalg.norm(candidate))
    difference = float(np.linalg.norm(candidate - kernel))
    return difference / norm if norm > 0 else (0.0 if difference == 0 else np.inf)


def _rest(graph: Graph, node: Node, bias: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return what the file's bias has beyond `bias`, 0 where that is rounding."""
    stored = bias_of(graph, node)
    if stored is None:
        return np.zeros_like(bias)
    rest = stored - bias
    scale = graph.values[node.inputs[2]].scale
    rounding = np.float32(0) if scale is None else scale
    small = np.abs(rest) <= 2 * rounding + 1e-4 * np.abs(stored)
    return np.where(small, np.float32(0), rest).astype(np.float32)

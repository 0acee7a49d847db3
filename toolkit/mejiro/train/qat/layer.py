"""Compute what an int8 file computes, in float with fake quantization, so that it can be trained.

Sources: Jacob et al., "Quantization and Training of Neural Networks for Efficient
Integer-Arithmetic-Only Inference" (arXiv:1712.05877): rounding in the forward pass, gradients
that pass through it (Bengio et al., arXiv:1308.3432), ranges of activations by moving averages.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np

from mejiro.export.bias_room import WEIGHT_STEPS, least_bound
from mejiro.tensorflow import load_keras, load_tensorflow
from mejiro.train.qat.groups import MOVING, Group, shares_scale
from mejiro.train.qat.hard_swish import hard_swish_table
from mejiro.train.qat.operators import OPERATORS, WEIGHTED, check_known
from mejiro.train.qat.reading import ABSENT, Graph, Node
from mejiro.train.qat.sources import Weights, bias_of, kernel_of

# Scales below this are none; the same limit as the quantizer's.
_LEAST_BOUND = 1e-9


def fake_quantize(values: Any, low: Any, high: Any, bits: int) -> Any:
    """Return `values` as integers of `bits` over the range would have them, zero among them."""
    return load_tensorflow().quantization.fake_quant_with_min_max_vars(
        values, low, high, num_bits=bits
    )


def fake_quantize_symmetrically(values: Any, bound: Any, bits: int) -> Any:
    """Return `values` as integers of `bits`, but the least, would have them; zero point 0."""
    return load_tensorflow().quantization.fake_quant_with_min_max_vars(
        values, -bound, bound, num_bits=bits, narrow_range=True
    )


def kernel_bound(kernel: Any, *, by_channel: bool, least: Any = _LEAST_BOUND) -> Any:
    """Return the magnitude that int8 weights of 127 stand for, (channels,) or one for all.

    It is that of the greatest weight in `kernel` (..., channels), or `least` if that is more; see
    `export.bias_room`. No gradient passes.
    """
    tf = load_tensorflow()
    axes = list(range(len(kernel.shape) - 1)) if by_channel else None
    return tf.stop_gradient(tf.maximum(tf.reduce_max(tf.abs(kernel), axes), least))


def fake_quantize_kernel(kernel: Any, bound: Any) -> Any:
    """Return `kernel` (..., channels) as symmetric int8 would have it, with `kernel_bound`."""
    if len(bound.shape) == 0:
        return fake_quantize_symmetrically(kernel, bound, 8)
    return load_tensorflow().quantization.fake_quant_with_min_max_vars_per_channel(
        kernel, -bound, bound, num_bits=8, narrow_range=True
    )


def fake_quantize_bias(bias: Any, step: Any) -> Any:
    """Return `bias` (channels,) rounded to whole steps, as int32 has it; gradients pass."""
    tf = load_tensorflow()
    return bias + tf.stop_gradient(tf.round(bias / step) * step - bias)


def nudged(low: float, high: float, bits: int) -> tuple[float, float]:
    """Return the range that is meant by `low` and `high` once zero is one of its steps.

    As `fake_quantize` computes it, in float64.
    """
    steps = 2**bits - 1
    low, high = min(low, 0.0), max(high, 0.0)
    scale = max(high - low, _LEAST_BOUND) / steps
    zero = round(-low / scale)
    return -zero * scale, (steps - zero) * scale


@cache
def layer_class() -> Any:
    """Return the class of the layer, which needs Keras to be made."""
    keras = load_keras()

    class QuantizedGraph(keras.layers.Layer):  # type: ignore[misc, name-defined, unused-ignore]
        """Compute the logits (N, classes) of a graph for what the float model takes (N, H, W, C).

        `entry` makes what the graph takes of it.
        The variables are those of the layers that the weights come from, and the ranges of the
        groups, (groups, 2). While training these follow what each batch shows, by moving averages,
        for the first `follow_steps` steps.
        """

        def __init__(
            self,
            graph: Graph,
            sources: Mapping[int, Weights],
            groups: Sequence[Group],
            *,
            entry: Callable[[Any], Any],
            momentum: float,
            follow_steps: int,
        ) -> None:
            super().__init__(name="quantized")
            # Keras would wrap dicts and lists; these are not its state.
            self._plan, self._entry = _Plan(graph, sources, tuple(groups)), entry
            self._momentum, self._follow_steps = momentum, follow_steps
            layers = [layer for one in sources.values() for layer in one.source.layers]
            self.sources = list({id(layer): layer for layer in layers}.values())
            begin = np.array([(one.low, one.high) for one in groups], np.float32)
            self.ranges = self.add_weight(
                shape=begin.shape,
                initializer=lambda shape, dtype: keras.ops.convert_to_tensor(begin, dtype),
                trainable=False,
                name="ranges",
            )
            self.steps = self.add_weight(
                shape=(), dtype="int32", initializer="zeros", trainable=False, name="steps"
            )

        def call(self, inputs: Any, training: bool = False) -> Any:
            plan = self._plan
            ranges = keras.ops.convert_to_tensor(self.ranges)
            tensors, shown = plan.run(self._entry(inputs), ranges)
            if training:
                self._follow(ranges, shown)
            return tensors[plan.graph.logits]

        def tensors(self, inputs: Any) -> dict[int, Any]:
            """Return all that is computed on the way, by its place in the graph."""
            return self._plan.run(self._entry(inputs), keras.ops.convert_to_tensor(self.ranges))[0]

        def replay(self, tensors: Mapping[int, Any]) -> dict[int, Any]:
            """Return what each operator gives for the inputs that `tensors` has, by its place."""
            return self._plan.replay(tensors, keras.ops.convert_to_tensor(self.ranges))

        def compute_output_shape(self, input_shape: Any) -> Any:
            graph = self._plan.graph
            return (input_shape[0], *graph.values[graph.logits].shape[1:])

        def _follow(self, ranges: Any, shown: Mapping[int, Sequence[Any]]) -> None:
            tf = load_tensorflow()
            rows = tf.unstack(ranges)
            for number, seen in shown.items():
                lows = [tf.reduce_min(value) for value in seen]
                highs = [tf.reduce_max(value) for value in seen]
                low = tf.minimum(tf.reduce_min(tf.stack(lows)), 0.0)
                high = tf.maximum(tf.reduce_max(tf.stack(highs)), 0.0)
                if self._plan.groups[number].symmetric:
                    high = tf.maximum(high, -low)
                    low = -high
                rows[number] = tf.stack([low, high])
            following = tf.cast(self.steps < self._follow_steps, tf.float32)
            share = (1.0 - self._momentum) * following
            self.ranges.assign(ranges + share * (tf.stop_gradient(tf.stack(rows)) - ranges))
            self.steps.assign(self.steps + 1)

    return QuantizedGraph


class _Plan:
    """Hold what the layer computes, operator by operator."""

    def __init__(
        self, graph: Graph, sources: Mapping[int, Weights], groups: tuple[Group, ...]
    ) -> None:
        self.graph, self.sources, self.groups = graph, sources, groups
        self._group_of = {
            place: number for number, group in enumerate(groups) for place in group.places
        }
        self._nodes = _needed(graph)
        check_known(self._nodes, graph)

    def run(self, inputs: Any, ranges: Any) -> tuple[dict[int, Any], dict[int, list[Any]]]:
        """Return all tensors by their places, and what each group showed before rounding."""
        graph = self.graph
        tensors = {graph.input: self._quantized(graph.input, inputs, ranges)}
        shown: dict[int, list[Any]] = {}
        for node in self._nodes:
            value = self._computed(node, tensors, ranges)
            number = self._group_of.get(node.output)
            if number is not None:
                sharing = shares_scale(graph, node)
                if not sharing and not self.groups[number].fixed:
                    shown.setdefault(number, []).append(value)
                if not (sharing and node.kind in MOVING):
                    value = self._rounded(node, value, tensors, ranges)
            tensors[node.output] = value
        return tensors, shown

    def replay(self, tensors: Mapping[int, Any], ranges: Any) -> dict[int, Any]:
        """Return what each operator whose inputs are all in `tensors` gives, by its place."""
        values = self.graph.values
        return {
            node.output: self._rounded(node, self._computed(node, tensors, ranges), tensors, ranges)
            for node in self._nodes
            if all(
                place == ABSENT or place in tensors or values[place].stored is not None
                for place in node.inputs
            )
        }

    def _computed(self, node: Node, tensors: Mapping[int, Any], ranges: Any) -> Any:
        """Return what `node` gives before it is rounded."""
        taken = [self._taken(node, at, tensors) for at in range(len(node.inputs))]
        if node.kind in WEIGHTED:
            taken[1:] = self._weights(node, taken[1], ranges)
        given = [one for one in taken if one is not None]
        return OPERATORS[node.kind](node, given, self.graph)

    def _rounded(self, node: Node, value: Any, tensors: Mapping[int, Any], ranges: Any) -> Any:
        """Return what `node` gives as its integers, with the gradients of rounding."""
        value = self._quantized(node.output, value, ranges)
        entry = node.inputs[0]
        if node.kind != "HARD_SWISH" or not self._is_int8(entry) or not self._is_int8(node.output):
            return value
        tf = load_tensorflow()
        scale_in, zero_in = self._scale(entry, ranges)
        scale, zero = self._scale(node.output, ranges)
        table = tf.cast(hard_swish_table(scale_in, zero_in, scale, zero), tf.float32)
        # While ranges are learnt, a value may round to just outside of the 256.
        places = tf.clip_by_value(tf.round(tensors[entry] / scale_in) + zero_in, 0.0, 255.0)
        exact = (tf.gather(table, tf.cast(places, tf.int32)) - zero) * scale
        return value + tf.stop_gradient(exact - value)

    def _is_int8(self, place: int) -> bool:
        return place in self._group_of and self.groups[self._group_of[place]].bits == 8

    def _scale(self, place: int, ranges: Any) -> tuple[Any, Any]:
        """Return an int8 tensor's scale, and its zero point with 128 added, as float32."""
        tf, number = load_tensorflow(), self._group_of[place]
        low, high = tf.unstack(tf.stop_gradient(ranges[number]))
        if self.groups[number].symmetric:
            return high / WEIGHT_STEPS, tf.constant(128.0)
        scale = (high - low) / 255
        return scale, tf.round(-low / scale)

    def _quantized(self, place: int, value: Any, ranges: Any) -> Any:
        if place not in self._group_of:
            return value
        number = self._group_of[place]
        group = self.groups[number]
        if group.symmetric:
            return fake_quantize_symmetrically(value, ranges[number, 1], group.bits)
        return fake_quantize(value, ranges[number, 0], ranges[number, 1], group.bits)

    def _taken(self, node: Node, at: int, tensors: Mapping[int, Any]) -> Any:
        place = node.inputs[at]
        if place == ABSENT:
            return None
        return tensors[place] if place in tensors else self.graph.values[place].constant

    def _weights(self, node: Node, computed: Any, ranges: Any) -> list[Any]:
        """Return the kernel in TensorFlow's layout, and the bias if there is one."""
        value = self.graph.values[node.inputs[1]]
        if node.output not in self.sources:
            kernel, bias = kernel_of(self.graph, node), bias_of(self.graph, node)
            return [computed if kernel is None else kernel, *([] if bias is None else [bias])]
        weights = self.sources[node.output]
        kernel, bias = weights.source.fold()
        bias = bias + weights.rest
        ops, shape = load_keras().ops, weights.shape
        if value.scale is not None and value.dtype == "int8":
            # The channels of a depthwise kernel, (channels, multiplier), are one axis in the file.
            flat = (*shape[:2], -1) if node.kind == "DEPTHWISE_CONV_2D" else shape
            by_channel = value.scale.size > 1
            kernel = ops.reshape(kernel, flat)
            scale = self._input_scale(node, ranges)
            fits = _LEAST_BOUND
            if by_channel and scale is not None:
                fits = load_tensorflow().maximum(least_bound(bias, scale), _LEAST_BOUND)
            bound = kernel_bound(kernel, by_channel=by_channel, least=fits)
            kernel = fake_quantize_kernel(kernel, bound)
            if scale is not None:
                bias = fake_quantize_bias(bias, bound / WEIGHT_STEPS * scale)
        return [ops.reshape(kernel, shape), bias]

    def _input_scale(self, node: Node, ranges: Any) -> Any:
        """Return the scale of the int8 tensor that `node` takes, None if it takes another."""
        entry = node.inputs[0]
        return self._scale(entry, ranges)[0] if self._is_int8(entry) else None


def _needed(graph: Graph) -> list[Node]:
    """Return the operators that the logits depend on, in the order of execution."""
    needed, nodes = {graph.logits}, []
    for node in reversed(graph.nodes):
        if node.output in needed:
            needed |= set(node.inputs)
            nodes.append(node)
    return nodes[::-1]

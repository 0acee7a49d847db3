"""Say for each kind of layer what becomes of the channels that enter it.

A rule is given the trace, one use of the layer, and the atoms of each input; it returns those of
the output, or raises NotUnderstood. What has no rule holds its channels fast, so a layer that is
missing here costs a chance to prune and never a wrong result.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from mejiro.export.flat import Step
from mejiro.prune.trace import Atoms, NotUnderstood, Role, Trace
from mejiro.tensorflow import load_keras

Rule = Callable[[Trace, Step, Sequence[Atoms]], Atoms]

# Activations that take each value by itself; others compare channels, as softmax does.
_ELEMENTWISE = (
    "celu",
    "elu",
    "exponential",
    "gelu",
    "hard_shrink",
    "hard_sigmoid",
    "hard_silu",
    "hard_tanh",
    "leaky_relu",
    "linear",
    "log_sigmoid",
    "mish",
    "relu",
    "relu6",
    "selu",
    "sigmoid",
    "silu",
    "soft_shrink",
    "softplus",
    "softsign",
    "sparse_plus",
    "squareplus",
    "tanh",
    "tanh_shrink",
    "threshold",
)


def _convolution(trace: Trace, step: Step, inputs: Sequence[Atoms]) -> Atoms:
    layer, (atoms,) = step.layer, inputs
    _check_weights(layer, layer.kernel, layer.bias)
    each, filters = layer.kernel.shape[-2:]
    if layer.groups > 1 and each == 1:  # depthwise by another name: whole groups go
        made = np.repeat(atoms, filters // layer.groups)
        trace.note(step, layer.kernel, -1, Role.CARRIED, made)
        trace.note_count(step, "filters", Role.CARRIED, made)
        trace.note_count(step, "groups", Role.CARRIED, atoms)
        _note_bias(trace, step, Role.CARRIED, made)
        _check_activation(trace, step, made)
        return made
    # Every group of a grouped convolution loses as many channels, so that they stay alike.
    entering = atoms.reshape(layer.groups, each)
    made = trace.fresh(filters)
    leaving = made.reshape(layer.groups, -1)
    for other in range(1, layer.groups):
        trace.tie(entering[0], entering[other])
        trace.tie(leaving[0], leaving[other])
    trace.note(step, layer.kernel, -2, Role.CONSUMED, entering[0])
    trace.note(step, layer.kernel, -1, Role.PRODUCED, made)
    trace.note_count(step, "filters", Role.PRODUCED, made)
    _note_bias(trace, step, Role.PRODUCED, made)
    _check_activation(trace, step, made)
    return made


def _transposed(trace: Trace, step: Step, inputs: Sequence[Atoms]) -> Atoms:
    layer, (atoms,) = step.layer, inputs
    _check_weights(layer, layer.kernel, layer.bias)
    if layer.kernel.shape[-1] != len(atoms):
        raise NotUnderstood(f"'{step.name}' is a grouped transposed convolution")
    made = trace.fresh(layer.kernel.shape[-2])
    trace.note(step, layer.kernel, -1, Role.CONSUMED, atoms)
    trace.note(step, layer.kernel, -2, Role.PRODUCED, made)
    trace.note_count(step, "filters", Role.PRODUCED, made)
    _note_bias(trace, step, Role.PRODUCED, made)
    _check_activation(trace, step, made)
    return made


def _depthwise(trace: Trace, step: Step, inputs: Sequence[Atoms]) -> Atoms:
    layer, (atoms,) = step.layer, inputs
    _check_weights(layer, layer.kernel, layer.bias)
    made = np.repeat(atoms, layer.kernel.shape[-1])
    trace.note(step, layer.kernel, -2, Role.CARRIED, atoms)
    _note_bias(trace, step, Role.CARRIED, made)
    _check_activation(trace, step, made)
    return made


def _separable(trace: Trace, step: Step, inputs: Sequence[Atoms]) -> Atoms:
    layer, (atoms,) = step.layer, inputs
    depthwise, pointwise = layer.depthwise_kernel, layer.pointwise_kernel
    _check_weights(layer, depthwise, pointwise, layer.bias)
    made = trace.fresh(pointwise.shape[-1])
    trace.note(step, depthwise, -2, Role.CARRIED, atoms)
    trace.note(step, pointwise, -2, Role.CONSUMED, np.repeat(atoms, depthwise.shape[-1]))
    trace.note(step, pointwise, -1, Role.PRODUCED, made)
    trace.note_count(step, "filters", Role.PRODUCED, made)
    _note_bias(trace, step, Role.PRODUCED, made)
    _check_activation(trace, step, made)
    return made


def _dense(trace: Trace, step: Step, inputs: Sequence[Atoms]) -> Atoms:
    layer, (atoms,) = step.layer, inputs
    _check_weights(layer, layer.kernel, layer.bias)
    made = trace.fresh(layer.kernel.shape[1])
    trace.note(step, layer.kernel, 0, Role.CONSUMED, atoms)
    trace.note(step, layer.kernel, 1, Role.PRODUCED, made)
    trace.note_count(step, "units", Role.PRODUCED, made)
    _note_bias(trace, step, Role.PRODUCED, made)
    _check_activation(trace, step, made)
    return made


def _batch_norm(trace: Trace, step: Step, inputs: Sequence[Atoms]) -> Atoms:
    layer, (atoms,) = step.layer, inputs
    weights = (layer.gamma, layer.beta, layer.moving_mean, layer.moving_variance)
    _check_weights(layer, *weights)
    if layer.axis not in (-1, len(step.output.shape) - 1):
        raise NotUnderstood(f"'{step.name}' normalizes another axis than the channels'")
    for weight in weights:
        if weight is not None:
            trace.note(step, weight, 0, Role.CARRIED, atoms)
    return atoms


def _prelu(trace: Trace, step: Step, inputs: Sequence[Atoms]) -> Atoms:
    layer, (atoms,) = step.layer, inputs
    _check_weights(layer, layer.alpha)
    if layer.alpha.shape[-1] == len(atoms):
        trace.note(step, layer.alpha, -1, Role.CARRIED, atoms)
    return atoms


def _each(trace: Trace, step: Step, inputs: Sequence[Atoms]) -> Atoms:
    """Pass channels through what treats each of them alike."""
    _check_constants(step)
    (atoms,) = inputs
    _check_activation(trace, step, atoms)
    return atoms


def _dropout(trace: Trace, step: Step, inputs: Sequence[Atoms]) -> Atoms:
    shape = getattr(step.layer, "noise_shape", None)
    if shape is not None and shape[-1] not in (None, 1):
        raise NotUnderstood(f"'{step.name}' has the number of channels in its noise_shape")
    return _each(trace, step, inputs)


def _rescaling(trace: Trace, step: Step, inputs: Sequence[Atoms]) -> Atoms:
    if np.ndim(step.layer.scale) or np.ndim(step.layer.offset):
        raise NotUnderstood(f"'{step.name}' has a scale for each channel in its configuration")
    return _each(trace, step, inputs)


def _mean(trace: Trace, step: Step, inputs: Sequence[Atoms]) -> Atoms:
    rank = len(step.inputs[0].shape)
    axis = step.layer.axis
    axes = range(rank) if axis is None else np.atleast_1d(axis)
    if {int(one) % rank for one in axes} & {0, rank - 1}:
        raise NotUnderstood(f"'{step.name}' takes several channels together")
    return _each(trace, step, inputs)


def _compared(trace: Trace, step: Step, inputs: Sequence[Atoms]) -> Atoms:
    """Pass channels through what weighs them against each other: none may go."""
    (atoms,) = inputs
    trace.hold(atoms, f"'{step.name}' compares them with each other")
    return atoms


def _joined(trace: Trace, step: Step, inputs: Sequence[Atoms]) -> Atoms:
    """Tie the channels of tensors that are added or multiplied, one by one."""
    _check_constants(step)
    widest = max(inputs, key=len)
    for atoms in inputs:
        if len(atoms) == len(widest):
            trace.tie(widest, atoms)
        else:  # a single channel, for all of the others
            trace.hold(atoms, f"'{step.name}' spreads it over all channels of another tensor")
    return widest


def _concatenated(trace: Trace, step: Step, inputs: Sequence[Atoms]) -> Atoms:
    if step.layer.axis in (-1, len(step.output.shape) - 1):
        return np.concatenate(inputs)
    return _joined(trace, step, inputs)


def _flattened(trace: Trace, step: Step, inputs: Sequence[Atoms]) -> Atoms:
    """Repeat the channels once for each place: they are the fastest axis in memory."""
    (atoms,) = inputs
    width = step.output.shape[-1]
    if width is None or width % len(atoms):
        raise NotUnderstood(f"'{step.name}' mixes channels with places")
    return np.tile(atoms, width // len(atoms))


def _reshaped(trace: Trace, step: Step, inputs: Sequence[Atoms]) -> Atoms:
    atoms = _flattened(trace, step, inputs)
    trace.note_count(step, "target_shape", Role.CARRIED, atoms)
    return atoms


# By the name of a class of Keras, which is a layer or a plain operation such as `x + 3`.
RULES: dict[str, Rule] = {
    "Conv1D": _convolution,
    "Conv2D": _convolution,
    "Conv2DTranspose": _transposed,
    "DepthwiseConv2D": _depthwise,
    "SeparableConv2D": _separable,
    "Dense": _dense,
    "BatchNormalization": _batch_norm,
    "PReLU": _prelu,
    "Dropout": _dropout,
    "Rescaling": _rescaling,
    "Mean": _mean,
    "Softmax": _compared,
    "Concatenate": _concatenated,
    "Flatten": _flattened,
    "Reshape": _reshaped,
    **dict.fromkeys(
        (
            "Add",
            "Average",
            "CustomScaleLayer",  # the scaled sum of Keras's Inception-ResNet
            "Divide",
            "Maximum",
            "Minimum",
            "Multiply",
            "Subtract",
            "TrueDivide",
        ),
        _joined,
    ),
    **dict.fromkeys(
        (
            "Activation",
            "ActivityRegularization",
            "AveragePooling2D",
            "Clip",
            "Cropping2D",
            "ELU",
            "Elu",
            "Gelu",
            "GaussianDropout",
            "GaussianNoise",
            "GlobalAveragePooling2D",
            "GlobalMaxPooling2D",
            "HardSigmoid",
            "HardSilu",
            "Identity",
            "LeakyReLU",
            "LeakyRelu",
            "MaxPooling2D",
            "Negative",
            "ReLU",
            "Relu",
            "Relu6",
            "Resizing",
            "Sigmoid",
            "Silu",
            "SpatialDropout2D",
            "Tanh",
            "UpSampling2D",
            "ZeroPadding2D",
        ),
        _each,
    ),
}


def pass_through(trace: Trace, step: Step, inputs: Sequence[Atoms]) -> Atoms:
    """Apply the rule for the layer of `step`; raises NotUnderstood if there is none that fits."""
    kind = type(step.layer)
    rule = RULES.get(kind.__name__) if kind.__module__.split(".")[0] == "keras" else None
    if rule is None:
        raise NotUnderstood(f"'{step.name}' is a {kind.__name__}, which is not understood")
    if getattr(step.layer, "data_format", "channels_last") not in ("channels_last", None):
        raise NotUnderstood(f"'{step.name}' has its channels first")
    return rule(trace, step, inputs)


def _note_bias(trace: Trace, step: Step, role: Role, atoms: Atoms) -> None:
    if step.layer.bias is not None:
        trace.note(step, step.layer.bias, 0, role, atoms)


def _check_weights(layer: Any, *known: Any) -> None:
    """Refuse a layer with other weights than `known`: LoRA's, or integers and their scales."""
    known_ids = {id(weight) for weight in known if weight is not None}
    if {id(weight) for weight in layer.weights} != known_ids:
        raise NotUnderstood(f"'{layer.name}' has weights that a plain layer of its kind has not")


def _check_activation(trace: Trace, step: Step, atoms: Atoms) -> None:
    """Hold the channels that the layer's activation is given, if it may mix them."""
    activation = getattr(step.layer, "activation", None)
    if activation is None:
        return
    known = load_keras().activations
    if not any(activation is getattr(known, name, None) for name in _ELEMENTWISE):
        name = getattr(activation, "__name__", type(activation).__name__)
        trace.hold(atoms, f"the activation {name} of '{step.name}' may mix them")


def _check_constants(step: Step) -> None:
    """Refuse an operation with an array of constants, which would have to be cut as well."""
    keras = load_keras()
    history = step.output._keras_history
    node = history.operation._inbound_nodes[history.node_index]
    for value in keras.tree.flatten((node.arguments.args, node.arguments.kwargs)):
        if not isinstance(value, keras.KerasTensor) and np.size(value) > 1:
            raise NotUnderstood(f"'{step.name}' holds a constant for each channel")

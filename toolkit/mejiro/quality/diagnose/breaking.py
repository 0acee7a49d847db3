"""Break a network on purpose, in a way that float does not notice and int8 does.

For tests and benchmarks of what finds such a fault, and of what repairs it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from mejiro.errors import UsageError
from mejiro.export.flat import FlatNetwork, Step, flatten
from mejiro.model import FloatModel
from mejiro.tensorflow import load_keras

# What gives f(k x) = k f(x) for each channel and k > 0.
_SCALING = (
    "Activation", "AveragePooling2D", "Dropout", "GlobalAveragePooling2D", "GlobalMaxPooling2D",
    "LeakyReLU", "MaxPooling2D", "ReLU", "ZeroPadding2D",
)  # fmt: skip


def scale_channel(model: FloatModel, layer: str, channel: int, factor: float) -> FloatModel:
    """Return a copy that makes one channel of `layer` times `factor`, and divides it out later.

    `layer` is a convolution, a dense layer, or the batch norm after one; where a batch norm
    follows, its output is what is scaled. The layers that read it get their weights for the
    channel divided, so that the network computes what it did, but for the last digits.

    Raises UsageError if there is no such layer or channel, `factor` is not positive, or what lies
    between does not pass a factor on, as ReLU6, swish and sums do not.
    """
    keras = load_keras()
    if not factor > 0 or not np.isfinite(factor):
        raise UsageError(f"a channel can be scaled by a positive number, not {factor}")
    network = keras.models.clone_model(model.keras_model)
    network.set_weights(model.keras_model.get_weights())
    copy = replace(model, keras_model=network)
    flat = flatten(copy)
    step = flat.steps.get(layer)
    if step is None:
        raise UsageError(f"{model.name} has no layer '{layer}'; name one that `explain` knows")
    step = _with_norm(flat, step)
    if not 0 <= channel < step.output.shape[-1]:
        raise UsageError(f"'{layer}' has {step.output.shape[-1]} channels, none is {channel}")
    readers = list(_readers(flat, step.output, layer))
    if not readers:
        raise UsageError(f"no weights read what '{layer}' gives, so nothing can divide it again")
    _scale_output(step.layer, channel, factor)
    for reader in readers:
        _scale_input(reader, channel, 1 / factor)
    return copy


def _with_norm(flat: FlatNetwork, step: Step) -> Step:
    """Return the batch norm that alone follows a step, or the step itself."""
    after = [one for one in flat.steps.values() if _reads(one, step.output)]
    if len(after) == 1 and type(after[0].layer).__name__ == "BatchNormalization":
        return after[0]
    return step


def _reads(step: Step, tensor: Any) -> bool:
    # Symbolic tensors compare to tensors; only identity says whether they are the same.
    return any(one is tensor for one in step.inputs)


def _readers(flat: FlatNetwork, tensor: Any, first: str) -> Iterator[Any]:
    """Yield the weighted layers that read a tensor, itself or behind layers that pass a factor."""
    for step in flat.steps.values():
        if not _reads(step, tensor):
            continue
        kind = type(step.layer).__name__
        if kind in ("Conv2D", "DepthwiseConv2D", "Dense"):
            if getattr(step.layer, "groups", 1) != 1:
                raise UsageError(f"'{step.name}' reads '{first}' in groups; choose another layer")
            yield step.layer
        elif kind in _SCALING and _passes_factor(step.layer):
            yield from _readers(flat, step.output, first)
        else:
            raise UsageError(
                f"'{step.name}' ({kind}) reads '{first}' and passes no factor on; choose a layer "
                "that goes into a convolution directly, or through ReLU or pooling"
            )


def _passes_factor(layer: Any) -> bool:
    if type(layer).__name__ == "ReLU":
        return layer.max_value is None and not layer.threshold
    if type(layer).__name__ == "Activation":
        activations = load_keras().activations
        return layer.activation in (activations.relu, activations.linear)
    return True


def _scale_output(layer: Any, channel: int, factor: float) -> None:
    kind = type(layer).__name__
    if kind == "BatchNormalization":
        if layer.gamma is None or layer.beta is None:
            raise UsageError(f"'{layer.name}' has no scale of its own; choose another layer")
        for variable in (layer.gamma, layer.beta):
            _scale(variable, (channel,), factor)
        return
    if kind not in ("Conv2D", "DepthwiseConv2D", "Dense"):
        raise UsageError(f"'{layer.name}' is a {kind}; choose a convolution or a dense layer")
    _refuse_activation(layer)
    kernel: tuple[Any, ...] = (..., channel)
    if kind == "DepthwiseConv2D":
        each = layer.kernel.shape[3]
        kernel = (slice(None), slice(None), channel // each, channel % each)
    _scale(layer.kernel, kernel, factor)
    if layer.use_bias:
        _scale(layer.bias, (channel,), factor)


def _refuse_activation(layer: Any) -> None:
    activations = load_keras().activations
    if layer.activation not in (activations.relu, activations.linear):
        raise UsageError(f"'{layer.name}' has an activation that passes no factor on")


def _scale_input(layer: Any, channel: int, factor: float) -> None:
    where = (channel,) if len(layer.kernel.shape) == 2 else (slice(None), slice(None), channel)
    _scale(layer.kernel, where, factor)


def _scale(variable: Any, where: tuple[Any, ...], factor: float) -> None:
    values = variable.numpy().copy()
    values[where] *= factor
    variable.assign(values)

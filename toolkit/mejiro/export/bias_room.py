"""Widen the weights' ranges of channels that hardly weigh anything, so that their biases fit.

A bias is stored as int32 in steps of the input's scale times the channel's. Where training has
left a channel with next to no weights that step is so small that the bias does not fit: it is
cut, and its sign may turn. A wider step costs such weights nothing that could be seen.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mejiro.export.flatbuffer import Operator, TFLiteFile

# Half of what int32 holds, since kernels add products to it.
BIAS_LIMIT = 2.0**30
WEIGHT_STEPS = 127
# Which axis of the kernel is the output's.
_CHANNEL_AXIS = {"CONV_2D": 0, "DEPTHWISE_CONV_2D": 3, "FULLY_CONNECTED": 0, "TRANSPOSE_CONV": 0}


def least_bound(bias: Any, input_scale: Any) -> Any:
    """Return what the greatest weight of a channel must count as for its `bias` to fit."""
    return abs(bias) * (WEIGHT_STEPS / BIAS_LIMIT) / input_scale


def widened_kernels(
    file: TFLiteFile,
    operators: Iterable[Operator],
    ranges: Mapping[str, Mapping[str, NDArray[Any]]],
    *,
    symmetric: bool,
) -> dict[str, dict[str, NDArray[np.float32]]]:
    """Return the ranges of the float kernels of `operators`, to be int8, that must be widened.

    `ranges` has the "min" and "max" of the operators' inputs. Each range returned has the rank of
    its kernel, with one value a channel, and is symmetric; most files need none.
    """
    widened: dict[str, dict[str, NDArray[np.float32]]] = {}
    for operator in operators:
        if operator.name not in _CHANNEL_AXIS or len(operator.inputs) < 3:
            continue
        entry, kernel, bias = (file.tensor(index) for index in operator.inputs[:3])
        if not (kernel.constant and bias.constant and entry.name in ranges):
            continue
        values = file.values(operator.inputs[1])
        axis = _CHANNEL_AXIS[operator.name]
        others = tuple(place for place in range(values.ndim) if place != axis)
        bound = np.abs(values).max(axis=others, keepdims=True)
        scale = _scale(ranges[entry.name], symmetric=symmetric)
        needed = least_bound(file.values(operator.inputs[2]), scale).reshape(bound.shape)
        if (needed > bound).any():
            bound = np.maximum(bound, needed).astype(np.float32)
            widened[kernel.name] = {"min": -bound, "max": bound}
    return widened


def _scale(ends: Mapping[str, NDArray[Any]], *, symmetric: bool) -> float:
    low, high = float(ends["min"].min()), float(ends["max"].max())
    step = max(-low, high) / 127 if symmetric else (high - low) / 255
    return max(step, 1e-12)

"""Bring the channels of a network to like ranges, so that one scale serves them all.

Nagel et al. 2019, "Data-Free Quantization Through Weight Equalization and Bias Correction"
(arXiv:1906.04721, section 4.1), take s = sqrt(r1 r2) / r2 for the ranges r1, r2 of a channel's
weights in the layer that writes it and the one that reads it. Weights have a scale for each output
channel here, so that r1 costs nothing there; activations have one scale for all channels. The
activation's reach on calibration pictures takes the place of r1, as in SmoothQuant (Xiao et al.
2023, arXiv:2211.10438), and r2 is counted in each output channel's own greatest weight.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mejiro.export.flatbuffer import Operator, TFLiteFile
from mejiro.quality.diagnose.tally import Moments
from mejiro.quality.repair.groups import Group, channel_groups

Scales = NDArray[np.float64]

# Beyond, a channel is noise, and float32 itself would begin to tell.
_FURTHEST = 2.0**16


@dataclass(frozen=True)
class Equalized:
    """Hold an equalized float file, how many groups of channels it has, and the widest factor.

    `widest` is the greatest factor of a channel over the middle one's of its group.
    """

    file: bytes
    groups: int
    widest: float


def equalize(source: bytes, moments: Mapping[int, Moments]) -> Equalized:
    """Return the float file `source` with like channels, computing what it did.

    `moments` are what its tensors hold on calibration pictures, by their places.
    """
    file = TFLiteFile(source)
    operators = file.operators
    groups, widest = 0, 1.0
    for group in channel_groups(file):
        scales = _scales(file, operators, group, moments)
        if scales is None:
            continue
        rescale(file, operators, group, scales)
        groups += 1
        widest = max(widest, float(scales.max()), float(1 / scales.min()))
    return Equalized(file.to_bytes() if groups else source, groups, widest)


def _scales(
    file: TFLiteFile, operators: Sequence[Operator], group: Group, moments: Mapping[int, Moments]
) -> Scales | None:
    """Return what each channel is to be divided by; None if nothing is known of the group."""
    seen = [moments[place].reach for place in group.tensors if place in moments]
    reaches = [reach for reach in seen if len(reach) == group.channels]
    if not reaches:
        return None
    wanted = np.max(reaches, axis=0)
    # A depthwise kernel has a scale for each channel that it reads: to it all are as loud.
    readers = [operators[place] for place in group.readers]
    full = [one for one in readers if one.name != "DEPTHWISE_CONV_2D"]
    if full:
        loudest = np.max([_heard(file, one, group.channels) for one in full], axis=0)
        wanted = np.sqrt(np.divide(wanted, loudest, out=np.zeros_like(wanted), where=loudest > 0))
    known = wanted > 0
    if not known.any():
        return None
    scales = np.where(known, wanted, 1.0)
    # Around the middle, so that the numbers stay of the size that they had.
    scales[known] /= np.exp(np.median(np.log(scales[known])))
    return np.clip(scales, 1 / _FURTHEST, _FURTHEST)


def _heard(file: TFLiteFile, reader: Operator, channels: int) -> Scales:
    """Return how loud a reader hears each channel: 1 where a weight is the greatest of its row."""
    kernel = np.abs(file.values(reader.inputs[1])).astype(np.float64)
    rows = kernel.reshape(kernel.shape[0], -1, channels).max(axis=1)
    most = rows.max(axis=1, keepdims=True)
    shares = np.divide(rows, most, out=np.zeros_like(rows), where=most > 0)
    return np.asarray(shares.max(axis=0))


def rescale(file: TFLiteFile, operators: Sequence[Operator], group: Group, scales: Scales) -> None:
    """Divide the channels of a group by `scales` where they are written, and make up for it."""
    for place in group.writers:
        operator = operators[place]
        _multiply(file, place, 1, _at_output(operator, 1 / scales, _rank(file, operator)))
        if len(operator.inputs) > 2:
            _multiply(file, place, 2, 1 / scales)
    for place in group.readers:
        operator = operators[place]
        each = file.tensor(operator.inputs[1]).shape[-1] // group.channels
        _multiply(file, place, 1, np.repeat(scales, each))


def _rank(file: TFLiteFile, operator: Operator) -> int:
    return len(file.tensor(operator.inputs[1]).shape)


def _at_output(operator: Operator, scales: Scales, rank: int) -> NDArray[Any]:
    """Return `scales` shaped to go with a kernel's output channels."""
    if operator.name == "DEPTHWISE_CONV_2D":
        return scales
    return scales.reshape(-1, *[1] * (rank - 1))


def _multiply(file: TFLiteFile, operator: int, at: int, factors: NDArray[Any]) -> None:
    # What the operator has now, which another group may have changed.
    values = file.values(file.operators[operator].inputs[at])
    file.give_constant(operator, at, np.asarray(values * factors, np.float32))

"""Amend the biases of a float file: against the shift that rounded weights make, and to absorb.

Both are of Nagel et al. 2019 (arXiv:1906.04721): bias correction of its section 4.2, with the
means seen on calibration pictures (its appendix D), and bias absorption of section 4.1.3.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mejiro.export.flatbuffer import Operator, TFLiteFile
from mejiro.quality.diagnose.comparison import pair_layers
from mejiro.quality.diagnose.network import Network
from mejiro.quality.diagnose.tally import Moments
from mejiro.quality.repair.groups import WEIGHTED, has_weights, reads_channels

Shift = NDArray[np.float64]


def correct_biases(
    source: bytes, quantized: bytes, moments: Mapping[int, Moments]
) -> tuple[bytes, int]:
    """Return the float file `source` with other biases, and how many layers got some.

    `quantized` is what it was quantized to. Rounded weights give each output channel a mean that
    is off by their error times the mean of the input, which its bias takes away again. `moments`
    are those of the tensors of `source` on calibration pictures, by their places.
    """
    file = TFLiteFile(source)
    rounded = _rounded_kernels(source, quantized)
    corrected = 0
    for place, operator in enumerate(file.operators):
        kernel, seen = rounded.get(operator.outputs[0]), moments.get(operator.inputs[0])
        if kernel is None or seen is None or len(operator.inputs) < 3:
            continue
        if not (has_weights(file, operator) and reads_channels(file, operator)):
            continue
        error = kernel - file.values(operator.inputs[1])
        shift = answer_to(operator, error, seen.mean)
        if shift.any():
            _add_to_bias(file, place, -shift)
            corrected += 1
    return file.to_bytes(), corrected


def _rounded_kernels(source: bytes, quantized: bytes) -> dict[int, NDArray[np.float32]]:
    """Return the kernels of a quantized file as numbers, by the places of the float outputs."""
    with tempfile.TemporaryDirectory(prefix="mejiro-repair.") as folder:
        paths = [Path(folder) / name for name in ("quantized.tflite", "float.tflite")]
        for path, data in zip(paths, (quantized, source), strict=True):
            path.write_bytes(data)
        network, floats = (Network(path) for path in paths)
    found = {}
    for pair in pair_layers(network, floats)[0]:
        weights = network.weights(pair.quantized)
        alike = pair.quantized.name == pair.floats.name
        if weights is not None and alike and network.grid(weights) is not None:
            found[pair.float_output] = network.floats(weights)
    return found


def answer_to(operator: Operator, kernel: NDArray[np.float32], given: Shift) -> Shift:
    """Return what a weighted operator makes of an input that is `given` (channels,) everywhere.

    As far from the edges as its kernel reaches: padding is not counted.
    """
    if operator.name == "DEPTHWISE_CONV_2D":
        taps = kernel.reshape(-1, kernel.shape[-1]).sum(axis=0, dtype=np.float64)
        return np.asarray(taps * np.repeat(given, taps.size // given.size))
    rows = kernel.reshape(kernel.shape[0], -1, kernel.shape[-1])
    return np.asarray(rows.sum(axis=1, dtype=np.float64) @ given)


def absorb_biases(source: bytes, moments: Mapping[int, Moments]) -> tuple[bytes, int]:
    """Return the float file `source` with narrower activations, and how many of them there are.

    What a channel never falls below, behind a ReLU, and the middle of what it takes, without
    one, moves on into the biases of the layers that read it. That is exact where nothing pads
    with zeros, and behind a ReLU for values no lower than those seen.
    """
    file = TFLiteFile(source)
    operators = file.operators
    ends = file.places_of_ends()
    absorbed = 0
    for place, operator in enumerate(operators):
        if not _has_bias(file, operator) or operator.outputs[0] in ends:
            continue
        readers = _exact_readers(file, operators, operator.outputs[0])
        seen = moments.get(operator.outputs[0])
        if not readers or seen is None:
            continue
        moved = _movable(operator.activation, seen)
        if not moved.any():
            continue
        _add_to_bias(file, place, -moved)
        for reader in readers:
            kernel = file.values(operators[reader].inputs[1])
            _add_to_bias(file, reader, answer_to(operators[reader], kernel, moved))
        absorbed += 1
    return file.to_bytes() if absorbed else source, absorbed


def _movable(activation: str, seen: Moments) -> Shift:
    if activation == "RELU":
        return np.maximum(seen.lowest, 0.0)
    if activation == "NONE":
        return np.asarray((seen.lowest + seen.highest) / 2)
    return np.zeros(seen.channels)


def _exact_readers(file: TFLiteFile, operators: Sequence[Operator], place: int) -> list[int]:
    """Return the places of what reads a tensor, if all of it has biases and pads nothing."""
    readers = [number for number, one in enumerate(operators) if place in one.inputs]
    for number in readers:
        one = operators[number]
        if not (_has_bias(file, one) and one.inputs[0] == place and reads_channels(file, one)):
            return []
        if one.padding == "SAME" and set(_window(file, one)) != {1}:
            return []
    return readers


def _window(file: TFLiteFile, operator: Operator) -> tuple[int, ...]:
    return file.tensor(operator.inputs[1]).shape[1:3]


def _has_bias(file: TFLiteFile, operator: Operator) -> bool:
    return operator.name in WEIGHTED and len(operator.inputs) > 2 and has_weights(file, operator)


def _add_to_bias(file: TFLiteFile, operator: int, shift: Shift) -> None:
    bias = file.values(file.operators[operator].inputs[2])
    file.give_constant(operator, 2, np.asarray(bias + shift, np.float32))

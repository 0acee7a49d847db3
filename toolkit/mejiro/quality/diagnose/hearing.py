"""Tell how strongly a network hears each channel of a tensor: by the weights that read it.

An error in a channel matters as much as the next layers listen to that channel. Weighed by their
weights, a ratio of signal to error stays what it is when a channel is scaled up and the weights
that read it are scaled down, which changes nothing in float (Nagel et al. 2019, "Data-Free
Quantization Through Weight Equalization and Bias Correction").
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from mejiro.export.flatbuffer import Operator
from mejiro.quality.diagnose.network import Network
from mejiro.quality.diagnose.tally import Moments, Sums

# What keeps channels apart, and each channel's sign and size more or less.
_PASSING = frozenset(
    {
        "AVERAGE_POOL_2D", "DEQUANTIZE", "HARD_SWISH", "LEAKY_RELU", "LOGISTIC", "MAXIMUM",
        "MAX_POOL_2D", "MINIMUM", "PAD", "PADV2", "PRELU", "QUANTIZE", "RELU", "RELU6", "RESHAPE",
        "RELU_N1_TO_1", "RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR", "SQUEEZE", "SUB",
    }
)  # fmt: skip
# Beside another reader these say little: a sum is read again, a mean hears no rounding.
_FAINT = frozenset({"ADD", "MEAN"})


@dataclass(frozen=True)
class Listener:
    """Hold one reader of a tensor: how loud it hears each channel, and what else it hears.

    `signal` is the place of the tensor that it really reads, where errors of several are summed.
    """

    gains: Sums
    signal: int | None = None


class Hearing:
    """Find the listeners of a float network's tensors; `moments` are those of its tensors."""

    def __init__(self, network: Network, moments: Mapping[int, Moments]) -> None:
        self._network = network
        self._moments = moments
        self._known: dict[int, list[Listener]] = {}

    def ratio(self, place: int, errors: Sums) -> float:
        """Return the share of error in the power of what the worst listener hears.

        `errors` are mean squares by channel. Where no weights read a tensor, all channels count
        alike. Infinite if there is an error and no signal.
        """
        listeners = self.listeners(place) or [Listener(np.ones(len(errors)))]
        return max(self._share(place, errors, one) for one in listeners)

    def _share(self, place: int, errors: Sums, listener: Listener) -> float:
        signal = self._moments.get(place if listener.signal is None else listener.signal)
        power = (self._moments[place] if signal is None else signal).power
        heard, noise = float(power @ listener.gains), float(errors @ listener.gains)
        if heard <= 0:
            return float("inf") if noise > 0 else 0.0
        return noise / heard

    def listeners(self, place: int) -> list[Listener]:
        """Return what reads the tensor with weights, itself or through operators without."""
        if place not in self._known:
            self._known[place] = []
            readers = self._network.readers.get(place, [])
            loud = [one for one in readers if one.name not in _FAINT]
            found = [listener for one in loud for listener in self._through(place, one)]
            if not found:
                faint = [one for one in readers if one.name in _FAINT]
                found = [listener for one in faint for listener in self._through(place, one)]
            self._known[place] = found
        return self._known[place]

    def _through(self, place: int, reader: Operator) -> list[Listener]:
        """Return the listeners behind one reader of the tensor."""
        channels, output = self._channels(place), reader.outputs[0]
        if reader.name in ("CONV_2D", "FULLY_CONNECTED", "DEPTHWISE_CONV_2D"):
            return self._weighted(place, reader, channels)
        if reader.name == "ADD":
            behind = self.listeners(output)
            same = self._channels(output) == channels
            return [
                Listener(one.gains, output if one.signal is None else one.signal)
                for one in behind
                if same
            ]
        if reader.name == "CONCATENATION":
            return self._joined(place, reader, channels)
        if reader.name == "MUL":
            factor = self._other_power(place, reader, channels)
            return [Listener(gains * factor) for gains in self._fitting(output, channels)]
        if reader.name in _PASSING or reader.name == "MEAN":
            return [Listener(gains) for gains in self._fitting(output, channels)]
        return []

    def _weighted(self, place: int, reader: Operator, channels: int) -> list[Listener]:
        network = self._network
        weights_place = network.weights(reader)
        if weights_place is None or network.activations(reader)[0] != place:
            return []
        squares = network.floats(weights_place).astype(np.float64) ** 2
        if reader.name == "DEPTHWISE_CONV_2D":
            gains = squares.reshape(-1, squares.shape[-1]).sum(axis=0)
            each = gains.reshape(channels, -1)
            behind = self._fitting(reader.outputs[0], gains.size)
            return [
                Listener((each * after.reshape(each.shape)).sum(axis=1)) for after in behind
            ] or [Listener(each.sum(axis=1))]
        outputs, inputs = squares.shape[0], squares.shape[-1]
        groups = max(1, channels // inputs)
        gains = squares.reshape(groups, outputs // groups, -1, inputs).sum(axis=(1, 2)).ravel()
        folded = _fold(gains, channels)
        return [] if folded is None else [Listener(folded)]

    def _fitting(self, place: int, channels: int) -> list[Sums]:
        """Return the gains of a tensor's listeners for one with `channels` that became it."""
        folded = (_fold(one.gains, channels) for one in self.listeners(place))
        return [gains for gains in folded if gains is not None]

    def _joined(self, place: int, reader: Operator, channels: int) -> list[Listener]:
        """Return the listeners of a concatenation for the part that the tensor is of it."""
        sizes = [self._channels(one) for one in reader.inputs]
        if sum(sizes) != self._channels(reader.outputs[0]):
            return []
        start = sum(sizes[: reader.inputs.index(place)])
        behind = self.listeners(reader.outputs[0])
        return [Listener(one.gains[start : start + channels]) for one in behind]

    def _other_power(self, place: int, reader: Operator, channels: int) -> Sums:
        """Return the mean square by channel of what a product multiplies the tensor with."""
        others = [one for one in reader.inputs if one != place]
        if not others:
            return np.ones(channels)
        if self._network.is_constant(others[0]):
            values = self._network.floats(others[0]).astype(np.float64) ** 2
            power = values.reshape(-1, values.shape[-1] if values.ndim else 1).mean(axis=0)
        elif others[0] in self._moments:
            power = self._moments[others[0]].power
        else:
            return np.ones(channels)
        return np.asarray(np.broadcast_to(power, channels) if power.size == 1 else power)

    def _channels(self, place: int) -> int:
        shape = self._network.file.tensor(place).shape
        return shape[-1] if len(shape) > 1 else 1


def _fold(gains: Sums, channels: int) -> Sums | None:
    """Return gains of a flattened tensor, summed over places; None if the channels do not fit."""
    if gains.size % channels:
        return None
    return np.asarray(gains.reshape(-1, channels).sum(axis=0))

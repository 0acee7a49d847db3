"""Hold what a diagnosis found: each layer's figures, its likely causes, and its rank."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any

# A ratio in decibels is told as no more than this; beyond it float32 itself has an error.
EXACT_DB = 120.0


class CauseKind(str, Enum):
    """Name what may make a layer lose by quantization."""

    DEAD_RANGE = "dead range"
    HUGE_CHANNEL = "huge channel"
    SWISH_TAIL = "swish tail"
    SATURATION = "saturation"
    UNEQUAL_WEIGHTS = "unequal weights"
    WEIGHTS = "weights"
    SHIFT = "shift"
    INHERITED = "inherited"


@dataclass(frozen=True)
class Cause:
    """Hold one likely cause: its kind for programs, and a sentence with the figures for people."""

    kind: CauseKind
    words: str

    def to_json(self) -> dict[str, str]:
        """Return plain JSON values."""
        return {"kind": self.kind.value, "words": self.words}


@dataclass(frozen=True)
class Alone:
    """Hold what one layer costs: the float network with this layer alone rounded, scored.

    `lost` is in points: of top-1 against float, or of first answers that differ from float's where
    the pictures have no labels. `agreement` is the share of first answers equal to float's.
    """

    lost: float
    agreement: float


@dataclass(frozen=True)
class Noise:
    """Hold ratios of signal to error in decibels, each at most EXACT_DB.

    `plain` weighs all values alike. The others weigh each channel as strongly as the layers that
    read it do: `heard` is all error in the layer's output, `given` that in its worst input, and
    `own` what rounding this layer's output and weights adds. `rounding` and `weights` are parts of
    `own`; `weights` is None for a layer without. `forced` is a third part where one channel is so
    large that the next layer's weights for it round to nothing; None where that does not happen.
    """

    plain: float
    heard: float
    given: float
    own: float
    rounding: float
    weights: float | None
    forced: float | None = None


@dataclass(frozen=True)
class Spread:
    """Hold how a layer's values fill what the file can tell.

    `used` is the share of the quantized range between the least and the greatest value seen,
    `bulk` that which 99.9% of the values need, `saturated` the share of values cut off at a limit.
    `channels` is the reach of the widest channel, which is `widest`, over the median one's;
    `weights` the same of the weights of each output channel, None for a layer without.
    """

    used: float
    bulk: float
    saturated: float
    channels: float
    widest: int
    weights: float | None


@dataclass(frozen=True)
class LayerFindings:
    """Hold what is known of one layer of a quantized file.

    `place` counts the compared layers in running order from 0. `name` is the Keras layer's as far
    as it can be told, `tensor` the name of the layer's output in the float TFLite file, which
    tells one layer from all others. `operator` and `precision` are the quantized file's.
    """

    place: int
    name: str
    tensor: str
    operator: str
    precision: str
    shape: tuple[int, ...]
    noise: Noise
    cosine: float
    spread: Spread
    causes: tuple[Cause, ...] = ()
    alone: Alone | None = None

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        noise, spread = self.noise, self.spread
        return {
            "place": self.place,
            "name": self.name,
            "tensor": self.tensor,
            "operator": self.operator,
            "precision": self.precision,
            "shape": list(self.shape),
            "sqnr_db": noise.plain,
            "heard_db": noise.heard,
            "given_db": noise.given,
            "own_db": noise.own,
            "rounding_db": noise.rounding,
            "weights_db": noise.weights,
            "forced_db": noise.forced,
            "cosine": self.cosine,
            "range_used": spread.used,
            "bulk_used": spread.bulk,
            "saturated": spread.saturated,
            "channel_spread": spread.channels,
            "widest_channel": spread.widest,
            "weight_spread": spread.weights,
            "causes": [cause.to_json() for cause in self.causes],
            "alone": None
            if self.alone is None
            else {"lost": self.alone.lost, "agreement": self.alone.agreement},
        }


@dataclass(frozen=True)
class Scored:
    """Hold how the float export and the file answered the same pictures, through the runtime.

    The shares of right answers are None where the pictures have no labels.
    """

    pictures: int
    float_top1: float | None
    top1: float | None
    agreement: float

    @property
    def lost(self) -> float:
        """Points lost against float: of top-1, or of equal answers where there are no labels."""
        if self.float_top1 is None or self.top1 is None:
            return 100 * (1 - self.agreement)
        return 100 * (self.float_top1 - self.top1)

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "pictures": self.pictures,
            "float_top1": self.float_top1,
            "top1": self.top1,
            "agreement": self.agreement,
            "lost": self.lost,
        }


@dataclass(frozen=True)
class Diagnosis:
    """Hold what was found of one file: its layers, worst first.

    `pictures` were compared layer by layer, from `data`. `unmatched` names the tensors of the file
    that no tensor of the float network could be found for. `scored` is None if nothing was scored.
    """

    file: str
    model: str
    data: str
    pictures: int
    layers: tuple[LayerFindings, ...]
    unmatched: tuple[str, ...] = ()
    scored: Scored | None = None

    @property
    def in_order(self) -> tuple[LayerFindings, ...]:
        """The layers in running order."""
        return tuple(sorted(self.layers, key=lambda layer: layer.place))

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "file": self.file,
            "model": self.model,
            "data": self.data,
            "pictures": self.pictures,
            "scored": self.scored and self.scored.to_json(),
            "layers": [layer.to_json() for layer in self.layers],
            "unmatched": list(self.unmatched),
        }

"""Name in words what probably makes a layer lose by quantization, from its figures.

The thresholds stand here, each with its reason. A layer may have several causes or none.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from mejiro.quality.diagnose.network import Grid
from mejiro.report.diagnosis.findings import Cause, CauseKind, Noise, Spread

# 99.9% of the values in less than an eighth of the range: three of eight bits serve outliers alone.
DEAD_BELOW = 0.125
# The median channel is left with 256 / 10 levels, which is less than five bits.
HUGE_CHANNEL_FROM = 10.0
# The negative part of swish goes down to -0.2785, of hard-swish to -0.375; it is the same size in
# any layer, so few levels are left for it where the positive side is long.
SWISH_LOWEST = {"MUL": -0.2785, "HARD_SWISH": -0.375}
SWISH_LEVELS = 16
# Beyond a thousandth, what is cut off is no single outlier any more.
SATURATED_FROM = 0.001
# Depthwise filters that differ so much make channels that differ so much.
UNEQUAL_FROM = 10.0
# Sixty layers that each add an error of 35 dB have one of 17 dB together; from there on down it is
# worth knowing what a layer's error is made of.
NOTABLE_BELOW_DB = 35.0
# The weights' part of the layer's own error, beside the rounding of its output.
WEIGHTS_FROM = 0.5
# The part of the weights' error in those that read one channel of the input. They are so much
# smaller than the others that they round to nothing, because that channel is so much larger.
ONE_INPUT_FROM = 0.5
# The part of the error that is one constant for each channel, which a bias can take away.
SHIFT_FROM = 0.3
# The layer's own part of the error in its output; the rest came in with its inputs.
OWN_BELOW = 0.25


@dataclass(frozen=True)
class Evidence:
    """Hold what the rules look at; `lowest` and `highest` are the float output's limits."""

    operator: str
    grid: Grid | None
    noise: Noise
    spread: Spread
    lowest: float
    highest: float
    shift_share: float
    by_channel: bool
    loudest_input: int = 0
    loudest_share: float = 0.0


def likely_causes(evidence: Evidence) -> tuple[Cause, ...]:
    """Return the likely causes, those that the layer itself holds first."""
    found = [rule(evidence) for rule in RULES]
    return tuple(cause for cause in found if cause is not None)


def _saturation(evidence: Evidence) -> Cause | None:
    share, grid = evidence.spread.saturated, evidence.grid
    if grid is None or share < SATURATED_FROM:
        return None
    low, high = grid.limits
    return Cause(
        CauseKind.SATURATION,
        f"{_percent(share)} of the values are cut off at {low:.3g} or {high:.3g}, float goes from "
        f"{evidence.lowest:.3g} to {evidence.highest:.3g}: the calibration pictures did not show "
        "such values, or its method left them out",
    )


def _huge_channel(evidence: Evidence) -> Cause | None:
    spread = evidence.spread
    if evidence.grid is None or spread.channels < HUGE_CHANNEL_FROM:
        return None
    levels = evidence.grid.levels / spread.channels
    return Cause(
        CauseKind.HUGE_CHANNEL,
        f"channel {spread.widest} reaches {spread.channels:.3g} times as far as the median "
        f"channel, which is left with about {levels:.2g} of {evidence.grid.levels} levels",
    )


def _dead_range(evidence: Evidence) -> Cause | None:
    spread = evidence.spread
    if evidence.grid is None or spread.bulk >= DEAD_BELOW:
        return None
    why = "outliers set the rest" if spread.used > 2 * spread.bulk else "nothing came near the rest"
    return Cause(
        CauseKind.DEAD_RANGE,
        f"99.9% of the values need {_percent(spread.bulk)} of the quantized range: {why}",
    )


def _swish_tail(evidence: Evidence) -> Cause | None:
    floor, grid = SWISH_LOWEST.get(evidence.operator), evidence.grid
    if grid is None or floor is None:
        return None
    lowest = evidence.lowest
    # Whoever comes as close to the least value that there can be has passed through it.
    if not 1.01 * floor < lowest < 0.9 * floor:
        return None
    levels = -lowest / float(grid.scale[0])
    if levels >= SWISH_LEVELS:
        return None
    return Cause(
        CauseKind.SWISH_TAIL,
        f"a swish: its negative values, down to {lowest:.3g}, share {levels:.2g} levels, because "
        f"its positive tail reaches {evidence.highest:.3g}",
    )


def _unequal_weights(evidence: Evidence) -> Cause | None:
    spread = evidence.spread.weights
    if spread is None or spread < UNEQUAL_FROM or evidence.operator != "DEPTHWISE_CONV_2D":
        return None
    scales = (
        "each has a scale of its own, but their outputs share one"
        if evidence.by_channel
        else "and all share one scale"
    )
    return Cause(
        CauseKind.UNEQUAL_WEIGHTS,
        f"the strongest depthwise filter is {spread:.3g} times the median one; {scales}",
    )


def _weights(evidence: Evidence) -> Cause | None:
    noise = evidence.noise
    if noise.own > NOTABLE_BELOW_DB or noise.weights is None:
        return None
    if noise.weights - noise.own > _decibels(WEIGHTS_FROM):
        return None
    part = 10 ** ((noise.own - noise.weights) / 10)
    words = f"rounded weights make about {_percent(min(part, 1.0))} of the layer's own error"
    if evidence.loudest_share >= ONE_INPUT_FROM:
        words += (
            f", {_percent(evidence.loudest_share)} of it in those that read channel "
            f"{evidence.loudest_input} of its input"
        )
    return Cause(CauseKind.WEIGHTS, words)


def _shift(evidence: Evidence) -> Cause | None:
    share = evidence.shift_share
    if evidence.noise.own > NOTABLE_BELOW_DB or share < SHIFT_FROM:
        return None
    return Cause(
        CauseKind.SHIFT,
        f"{_percent(share)} of the error is a constant for each channel, which bias correction "
        "can take away",
    )


def _inherited(evidence: Evidence) -> Cause | None:
    noise = evidence.noise
    if noise.own - noise.heard < _decibels(OWN_BELOW):
        return None
    return Cause(
        CauseKind.INHERITED,
        f"most of its error came in with its inputs: its own would leave {noise.own:.1f} dB, it "
        f"has {noise.heard:.1f} dB",
    )


RULES = (
    _saturation,
    _huge_channel,
    _dead_range,
    _swish_tail,
    _unequal_weights,
    _weights,
    _shift,
    _inherited,
)


def _decibels(part: float) -> float:
    """Return how many dB lie between a whole error and this part of its power."""
    return -10 * math.log10(part)


def _percent(share: float) -> str:
    return f"{100 * share:.3g}%"

"""Turn the sums of a comparison into findings, layer by layer, the worst first."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from mejiro.quality.diagnose.causes import (
    HUGE_CHANNEL_FROM,
    ONE_INPUT_FROM,
    Evidence,
    likely_causes,
)
from mejiro.quality.diagnose.comparison import Comparison, Pair
from mejiro.quality.diagnose.hearing import Hearing
from mejiro.quality.diagnose.names import layer_name
from mejiro.quality.diagnose.network import MOVES, Network
from mejiro.quality.diagnose.tally import Tally
from mejiro.quality.diagnose.weights import WeightError, over_median, weight_error, weight_spread
from mejiro.report.diagnosis.findings import EXACT_DB, LayerFindings, Noise, Spread


@dataclass
class _Shares:
    """Hold shares of error in one layer's signal, as the next layers hear it; see `Noise`."""

    total: float
    rounding: float
    weights: float | None
    own: float
    forced: float = 0.0
    altered: WeightError | None = None


def find(comparison: Comparison, names: Collection[str]) -> tuple[LayerFindings, ...]:
    """Return the findings of all layers, those that add most error of their own first.

    `names` are those of the Keras layers.
    """
    hearing = Hearing(comparison.floats, comparison.moments)
    shares = {pair.float_output: _shares(comparison, pair, hearing) for pair in comparison.pairs}
    for pair in comparison.pairs:
        _charge(comparison, pair, shares)
    found = [
        _layer(comparison, pair, place, shares, names)
        for place, pair in enumerate(comparison.pairs)
    ]
    return tuple(sorted(found, key=lambda layer: (layer.noise.own, layer.noise.heard)))


def _shares(comparison: Comparison, pair: Pair, hearing: Hearing) -> _Shares:
    place = pair.float_output
    tally = comparison.tallies[place]
    altered = _weight_error(comparison, pair)
    own, weights = tally.rounding, None
    if altered is not None:
        # An activation lets as much of an error through as of the signal.
        error = altered.by_output * tally.signal.active_share
        own, weights = own + error, hearing.ratio(place, error)
    return _Shares(
        total=hearing.ratio(place, tally.error),
        rounding=hearing.ratio(place, tally.rounding),
        weights=weights,
        own=hearing.ratio(place, own),
        altered=altered,
    )


def _weight_error(comparison: Comparison, pair: Pair) -> WeightError | None:
    floats = comparison.floats
    if floats.weights(pair.floats) is None or pair.floats.name != pair.quantized.name:
        return None
    given = comparison.moments[floats.activations(pair.floats)[0]]
    return weight_error((floats, pair.floats), (comparison.quantized, pair.quantized), given)


def _charge(comparison: Comparison, pair: Pair, shares: dict[int, _Shares]) -> None:
    """Charge the layer before with the error that its one huge channel makes in these weights.

    The weights that read such a channel are small beside the others of their output channel, with
    which they share a scale, and round to nothing: it is the layer before that must be repaired.
    """
    mine = shares[pair.float_output]
    if mine.altered is None or mine.weights is None or mine.altered.share < ONE_INPUT_FROM:
        return
    floats = comparison.floats
    place = _behind_moves(floats, floats.activations(pair.floats)[0], shares)
    if place is None:
        return
    reach = comparison.tallies[place].signal.reach
    if int(np.argmax(reach)) == mine.altered.channel and over_median(reach) >= HUGE_CHANNEL_FROM:
        shares[place].forced += mine.weights * mine.altered.share


def _behind_moves(network: Network, place: int, known: Collection[int]) -> int | None:
    """Return the place of the layer output that a tensor is, however it was moved; None if none."""
    while place not in known:
        maker = network.maker.get(place)
        if maker is None or maker.name not in MOVES:
            return None  # the picture itself, or a layer that could not be compared
        place = network.activations(maker)[0]
    return place


def _layer(
    comparison: Comparison,
    pair: Pair,
    place: int,
    shares: dict[int, _Shares],
    names: Collection[str],
) -> LayerFindings:
    floats, quantized = comparison.floats, comparison.quantized
    tally = comparison.tallies[pair.float_output]
    noise = _noise(comparison, pair, shares)
    spread = _spread(tally, weight_spread(floats, pair.floats))
    weights = quantized.weights(pair.quantized)
    altered = shares[pair.float_output].altered or WeightError(np.zeros(1))
    evidence = Evidence(
        operator=pair.quantized.name,
        grid=tally.grid,
        noise=noise,
        spread=spread,
        lowest=float(tally.signal.lowest.min()),
        highest=float(tally.signal.highest.max()),
        shift_share=tally.shift_share,
        by_channel=weights is None or quantized.file.tensor(weights).channels != 1,
        loudest_input=altered.channel,
        loudest_share=altered.share,
    )
    tensor = floats.file.tensor(pair.float_output)
    return LayerFindings(
        place=place,
        name=layer_name(tensor.name, names),
        tensor=tensor.name,
        operator=pair.quantized.name,
        precision=quantized.file.tensor(pair.output).dtype,
        shape=tensor.shape,
        noise=noise,
        cosine=tally.cosine,
        spread=spread,
        causes=likely_causes(evidence),
    )


def _noise(comparison: Comparison, pair: Pair, shares: dict[int, _Shares]) -> Noise:
    tally, mine = comparison.tallies[pair.float_output], shares[pair.float_output]
    totals = {one.output: shares[one.float_output].total for one in comparison.pairs}
    quantized = comparison.quantized
    sources = (
        _behind_moves(quantized, place, totals) for place in quantized.activations(pair.quantized)
    )
    given = [totals[place] for place in sources if place is not None]
    return Noise(
        plain=decibels(float(tally.error.sum() / max(tally.signal.power.sum(), 1e-30))),
        heard=decibels(mine.total),
        given=decibels(max(given, default=0.0)),
        own=decibels(mine.own + mine.forced),
        rounding=decibels(mine.rounding),
        weights=None if mine.weights is None else decibels(mine.weights),
        forced=decibels(mine.forced) if mine.forced > 0 else None,
    )


def _spread(tally: Tally, weights: float | None) -> Spread:
    reach = tally.signal.reach
    return Spread(
        used=tally.used,
        bulk=tally.bulk,
        saturated=tally.saturated,
        channels=over_median(reach),
        widest=int(np.argmax(reach)),
        weights=weights,
    )


def decibels(share: float) -> float:
    """Return a ratio of signal to error in dB, for the share of error in the signal's power."""
    if share <= 10 ** (-EXACT_DB / 10):
        return EXACT_DB
    return max(-EXACT_DB, -10 * math.log10(share)) if math.isfinite(share) else -EXACT_DB

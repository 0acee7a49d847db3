"""Say what a diagnosis found, in words and in short figures."""

from __future__ import annotations

from mejiro.report.diagnosis.findings import (
    EXACT_DB,
    Cause,
    CauseKind,
    Diagnosis,
    LayerFindings,
    Scored,
)
from mejiro.report.numbers import NOTHING, percent

# Half the power of all error that the layers add; then one layer is what to repair.
_MOST = 0.5


def decibels(value: float | None) -> str:
    """Return a ratio in dB to a tenth; "exact" where there is no error to speak of."""
    if value is None:
        return NOTHING
    return "exact" if value >= EXACT_DB else f"{value:.1f}"


def is_labelled(diagnosis: Diagnosis) -> bool:
    """Whether the pictures that were scored had labels."""
    return diagnosis.scored is not None and diagnosis.scored.float_top1 is not None


def own_share(diagnosis: Diagnosis, layer: LayerFindings) -> float:
    """Return the layer's part of the error that all layers add for themselves."""
    powers = {one.place: 10 ** (-one.noise.own / 10) for one in diagnosis.layers}
    total = sum(powers.values())
    return powers[layer.place] / total if total > 0 else 0.0


def lead_words(diagnosis: Diagnosis) -> str:
    """Return the finding in two or three sentences."""
    worst = diagnosis.layers[0]
    share = own_share(diagnosis, worst)
    words = [] if diagnosis.scored is None else [_whole_words(diagnosis.scored)]
    if share >= _MOST:
        words.append(
            f"One layer stands out: '{worst.name}' adds {percent(share)}% of the error that all "
            f"{len(diagnosis.layers)} layers add."
        )
    else:
        words.append(
            f"No single layer stands out: the worst, '{worst.name}', adds {percent(share)}% of the "
            f"error that all {len(diagnosis.layers)} layers add."
        )
    cause = own_cause(worst)
    if cause is not None:
        words.append(f"There, {cause.words}.")
    return " ".join(words)


def _whole_words(scored: Scored) -> str:
    pictures = f"on {scored.pictures} pictures"
    if scored.float_top1 is None or scored.top1 is None:
        return f"{percent(scored.agreement)}% of its first answers are those of float, {pictures}."
    return (
        f"It scores {percent(scored.top1)}% top-1 against {percent(scored.float_top1)}% in float, "
        f"{pictures}."
    )


def own_cause(layer: LayerFindings) -> Cause | None:
    """Return the first cause that lies in the layer itself."""
    return next((one for one in layer.causes if one.kind is not CauseKind.INHERITED), None)


def cause_words(layer: LayerFindings) -> str:
    """Return the kinds of a layer's causes, for a narrow column."""
    return ", ".join(cause.kind.value for cause in layer.causes)

"""Assemble the page of a diagnosis."""

from __future__ import annotations

from collections.abc import Sequence

from mejiro import __version__
from mejiro.report.diagnosis.figures import plot_layers
from mejiro.report.diagnosis.findings import Diagnosis, LayerFindings
from mejiro.report.diagnosis.words import decibels, is_labelled, lead_words, own_cause
from mejiro.report.elements import Cell, Column, Fact, Table, Tone, table
from mejiro.report.html import Page, render_page
from mejiro.report.numbers import NOTHING, percent

# More layers than these are listed below a fold.
_LISTED = 20


def diagnosis_page(diagnosis: Diagnosis) -> str:
    """Return the HTML of a diagnosis."""
    layers = diagnosis.layers
    return render_page(
        "diagnosis.html",
        package="mejiro.report.diagnosis",
        page=Page(
            title=f"{diagnosis.file} against {diagnosis.model}",
            kind="diagnosis",
            footer=f"Written by mejiro {__version__}. The same figures for programs: "
            "diagnosis.json.",
        ),
        content={
            "lead": lead_words(diagnosis),
            "facts": _facts(diagnosis),
            "figure": plot_layers(diagnosis),
            "causes": [
                (
                    layer.name,
                    "; ".join(f"{cause.kind.value}: {cause.words}" for cause in layer.causes),
                )
                for layer in layers[:_LISTED]
                if own_cause(layer) is not None
            ],
            "table": layer_table(diagnosis, layers[:_LISTED]),
            "rest": layer_table(diagnosis, layers[_LISTED:]) if len(layers) > _LISTED else None,
            "rest_count": len(layers) - _LISTED,
            "unmatched": diagnosis.unmatched,
        },
    )


def _facts(diagnosis: Diagnosis) -> list[Fact]:
    facts = [
        Fact(
            str(len(diagnosis.layers)),
            "",
            "layers compared",
            f"on {diagnosis.pictures} pictures of {diagnosis.data}",
        )
    ]
    scored = diagnosis.scored
    if scored is None:
        return facts
    facts.append(Fact(percent(scored.agreement), "%", "answers as in float"))
    if scored.float_top1 is not None and scored.top1 is not None:
        note = f"{percent(scored.float_top1)}% in float, {scored.pictures} pictures"
        facts.append(Fact(percent(scored.top1), "%", "top-1", note))
    return facts


def layer_table(diagnosis: Diagnosis, layers: Sequence[LayerFindings]) -> Table:
    """Return the figures of `layers`, in their order."""
    alone = Column("lost by it alone", "points" if is_labelled(diagnosis) else "%", numeric=True)
    return table(
        [
            Column("layer"),
            Column("own error", "dB", numeric=True),
            Column("all error", "dB", numeric=True),
            Column("given", "dB", numeric=True),
            Column("plain", "dB", numeric=True),
            Column("cosine", numeric=True),
            Column("range used", "%", numeric=True),
            Column("cut off", "%", numeric=True),
            Column("channels", "×", numeric=True),
            Column("weights", "×", numeric=True),
            alone,
        ],
        [_row(layer) for layer in layers],
        caption="Own error: signal to error that rounding this layer's weights and output adds; "
        "all error: in its output; given: in its input. In these three each channel counts as the "
        "next layers hear it, in “plain” all values count alike. Range used: by 99.9% of the "
        "values. Channels, weights: the widest channel's reach over the median one's. Lost by it "
        "alone: float with this layer alone rounded as the file rounds it; for the worst only.",
    )


def _row(layer: LayerFindings) -> list[Cell | str]:
    noise, spread = layer.noise, layer.spread
    lost = NOTHING if layer.alone is None else f"{layer.alone.lost:.1f}"
    bad = layer.alone is not None and layer.alone.lost >= 1.0
    return [
        Cell(layer.name, f"{layer.operator.lower()}, {layer.precision}, place {layer.place}"),
        decibels(noise.own),
        decibels(noise.heard),
        decibels(noise.given),
        decibels(noise.plain),
        f"{layer.cosine:.4f}",
        percent(spread.bulk),
        f"{100 * spread.saturated:.2f}",
        f"{spread.channels:.3g}",
        NOTHING if spread.weights is None else f"{spread.weights:.3g}",
        Cell(lost, tone=Tone.BAD if bad else Tone.PLAIN),
    ]

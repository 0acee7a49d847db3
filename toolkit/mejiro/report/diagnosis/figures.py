"""Draw the error of a quantized network, from its first layer to its last."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mejiro.report.diagnosis.findings import EXACT_DB, Diagnosis, LayerFindings
from mejiro.report.elements import Figure
from mejiro.report.palette import light
from mejiro.report.svg import Layout, draw_figure

HEARD, OWN, WORST = "sky", "leaf", "clay"
# Names of more layers than these would cover each other.
_NAMED = 3
# The height of a name, and a little.
_ROOM_DB = 8.0
# Nothing is gained by drawing how little error there is in what has almost none.
_CEILING_DB = 65.0
_FLOOR_DB = -10.0


def plot_layers(diagnosis: Diagnosis) -> Figure:
    """Return the signal over the error of each layer in running order, the worst ones named."""
    layers = diagnosis.in_order
    worst = [layer for layer in diagnosis.layers[:_NAMED] if layer.noise.own < EXACT_DB]

    def draw(figure: Any, layout: Layout) -> None:
        axes = figure.subplots()
        places = [layer.place for layer in layers]
        heard = [_within(layer.noise.heard) for layer in layers]
        axes.plot(
            places, heard, color=light(HEARD), linewidth=1.6, label="all error so far", zorder=2
        )
        own = [_within(layer.noise.own) for layer in layers]
        axes.scatter(places, own, s=20, color=light(OWN), label="the layer's own", zorder=3)
        axes.scatter(
            [layer.place for layer in worst],
            [_within(layer.noise.own) for layer in worst],
            s=90,
            facecolors="none",
            edgecolors=light(WORST),
            linewidths=2,
            label="worst",
            zorder=4,
        )
        if not layout.narrow:
            _name(axes, worst, len(layers))
        axes.set_xlabel("layer, in running order")
        axes.set_ylabel("signal to error, dB")
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(axis="y", color=light("rule"), linewidth=1)
        axes.set_axisbelow(True)
        figure.legend(
            loc="outside upper left",
            ncols=2 if layout.narrow else 3,
            handlelength=1.2,
            borderaxespad=0.0,
        )

    told = "; ".join(f"{layer.name} {layer.noise.own:.1f} dB" for layer in worst)
    return draw_figure(
        draw,
        lambda layout: 320 if layout.narrow else 340,
        name="layers",
        description=f"Signal to error of {len(layers)} layers in running order. Worst by their "
        f"own error: {told}.",
        caption="Higher is better. Dots are the error that rounding a layer itself adds, the line "
        "is all error in its output, that of earlier layers with it; both are weighed by how "
        "strongly the next layers hear each channel. 6 dB are one bit. Values beyond "
        f"{_FLOOR_DB:.0f} and {_CEILING_DB:.0f} dB stand at the edge.",
    )


def _within(value: float) -> float:
    return min(_CEILING_DB, max(_FLOOR_DB, value))


def _name(axes: Any, worst: Sequence[LayerFindings], count: int) -> None:
    """Write the names of the worst layers beside their dots, where a worse one leaves room."""
    named: list[tuple[int, float]] = []
    for layer in worst:
        place, height = layer.place, _within(layer.noise.own)
        if any(
            abs(place - other) < count / 3 and abs(height - level) < _ROOM_DB
            for other, level in named
        ):
            continue
        named.append((place, height))
        right = place > count / 2
        axes.annotate(
            layer.name,
            (place, height),
            xytext=(-9 if right else 9, 6),
            textcoords="offset points",
            ha="right" if right else "left",
            color=light("ink"),
            bbox={"facecolor": light("paper"), "edgecolor": "none", "pad": 1.0, "alpha": 0.8},
            zorder=5,
        )

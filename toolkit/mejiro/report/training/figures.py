"""Draw a training run: its curves, the classes' sizes, and how far its confidence holds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np

from mejiro.report.elements import Figure
from mejiro.report.numbers import percent
from mejiro.report.palette import light
from mejiro.report.svg import Layout, draw_figure
from mejiro.report.training.balance import ClassSize
from mejiro.report.training.run_files import Epoch
from mejiro.train.metrics import Metrics

TRAIN, VAL, RIGHT, WRONG = "sky", "leaf", "leaf", "clay"
# More epochs than these are a line; fewer are points as well, and one is nothing else.
_POINTS = 20
# More classes than these are a profile of sizes; fewer have a bar and a name each.
NAMED_CLASSES = 20


@dataclass(frozen=True)
class _Phase:
    """Hold a stretch of the history; `first` is the place of its first epoch."""

    name: str
    first: int
    epochs: int


def plot_curves(history: Sequence[Epoch], *, kept: int | None) -> Figure:
    """Return loss and accuracy by epoch; `kept` is the place of the epoch whose weights stayed."""

    def draw(figure: Any, layout: Layout) -> None:
        shape = (2, 1) if layout.narrow else (1, 2)
        loss, accuracy = figure.subplots(*shape).ravel()
        _draw_curve(loss, history, "loss", layout, kept=kept)
        _draw_curve(accuracy, history, "accuracy", layout, kept=kept)
        handles, names = accuracy.get_legend_handles_labels()
        figure.legend(
            handles, names, loc="outside upper left", ncols=3, handlelength=1.4, borderaxespad=0.0
        )

    last = history[-1]
    best = "" if kept is None else f"; kept epoch {kept + 1}"
    return draw_figure(
        draw,
        lambda layout: 560 if layout.narrow else 330,
        name="curves",
        description=f"Loss and accuracy of {len(history)} epochs. Last validation loss "
        f"{last.val_loss:.3g}, accuracy {percent(last.val_accuracy)}%{best}.",
        caption=_curve_caption(history, kept),
    )


def _curve_caption(history: Sequence[Epoch], kept: int | None) -> str:
    phases = [f"{phase.name} ({phase.epochs})" for phase in _phases(history)]
    words = []
    if len(phases) > 1:
        words.append(f"Phases and their epochs, divided by a line: {', '.join(phases)}.")
    if kept is not None:
        words.append("The ring marks the epoch whose weights were kept.")
    words.append(
        "Training figures are taken while the weights change, of augmented pictures and with "
        "dropout where these are used, so that they may lie below those of validation."
    )
    return " ".join(words)


def _phases(history: Sequence[Epoch]) -> list[_Phase]:
    """Return the stretches of epochs that carry one name."""
    found, first = [], 0
    for name, group in groupby(history, key=lambda epoch: epoch.phase):
        found.append(_Phase(name, first, len(list(group))))
        first += found[-1].epochs
    return found


def _draw_curve(
    axes: Any, history: Sequence[Epoch], what: str, layout: Layout, *, kept: int | None
) -> None:
    epochs = np.arange(1, len(history) + 1)
    factor = 100 if what == "accuracy" else 1
    marker = "o" if len(history) <= _POINTS else None
    for name, attribute, colour in (
        ("training", what, TRAIN),
        ("validation", f"val_{what}", VAL),
    ):
        values = [factor * getattr(epoch, attribute) for epoch in history]
        axes.plot(
            epochs, values, color=light(colour), label=name, marker=marker, markersize=4, zorder=3
        )
        if name == "validation" and kept is not None and math.isfinite(values[kept]):
            axes.plot(
                [kept + 1], [values[kept]], "o", color=light("ink"), fillstyle="none",
                markersize=11, markeredgewidth=1.6, zorder=4,
            )  # fmt: skip
    _draw_phases(axes, history, layout)
    axes.set_xlim(0.5, len(history) + 0.5)
    axes.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
    axes.set_xlabel("epoch")
    axes.grid(axis="y", color=light("rule"), linewidth=1)
    axes.set_axisbelow(True)
    axes.set_title(
        "accuracy, %" if what == "accuracy" else "loss", loc="left", fontsize=layout.font_size
    )


def _draw_phases(axes: Any, history: Sequence[Epoch], layout: Layout) -> None:
    """Divide the phases, and name those that are wide enough, in a margin above the curves."""
    phases = _phases(history)
    if len(phases) == 1:
        return
    low, high = axes.get_ylim()
    axes.set_ylim(low, high + 0.1 * (high - low))
    for phase in phases:
        if phase.first:
            axes.axvline(
                phase.first + 0.5, color=light("muted"), linewidth=1, linestyle=(0, (4, 3))
            )
        if phase.epochs >= 0.15 * len(history):
            axes.annotate(
                phase.name,
                (phase.first + 0.5, 1),
                xycoords=("data", "axes fraction"),
                xytext=(5, -2),
                textcoords="offset points",
                va="top",
                fontsize=layout.font_size - 2,
                color=light("muted"),
            )


def plot_calibration(metrics: Metrics) -> Figure:
    """Return accuracy by confidence (a reliability diagram), and how sure the answers were."""

    def draw(figure: Any, layout: Layout) -> None:
        shape = (2, 1) if layout.narrow else (1, 2)
        reliability, counts = figure.subplots(*shape).ravel()
        _draw_reliability(reliability, metrics, layout)
        _draw_counts(counts, metrics, layout)

    told = "; ".join(
        f"{100 * one.low:.0f}-{100 * one.high:.0f}%: {percent(one.accuracy)}% of {one.pictures}"
        for one in metrics.bins
        if one.accuracy is not None
    )
    return draw_figure(
        draw,
        lambda layout: 620 if layout.narrow else 360,
        name="calibration",
        description=f"Accuracy by confidence. {told}.",
        caption="Left (above on a phone): the share of right answers among those of one "
        "confidence; on the line, confidence is what it says it is, below the line the network "
        "is too sure. Few pictures make a bin's share uncertain; fainter bars have fewer than 10.",
    )


def _draw_reliability(axes: Any, metrics: Metrics, layout: Layout) -> None:
    for one in metrics.bins:
        if one.accuracy is None or one.confidence is None:
            continue
        few = one.pictures < 10
        axes.bar(
            100 * one.low,
            100 * one.accuracy,
            width=100 * (one.high - one.low) * 0.94,
            align="edge",
            color=light("moss"),
            alpha=0.45 if few else 1.0,
            linewidth=0,
        )
        axes.plot(
            100 * one.confidence,
            100 * one.accuracy,
            "o",
            color=light("leaf"),
            markersize=5,
            clip_on=False,
        )
    axes.plot([0, 100], [0, 100], color=light("muted"), linewidth=1.2, linestyle=(0, (4, 3)))
    axes.set_xlim(0, 100)
    axes.set_ylim(0, 104)
    axes.set_xlabel("confidence, %")
    axes.grid(axis="y", color=light("rule"), linewidth=1)
    axes.set_axisbelow(True)
    axes.set_title("right answers, %", loc="left", fontsize=layout.font_size)


def _draw_counts(axes: Any, metrics: Metrics, layout: Layout) -> None:
    rights = [round((one.accuracy or 0) * one.pictures) for one in metrics.bins]
    wrongs = [one.pictures - right for one, right in zip(metrics.bins, rights, strict=True)]
    edges = [100 * one.low for one in metrics.bins]
    width = 100 / len(metrics.bins) * 0.94
    axes.bar(edges, wrongs, width, align="edge", color=light(WRONG), label="wrong")
    axes.bar(edges, rights, width, bottom=wrongs, align="edge", color=light(RIGHT), label="right")
    axes.set_xlim(0, 100)
    axes.yaxis.get_major_locator().set_params(integer=True)
    axes.set_xlabel("confidence, %")
    axes.grid(axis="y", color=light("rule"), linewidth=1)
    axes.set_axisbelow(True)
    axes.legend(loc="upper left", handlelength=1.0, handleheight=0.9)
    axes.set_title("pictures", loc="left", fontsize=layout.font_size)


def plot_balance(sizes: Sequence[ClassSize]) -> Figure:
    """Return how many pictures each class has: named bars, or a profile if there are many."""
    named = len(sizes) <= NAMED_CLASSES
    ordered = sorted(sizes, key=lambda one: -one.pictures)

    def draw(figure: Any, layout: Layout) -> None:
        axes = figure.subplots()
        if named:
            _draw_named(axes, sizes, above=layout.narrow)
        else:
            _draw_profile(axes, ordered)
        figure.legend(
            loc="outside upper left", ncols=2, handlelength=1.0, handleheight=0.9, borderaxespad=0.0
        )

    def height(layout: Layout) -> int:
        if not named:
            return 240
        return 60 + len(sizes) * (46 if layout.narrow else 32)

    shown = sizes if named else [ordered[0], ordered[-1]]
    told = "; ".join(f"{one.name}: {one.train} and {one.val}" for one in shown)
    return draw_figure(
        draw,
        height,
        name="balance",
        description=f"Training and validation pictures of {len(sizes)} classes. {told}.",
        caption="" if named else "Each class is a column, the largest first.",
    )


def _draw_named(axes: Any, sizes: Sequence[ClassSize], *, above: bool) -> None:
    places = np.arange(len(sizes), dtype=float)
    thickness = 0.34 if above else 0.6
    train, val = [one.train for one in sizes], [one.val for one in sizes]
    axes.barh(places, train, thickness, color=light(TRAIN), label="training")
    axes.barh(places, val, thickness, left=train, color=light("moss"), label="validation")
    furthest = max(one.pictures for one in sizes)
    for place, one in zip(places, sizes, strict=True):
        count = f"{one.train} + {one.val}"
        if above:
            axes.text(0, place - thickness * 0.8, f"{one.name}: {count}", va="bottom")
        else:
            axes.text(one.pictures + furthest * 0.012, place, count, va="center")
    axes.set_xlim(0, furthest * (1.02 if above else 1.12))
    axes.set_ylim(len(sizes) - 0.5, -0.95 if above else -0.5)
    axes.set_yticks([] if above else places, labels=[] if above else [one.name for one in sizes])
    axes.set_xticks([])
    axes.spines["bottom"].set_visible(False)


def _draw_profile(axes: Any, ordered: Sequence[ClassSize]) -> None:
    places = np.arange(len(ordered))
    train = np.array([one.train for one in ordered])
    val = np.array([one.val for one in ordered])
    # One area each rather than a bar a class: a thousand bars are a heavy page.
    for low, high, colour, name in (
        (np.zeros_like(train), train, TRAIN, "training"),
        (train, train + val, "moss", "validation"),
    ):
        axes.fill_between(places, low, high, step="mid", color=light(colour), label=name, lw=0)
    axes.set_xlim(-0.5, len(ordered) - 0.5)
    axes.set_ylim(bottom=0)
    axes.set_xticks([])
    axes.grid(axis="y", color=light("rule"), linewidth=1)
    axes.set_axisbelow(True)

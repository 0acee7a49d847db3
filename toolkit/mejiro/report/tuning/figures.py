"""Draw a search: how the best one rose, what each setting did, and where trials were ended."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from mejiro.report.elements import Figure
from mejiro.report.numbers import percent
from mejiro.report.palette import light
from mejiro.report.svg import Layout, draw_figure
from mejiro.report.tuning.findings import Findings
from mejiro.report.tuning.words import plain, value_words
from mejiro.tune.records import State, TrialRecord
from mejiro.tune.space import Value

COMPLETE, PRUNED, BEST = "leaf", "clay", "sky"
_PANEL_COLUMNS = 3


def plot_history(findings: Findings) -> Figure:
    """Return the accuracy of each trial in the order of their begin, and the best so far."""
    trials, best = findings.judged, findings.record.best

    def draw(figure: Any, layout: Layout) -> None:
        axes = figure.subplots()
        for state, colour, name in _STATES:
            ours = [trial for trial in trials if trial.state is state]
            _scatter(axes, [trial.number for trial in ours], ours, state, colour, name)
        steps = _best_so_far(trials)
        if steps:
            axes.step(*zip(*steps, strict=True), where="post", color=light(BEST), label="best")
        axes.set_xlabel("trial")
        axes.set_ylabel("validation accuracy, %")
        axes.xaxis.get_major_locator().set_params(integer=True)
        _finish(axes)
        figure.legend(loc="outside upper left", ncols=3, handlelength=1.2, borderaxespad=0.0)

    told = "" if best is None or best.accuracy is None else (
        f" The best, {percent(best.accuracy)}%, is trial {best.number}."
    )  # fmt: skip
    return draw_figure(
        draw,
        lambda layout: 280,
        name="history",
        description=f"Validation accuracy of {len(trials)} trials in their order.{told}",
        caption="Pruned trials stand at the best accuracy they had when they were ended.",
    )


def plot_settings(findings: Findings) -> Figure:
    """Return one panel for each setting that was searched: its values against the accuracy."""
    trials = findings.judged
    # Where all are frozen a trial has no rate.
    names = [name for name in findings.searched if any(name in trial.values for trial in trials)]
    columns = min(_PANEL_COLUMNS, max(1, len(names)))

    def shape(layout: Layout) -> tuple[int, int]:
        across = 1 if layout.narrow else columns
        return max(1, math.ceil(len(names) / across)), across

    def draw(figure: Any, layout: Layout) -> None:
        panels = figure.subplots(*shape(layout), sharey=True, squeeze=False).ravel()
        for axes, name in zip(panels, names, strict=False):
            having = [trial for trial in trials if name in trial.values]
            limits = findings.limits(name)
            _draw_setting(axes, name, having, [] if limits else findings.in_order(name))
            if limits:
                _set_limits(axes, *limits)
        for axes in panels[len(names) :]:
            axes.set_visible(False)

    return draw_figure(
        draw,
        lambda layout: 240 * shape(layout)[0],
        name="settings",
        description=f"Validation accuracy against each setting: {', '.join(map(plain, names))}.",
        caption="Each dot is a trial, hollow where it was pruned, ringed the best. Other settings "
        "differ from dot to dot, so that one panel alone proves little.",
    )


def plot_courses(findings: Findings) -> Figure:
    """Return the accuracy of each trial, epoch by epoch."""
    trials, best = findings.judged, findings.record.best

    def draw(figure: Any, layout: Layout) -> None:
        axes = figure.subplots()
        for state, colour, name in _STATES:
            label = name
            for trial in (trial for trial in trials if trial.state is state and trial is not best):
                _draw_course(axes, trial, colour, label, width=1.0)
                label = "_"
        if best is not None:
            _draw_course(axes, best, BEST, "best", width=2.4)
        axes.set_xlabel("epoch, of all phases")
        axes.set_ylabel("validation accuracy, %")
        _finish(axes)
        figure.legend(loc="outside upper left", ncols=3, handlelength=1.2, borderaxespad=0.0)

    return draw_figure(
        draw,
        lambda layout: 300,
        name="courses",
        description=f"Validation accuracy of {len(trials)} trials, epoch by epoch.",
    )


_STATES = (
    (State.COMPLETE, COMPLETE, "to the end"),
    (State.PRUNED, PRUNED, "pruned"),
)


def _finish(axes: Any) -> None:
    axes.grid(axis="y", color=light("rule"), linewidth=1)
    axes.set_axisbelow(True)


def _percents(trials: Sequence[TrialRecord]) -> list[float]:
    return [100 * (trial.accuracy or 0.0) for trial in trials]


def _scatter(
    axes: Any, places: Sequence[float], trials: Sequence[TrialRecord], state: State, colour: str,
    name: str,
) -> None:  # fmt: skip
    filled = light(colour) if state is State.COMPLETE else "none"
    axes.scatter(
        places, _percents(trials), s=34, facecolors=filled, edgecolors=light(colour), label=name,
        zorder=3,
    )  # fmt: skip


def _best_so_far(trials: Sequence[TrialRecord]) -> list[tuple[int, float]]:
    """Return (number, best accuracy of the trials up to there, in percent)."""
    found: list[tuple[int, float]] = []
    for trial in trials:
        if trial.state is State.COMPLETE:
            value = _percents([trial])[0]
            found.append((trial.number, max(value, found[-1][1]) if found else value))
    return found


def _draw_setting(
    axes: Any, name: str, trials: Sequence[TrialRecord], names: Sequence[Value]
) -> None:
    for state, colour, label in _STATES:
        ours = [trial for trial in trials if trial.state is state]
        places = [_place(trial, name, names) for trial in ours]
        _scatter(axes, places, ours, state, colour, label)
    best = max((t for t in trials if t.state is State.COMPLETE), key=lambda t: t.rank, default=None)
    if best is not None:
        axes.scatter(
            [_place(best, name, names)], _percents([best]), s=120, facecolors="none",
            edgecolors=light(BEST), linewidths=2, zorder=4,
        )  # fmt: skip
    axes.set_title(plain(name), loc="left", fontsize="medium")
    if names:
        axes.set_xlim(-0.6, len(names) - 0.4)
        axes.set_xticks(range(len(names)), labels=[value_words(value) for value in names])
    _finish(axes)


def _set_limits(axes: Any, low: float, high: float) -> None:
    """Draw a logarithmic scale with ticks at both ends and at the powers of ten between."""
    first, last = math.floor(math.log10(low)) + 1, math.ceil(math.log10(high))
    ticks = [low, *(10.0**power for power in range(first, last)), high]
    margin = (high / low) ** 0.06
    axes.set_xscale("log")
    axes.set_xlim(low / margin, high * margin)
    axes.set_xticks(ticks, labels=[f"{tick:g}" for tick in ticks])
    axes.set_xticks([], minor=True)


def _place(trial: TrialRecord, name: str, names: Sequence[Value]) -> float:
    """Return where a trial stands across; trials of one value stand beside each other."""
    value = trial.values[name]
    if not names:
        return float(value)
    # Golden steps spread the trials' numbers evenly, and the same number goes to the same place.
    spread = (trial.number * 0.618034) % 1 - 0.5
    return names.index(value) + 0.5 * spread


def _draw_course(axes: Any, trial: TrialRecord, colour: str, label: str, *, width: float) -> None:
    steps = np.array([step for step, _ in trial.curve])
    values = np.array([100 * accuracy for _, accuracy in trial.curve])
    axes.plot(steps, values, color=light(colour), linewidth=width, label=label, zorder=width)
    if trial.state is State.PRUNED and len(steps):
        axes.plot(steps[-1:], values[-1:], "x", color=light(colour), markersize=6, zorder=3)

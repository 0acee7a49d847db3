"""Put a training run into words: what was learnt, how well, and what to be careful with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mejiro.report.numbers import duration, percent
from mejiro.report.training.balance import ClassSize
from mejiro.report.training.exports import Exports
from mejiro.report.training.run_files import RunFiles
from mejiro.train.metrics import Metrics

_NAMED = 6
# What happened less often is chance, not a habit worth the first paragraph.
_TELLING = 3


def title_words(run: RunFiles) -> str:
    """Return the page's title."""
    return f"{run.model} on {run.split.data}"


def lead_words(run: RunFiles, metrics: Metrics, kept: int | None) -> str:
    """Return what happened, in two or three sentences."""
    seconds = sum(epoch.seconds for epoch in run.history if epoch.seconds == epoch.seconds)
    epochs = len(run.history)
    trained = (
        f"Trained on {len(run.split.train)} pictures of {len(run.labels)} classes, "
        f"{epochs} epoch{'' if epochs == 1 else 's'} in {duration(seconds)}."
    )
    words = [
        trained,
        f"Of {metrics.pictures} validation pictures {metrics.right} were answered rightly.",
    ]
    if kept is not None and epochs > 1:
        words.append(f"The weights kept are those of epoch {kept + 1}.")
    pairs = metrics.confused()
    if pairs and len(run.labels) > 2 and pairs[0].pictures >= _TELLING:
        worst = pairs[0]
        truth, answer = (run.labels[index].short for index in (worst.truth, worst.answer))
        words.append(
            f"Most often confused: {truth} taken for {answer}, {worst.pictures} of "
            f"{metrics.per_class[worst.truth].pictures}."
        )
    return " ".join(words)


def warnings(run: RunFiles, metrics: Metrics, exports: Exports | None) -> list[str]:
    """Return what a reader has to know before believing a number."""
    found = []
    if broken := [n for n, epoch in enumerate(run.history, 1) if epoch.loss != epoch.loss]:
        found.append(
            f"The training loss was not finite in {len(broken)} of {len(run.history)} epochs, "
            f"first in epoch {broken[0]}: try a smaller rate."
        )
    unseen = [one.label.short for one in metrics.per_class if not one.pictures]
    if unseen:
        found.append(
            f"No validation picture shows {some(unseen)}: nothing is known of "
            f"{'this class' if len(unseen) == 1 else 'these classes'}, and the averages leave "
            f"{'it' if len(unseen) == 1 else 'them'} out."
        )
    never = [one.label.short for one in metrics.per_class if one.pictures and not one.answered]
    if never:
        found.append(f"Never answered: {some(never)}.")
    if len(run.split.val) != metrics.pictures:
        found.append(
            f"The split has {len(run.split.val)} validation pictures, {metrics.pictures} of which "
            "were answered."
        )
    if run.exports is not None and exports is None:
        found.append(
            "The run was trained anew since it was converted, so the scores of the exported files "
            "are left out; convert it again."
        )
    return found


def some(names: Sequence[str]) -> str:
    """Return the first few of `names`, and how many more there are."""
    more = len(names) - _NAMED
    shown = ", ".join(names[:_NAMED])
    return f"{shown} and {more} more" if more > 0 else shown


def calibration_words(metrics: Metrics) -> str:
    """Say what the calibration figure means for whoever sets a threshold."""
    gap = 100 * (metrics.confidence - metrics.accuracy)
    if abs(gap) < 1:
        lean = "on the whole it is neither too sure nor too timid"
    elif gap > 0:
        lean = f"on the whole it is too sure, by {gap:.1f} points"
    else:
        lean = f"on the whole it is too timid, by {-gap:.1f} points"
    return (
        f"The mean confidence is {percent(metrics.confidence)}%, the accuracy "
        f"{percent(metrics.accuracy)}%: {lean}. The expected calibration error (Guo et al. 2017, "
        f"{len(metrics.bins)} bins), how far confidence and accuracy lie apart on average, is "
        f"{percent(metrics.calibration_error)} points."
    )


def balance_words(sizes: Sequence[ClassSize], ratio: float | None) -> str:
    """Say how evenly the pictures are spread over the classes."""
    large = max(sizes, key=lambda one: one.train)
    small = min(sizes, key=lambda one: one.train)
    words = (
        f"The largest class, {large.name}, has {large.train} training pictures, the smallest, "
        f"{small.name}, {small.train}"
    )
    if large.train == small.train:
        words = f"All classes have {large.train} training pictures"
    if ratio is not None and ratio >= 1.1:
        words += f": a ratio of {ratio:.1f}"
    return f"{words}."


def mistake_words(shown: int, wrong: int, missing: int) -> str:
    """Say what the pictures below are, and what became of those that are not shown."""
    if not wrong:
        return "There are none: every validation picture was answered rightly."
    words = (
        f"{_number(shown, wrong)}, the surest first; in red the answer, in green the truth. "
        "Pictures that carry a wrong label gather here."
    )
    if missing == shown:
        words += " None can be shown: the pictures were moved or changed since the training."
    elif missing:
        words += f" {missing} of them cannot be shown: moved or changed since the training."
    return words


def _number(shown: int, wrong: int) -> str:
    if wrong == 1:
        return "The one wrong answer"
    return f"All {wrong} wrong answers" if shown == wrong else f"{shown} of {wrong} wrong answers"


def setting_rows(settings: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return settings of any depth as rows: one for each entry of the outermost level.

    A list of objects, such as phases, has a row for each. What is not set is left out of objects,
    and so is what an augmentation does not do.
    """
    rows = []
    for name, value in settings.items():
        shown = _plain(name)
        if isinstance(value, list) and value and all(isinstance(one, dict) for one in value):
            rows += [_numbered_row(shown, number, one) for number, one in enumerate(value, start=1)]
        elif name == "augmentation" and isinstance(value, dict):
            active = {key: one for key, one in value.items() if one not in (0, "none")}
            rows.append((shown, _setting(active) if active else "none"))
        else:
            rows.append((shown, _setting(value)))
    return rows


def _numbered_row(name: str, number: int, value: Mapping[str, Any]) -> tuple[str, str]:
    """Return one of several objects under its own name, or its number if it has none."""
    rest = {key: one for key, one in value.items() if key != "name"}
    return f"{name.removesuffix('s')} {value.get('name', number)}", _setting(rest)


def _plain(name: str) -> str:
    return name.replace("_", " ")


def _setting(value: Any) -> str:
    if isinstance(value, dict):
        known = {name: one for name, one in value.items() if one is not None and one != ""}
        inner = (
            f"{_plain(name)} ({_setting(one)})"
            if isinstance(one, dict)
            else f"{_plain(name)} {_setting(one)}"
            for name, one in known.items()
        )
        return ", ".join(inner) or "default"
    if isinstance(value, list):
        return ", ".join(_setting(inner) for inner in value) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}"
    return "none" if value is None or value == "" else str(value)

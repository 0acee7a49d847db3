"""Put a search into words."""

from __future__ import annotations

from collections.abc import Mapping

from mejiro.report.numbers import duration, percent
from mejiro.report.tuning.findings import Findings
from mejiro.tune.aim import options_of
from mejiro.tune.records import State, StudyRecord, TrialRecord
from mejiro.tune.space import Value


def plain(name: str) -> str:
    """Return the name of a setting as people write it."""
    return name.replace("_", " ")


def value_words(value: Value) -> str:
    """Return a value as people write it."""
    return f"{value:g}" if isinstance(value, float) else str(value)


def told(trial: TrialRecord, record: StudyRecord) -> str:
    """Return one line about a trial that has ended."""
    values = ", ".join(f"{plain(name)} {value_words(v)}" for name, v in trial.values.items())
    accuracy = "no epoch" if trial.accuracy is None else f"{percent(trial.accuracy)}%"
    pruned = ", pruned" if trial.state is State.PRUNED else ""
    best, leads = record.best, ""
    if best is not None and best.accuracy is not None:
        leads = ", the best" if best is trial else f" (best {percent(best.accuracy)}%)"
    time = "" if trial.seconds is None else f" in {duration(trial.seconds)}"
    return f"trial {trial.number}: {accuracy}{pruned}{leads}{time}; {values}"


def lead_words(findings: Findings) -> str:
    """Return what happened, in two or three sentences."""
    record, best, baseline = findings.record, findings.record.best, findings.baseline
    finished = len(record.finished)
    words = [f"{finished} of {record.wanted} trials are finished."]
    if best is None or best.accuracy is None:
        return words[0]
    values = ", ".join(
        f"{plain(name)} {value_words(best.values[name])}"
        for name in findings.searched
        if name in best.values
    )
    words.append(f"The best is trial {best.number}: {values}.")
    if baseline is not None and baseline.accuracy is not None:
        words.append(_against(baseline, baseline.accuracy, best, best.accuracy))
    return " ".join(words)


def _against(baseline: TrialRecord, usual: float, best: TrialRecord, accuracy: float) -> str:
    """Compare the best trial with the one that has the usual values."""
    if baseline.number == best.number:
        return "These are the values that a run has without a search."
    words = f"A run without a search has the values of trial {baseline.number}, "
    points = f"{100 * (accuracy - usual):.1f}"
    if float(points) == 0:
        return words + "which was no less accurate, but had the higher loss."
    return words + f"which reached {percent(usual)}%: {points} points less."


def caution(findings: Findings) -> str:
    """Say how far the best accuracy may be believed."""
    picture = 100 / findings.val_pictures
    return (
        f"One validation picture is {picture:.2g} points, and the best of many trials is so partly "
        "by chance: expect a little less on pictures that no trial was judged by."
    )


def range_rows(space: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return what was searched."""
    return [(plain(name), text) for name, text in space.items()]


def aim_rows(aim: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return what all trials had in common, as far as it is set."""
    return [(name.removeprefix("--"), text) for name, text in options_of(aim).items()]

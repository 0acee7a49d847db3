"""Take the options of `mejiro convert --repair`, run it, and show what each step gave."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from mejiro.cli.console import Reporter, note, print_table, say
from mejiro.cli.finetuning import finetuning_events
from mejiro.data.calibration import CalibrationSet
from mejiro.errors import QualityError, UsageError
from mejiro.export import Outputs
from mejiro.model import FloatModel
from mejiro.quality.convert import Scoring
from mejiro.quality.lessons import read_lessons
from mejiro.quality.repair import (
    DEFAULT_SLOWER,
    REPAIR_FILE,
    STEPS,
    Attempt,
    Budget,
    Means,
    Record,
    Repaired,
    repair,
)
from mejiro.train.pictures import Pictures
from mejiro_runtime.card import Format, Precision


def check_options(
    kinds: Sequence[tuple[Format, Precision]], settings: dict[str, Any]
) -> Budget | None:
    """Return the budget of a repair, None if none is asked for; raises UsageError on conflicts."""
    if not settings["repair"]:
        if settings["max_slower"] is not None:
            raise UsageError("--max-slower limits what --repair may cost; give both, or neither")
        return None
    for name in ("evaluate", "max_drop"):
        if settings[name] is None:
            raise UsageError(
                "--repair needs pictures to score on and the points that may be lost; give "
                "--evaluate DIR and --max-drop POINTS"
            )
    if settings["full_integer"]:
        raise UsageError("a repaired file gives float32 probabilities; leave --full-integer out")
    if all(precision is not Precision.INT8 for _, precision in kinds):
        raise UsageError("--repair mends int8 files; add --precision int8, or leave it out")
    return Budget(settings["max_drop"], settings["max_slower"] or DEFAULT_SLOWER)


@dataclass(frozen=True)
class Job:
    """Hold what is converted, to what, and how it is scored; `reference` is what it was called."""

    reference: str
    model: FloatModel
    kinds: list[tuple[Format, Precision]]
    out: Path
    outputs: Outputs
    scoring: Scoring | None


def run_repair(
    job: Job, scoring: Scoring, calibration: CalibrationSet, budget: Budget, shown: Reporter
) -> Repaired:
    """Convert and repair; a training run is trained further with its own pictures."""
    events = finetuning_events(shown)
    with TemporaryDirectory(prefix="mejiro-repair.") as cache:

        def lessons() -> Pictures | None:
            return read_lessons(job.model, job.reference, None, Path(cache), events=events)

        means = Means(
            scoring=scoring,
            budget=budget,
            calibration=calibration,
            outputs=job.outputs,
            lessons=lessons,
            events=events,
        )
        return repair(job.model, job.kinds, job.out, means, STEPS)


def print_record(record: Record, out: Path) -> None:
    """Print a table of what was tried."""
    say(
        f"repair: float has {100 * record.float_top1:.1f}% of {record.pictures} pictures of "
        f"{record.data}"
    )
    print_table(
        ["step", "what was done", ">top-1", ">lost", ">time", ">took", "verdict"],
        [_row(attempt) for attempt in record.attempts],
    )
    tried = {attempt.step for attempt in record.attempts}
    if left := [step for step in STEPS if step not in tried]:
        say(f"not needed: {', '.join(left)}")
    note(f"details: {out / REPAIR_FILE}")


def refuse_unmet(record: Record) -> None:
    """Raise QualityError unless what was kept meets both budgets."""
    if record.met:
        return
    kept, budget = record.kept, record.budget
    change = f"loses {kept.lost:.1f} points" if kept.lost >= 0 else f"gains {-kept.lost:.1f} points"
    pace = "" if kept.pace is None else f" and takes {kept.pace.median:.2f} times as long"
    raise QualityError(
        f"no repair meets both budgets; the best, which was written, {change} of top-1{pace} "
        f"({budget.max_drop:g} points and {budget.max_slower:g} times are allowed)"
    )


def _row(attempt: Attempt) -> list[str]:
    one = attempt.candidate
    took = f"{attempt.seconds:.0f} s"
    if one is None:
        return [attempt.step, "", "", "", "", took if attempt.seconds >= 1 else "", attempt.verdict]
    return [
        attempt.step,
        one.words,
        f"{100 * min(one.top1.values()):.1f}%",
        f"{one.lost:.1f}",
        "" if one.pace is None else f"{one.pace.median:.2f} ×",
        took,
        attempt.verdict + (": kept" if attempt.kept else ""),
    ]

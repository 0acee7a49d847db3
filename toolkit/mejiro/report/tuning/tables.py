"""Set the trials of a search into tables."""

from __future__ import annotations

from collections.abc import Sequence

from mejiro.report.elements import Cell, Column, Table, Tone, table
from mejiro.report.numbers import NOTHING, duration, percent
from mejiro.report.tuning.findings import Findings
from mejiro.report.tuning.words import plain, value_words
from mejiro.tune.records import State, TrialRecord


def best_first(trials: Sequence[TrialRecord]) -> list[TrialRecord]:
    """Return trials that went to their end by rank, then the pruned, then the others."""
    order = [State.COMPLETE, State.PRUNED, State.RUNNING, State.FAILED]
    ranked = sorted(trials, key=lambda trial: trial.rank, reverse=True)
    return sorted(ranked, key=lambda trial: order.index(trial.state))


def trial_table(findings: Findings, trials: Sequence[TrialRecord]) -> Table:
    """Return `trials` in their order, with what was searched."""
    best = findings.record.best
    rows: list[list[Cell | str]] = []
    for trial in trials:
        note = trial.error if trial.state is State.FAILED else ""
        if trial.state is not State.COMPLETE and not note:
            note = trial.state.value
        accuracy = NOTHING if trial.accuracy is None else percent(trial.accuracy)
        rows.append(
            [
                Cell(str(trial.number), note),
                Cell(accuracy, tone=Tone.GOOD if trial is best else Tone.PLAIN),
                NOTHING if trial.val_loss is None else f"{trial.val_loss:.3f}",
                *(
                    value_words(trial.values[name]) if name in trial.values else NOTHING
                    for name in findings.searched
                ),
                str(len(trial.curve)),
                NOTHING if trial.seconds is None else duration(trial.seconds),
            ]
        )
    return table(
        [
            Column("trial"),
            Column("accuracy", "%", numeric=True),
            Column("loss", numeric=True),
            *(Column(plain(name)) for name in findings.searched),
            Column("epochs", numeric=True),
            Column("time", numeric=True),
        ],
        rows,
    )

"""Hold what is known of a study and its trials, for pages and programs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from mejiro.tune.space import Value

SCHEMA = 1


class State(str, Enum):
    """Name what became of a trial."""

    RUNNING = "running"
    COMPLETE = "complete"
    PRUNED = "pruned"  # ended early: worse than half of the others at the same epoch
    FAILED = "failed"

    @property
    def counts(self) -> bool:
        """Whether a trial in this state is one of those that were asked for."""
        return self in (State.COMPLETE, State.PRUNED)


@dataclass(frozen=True)
class TrialRecord:
    """Hold one trial.

    `accuracy` is the best share of validation pictures answered rightly, None before the first
    epoch; `val_loss` is that of the same epoch. `curve` holds (step, accuracy) of each epoch;
    steps count through the phases of a whole run, whichever of them this trial has. `error` says
    why it failed.
    """

    number: int
    state: State
    values: Mapping[str, Value]
    accuracy: float | None = None
    val_loss: float | None = None
    curve: tuple[tuple[int, float], ...] = ()
    seconds: float | None = None
    host: str = ""
    error: str = ""

    @property
    def rank(self) -> tuple[float, float, int]:
        """A key by which better trials are larger: accuracy, then loss, then the earlier one."""
        accuracy = -math.inf if self.accuracy is None else self.accuracy
        loss = math.inf if self.val_loss is None else self.val_loss
        return (accuracy, -loss, -self.number)

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "number": self.number,
            "state": self.state.value,
            "values": dict(self.values),
            "val_accuracy": self.accuracy,
            "val_loss": self.val_loss,
            "curve": [list(point) for point in self.curve],
            "seconds": self.seconds,
            "host": self.host,
            "error": self.error,
        }


@dataclass(frozen=True)
class StudyRecord:
    """Hold a study: what its trials have in common, and the trials in the order of their begin.

    `aim` says in words what all trials share, `space` what is searched, `wanted` how many trials
    are to be finished.
    """

    data: str
    model: str
    aim: Mapping[str, str]
    space: Mapping[str, str]
    wanted: int
    trials: tuple[TrialRecord, ...]

    @property
    def finished(self) -> tuple[TrialRecord, ...]:
        """The trials that count."""
        return tuple(trial for trial in self.trials if trial.state.counts)

    @property
    def best(self) -> TrialRecord | None:
        """The best trial that went to its end, None if there is none yet."""
        complete = [trial for trial in self.trials if trial.state is State.COMPLETE]
        return max(complete, key=lambda trial: trial.rank, default=None)

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "schema": SCHEMA,
            "data": self.data,
            "model": self.model,
            "aim": dict(self.aim),
            "space": dict(self.space),
            "wanted": self.wanted,
            "finished": len(self.finished),
            "best": None if self.best is None else self.best.number,
            "trials": [trial.to_json() for trial in self.trials],
        }

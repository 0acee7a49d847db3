"""Hold what a page about a search is made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mejiro.tune.records import State, StudyRecord, TrialRecord
from mejiro.tune.space import Value


@dataclass(frozen=True)
class Findings:
    """Hold a study and what came of it.

    `searched` names what has more than one value; `usual` is what a run has without a search.
    `command` trains with the best values; `run` is the folder of the best run, below the study's,
    empty if it lies elsewhere.
    """

    record: StudyRecord
    searched: tuple[str, ...]
    usual: Mapping[str, Value]
    val_pictures: int
    command: str = ""
    run: str = ""

    @property
    def judged(self) -> tuple[TrialRecord, ...]:
        """The trials with an accuracy, in the order of their begin."""
        return tuple(trial for trial in self.record.finished if trial.accuracy is not None)

    @property
    def baseline(self) -> TrialRecord | None:
        """The trial that has the usual value of all that was searched, if one went to its end."""
        if not set(self.searched) <= self.usual.keys():
            return None
        for trial in self.record.trials:
            if trial.state is State.COMPLETE and all(
                trial.values.get(name) == self.usual[name] for name in self.searched
            ):
                return trial
        return None

    def limits(self, name: str) -> tuple[float, float] | None:
        """Return the limits of a setting that is searched in a range, None for one of choices."""
        low, between, high = self.record.space.get(name, "").partition("..")
        return (float(low), float(high)) if between else None

    def in_order(self, name: str) -> list[Value]:
        """Return the values of a setting that were tried, in the order that the space has."""
        words = self.record.space.get(name, "").split(", ")
        tried = {trial.values[name] for trial in self.judged if name in trial.values}
        return sorted(tried, key=lambda value: words.index(str(value)))

    def count(self, state: State) -> int:
        """Return how many trials are in `state`."""
        return sum(trial.state is state for trial in self.record.trials)

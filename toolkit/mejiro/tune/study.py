"""Join a study that several processes share: draw trials, report them, find those left behind."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from mejiro.errors import MejiroError, UsageError
from mejiro.tune.aim import check_aim, named_data, named_model
from mejiro.tune.records import State, StudyRecord, TrialRecord
from mejiro.tune.sampling import TrialSampler
from mejiro.tune.space import Space, Value
from mejiro.tune.storage import load_optuna
from mejiro.tune.worker import BEAT_S, Worker

if TYPE_CHECKING:
    from optuna import Study, Trial
    from optuna.storages import BaseStorage
    from optuna.trial import FrozenTrial

# What is kept of a study and of each trial beside what Optuna keeps itself.
_AIM = "mejiro"
_VALUES, _WORKER, _BEAT = "values", "worker", "beat"
_LOSS, _SECONDS, _ERROR, _CURVE = "val_loss", "seconds", "error", "curve"
# Until so many trials went to their end there is nothing to compare with.
PRUNING_STARTUP = 5


class GivenUp(MejiroError):
    """Report that another process took this one for dead, and the trial is not its own any more."""


@dataclass(frozen=True)
class Pruning:
    """Say whether hopeless trials are ended early, and from which step on."""

    use: bool = True
    first_step: int = 0


class OpenTrial:
    """Hold a trial that this process works on."""

    def __init__(self, study: Study, trial: Trial, values: Mapping[str, Value]) -> None:
        self._study, self._trial = study, trial
        self.number: int = trial.number
        self.values = dict(values)
        self._beaten = self._begun = time.monotonic()
        self._curve: list[tuple[int, float]] = []

    def beat(self) -> None:
        """Give a sign of life, if the last one is old enough."""
        now = time.monotonic()
        if now - self._beaten >= BEAT_S:
            self._beaten = now
            self._keep(_BEAT, time.time())

    def report(self, step: int, accuracy: float, *, judged: bool = True) -> bool:
        """Report an epoch; return whether the trial is hopeless: worse than half of the others.

        Only what is `judged` is compared, with the same step of other trials. Raises GivenUp if
        others count this trial as failed.
        """
        self._curve.append((step, accuracy))
        if not judged:
            return False
        try:
            self._trial.report(accuracy, step)
        except RuntimeError as error:  # Optuna's UpdateFinishedTrialError
            raise GivenUp(_given_up(self.number)) from error
        return self._trial.should_prune()

    def complete(self, accuracy: float, val_loss: float) -> None:
        """Keep the result of a trial that went to its end."""
        self._tell(State.COMPLETE, {_LOSS: _finite(val_loss)}, accuracy)

    def prune(self, val_loss: float) -> None:
        """Keep a trial as one that was ended early."""
        self._tell(State.PRUNED, {_LOSS: _finite(val_loss)})

    def fail(self, error: str) -> None:
        """Keep a trial as failed, and why."""
        self._tell(State.FAILED, {_ERROR: error})

    def _tell(self, state: State, kept: Mapping[str, Any], accuracy: float | None = None) -> None:
        for name, value in kept.items():
            self._keep(name, value)
        self._keep(_CURVE, self._curve)
        self._keep(_SECONDS, round(time.monotonic() - self._begun, 3))
        told = self._study.tell(
            self._trial, accuracy, state=_optuna_state(state), skip_if_finished=True
        )
        if _state_of(told) is not state:
            raise GivenUp(_given_up(self.number))

    def _keep(self, name: str, value: Any) -> None:
        try:
            self._trial.set_user_attr(name, value)
        except RuntimeError as error:
            raise GivenUp(_given_up(self.number)) from error


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _given_up(number: int) -> str:
    return (
        f"another process took trial {number} for dead, since there was no sign of it for long; "
        "its result is left out"
    )


class SharedStudy:
    """Hold a study in a storage that others may use at the same time."""

    def __init__(self, study: Study, space: Space, aim: Mapping[str, str]) -> None:
        self._study, self._space, self._aim = study, space, aim
        self._worker = Worker.this()

    @classmethod
    def join(
        cls,
        storage: BaseStorage,
        name: str,
        space: Space,
        aim: Mapping[str, str],
        *,
        seed: int,
        pruning: Pruning,
        where: str,
    ) -> SharedStudy:
        """Join the study `name`, or begin it; raises UsageError if it has another aim.

        `where` is what a user calls the study.
        """
        optuna = load_optuna()
        study: Study = optuna.create_study(
            storage=storage,
            study_name=name,
            direction="maximize",
            load_if_exists=True,
            sampler=cast("Any", TrialSampler(seed, space.usual)),
            pruner=optuna.pruners.MedianPruner(
                n_startup_trials=PRUNING_STARTUP, n_warmup_steps=pruning.first_step
            )
            if pruning.use
            else optuna.pruners.NopPruner(),
        )
        if _AIM not in study.user_attrs:
            if study.get_trials(deepcopy=False):
                raise UsageError(
                    f"{where} was not begun by `mejiro tune-training`; give another --study"
                )
            study.set_user_attr(_AIM, dict(aim))
        check_aim(where, study.user_attrs[_AIM], aim)
        return cls(study, space, aim)

    def begin(self) -> OpenTrial:
        """Draw the next trial."""
        trial = self._study.ask()
        trial.set_user_attr(_WORKER, self._worker.to_json())
        trial.set_user_attr(_BEAT, time.time())
        values = self._space.draw(cast("Any", trial))
        trial.set_user_attr(_VALUES, values)
        return OpenTrial(self._study, trial, values)

    def fail_abandoned(self) -> list[int]:
        """Mark the trials whose process has ended as failed; return their numbers."""
        failed = []
        for trial in self._study.get_trials(deepcopy=False):
            if _state_of(trial) is not State.RUNNING or not self._is_abandoned(trial):
                continue
            self._study.tell(trial.number, state=_optuna_state(State.FAILED), skip_if_finished=True)
            failed.append(trial.number)
        return failed

    def _is_abandoned(self, trial: FrozenTrial) -> bool:
        worker = Worker.from_json(trial.user_attrs.get(_WORKER))
        beat = trial.user_attrs.get(_BEAT)
        if worker is None or not isinstance(beat, int | float):
            # Between being drawn and being signed, or killed just there.
            begun = trial.datetime_start
            return begun is not None and time.time() - begun.timestamp() > 2 * BEAT_S
        return worker.is_gone(time.time() - beat)

    def record(self, wanted: int) -> StudyRecord:
        """Return what is known of the study now."""
        trials = self._study.get_trials(deepcopy=False)
        return StudyRecord(
            data=named_data(self._aim),
            model=named_model(self._aim),
            aim=self._aim,
            space=self._space.words(),
            wanted=wanted,
            trials=tuple(_record(trial) for trial in trials),
        )


def _record(trial: FrozenTrial) -> TrialRecord:
    attributes = trial.user_attrs
    worker = Worker.from_json(attributes.get(_WORKER))
    kept = attributes.get(_CURVE) or sorted(trial.intermediate_values.items())
    curve = tuple((int(step), float(accuracy)) for step, accuracy in kept)
    state = _state_of(trial)
    best = max((accuracy for _, accuracy in curve), default=None)
    missing = "its process ended" if state is State.FAILED else ""
    return TrialRecord(
        number=trial.number,
        state=state,
        values=attributes.get(_VALUES, {}),
        accuracy=trial.value if state is State.COMPLETE else best,
        val_loss=attributes.get(_LOSS),
        curve=curve,
        seconds=attributes.get(_SECONDS),
        host=worker.host if worker else "",
        error=attributes.get(_ERROR, missing),
    )


def _state_of(trial: FrozenTrial) -> State:
    """Return our word for Optuna's."""
    words = {
        "COMPLETE": State.COMPLETE,
        "PRUNED": State.PRUNED,
        "FAIL": State.FAILED,
    }
    return words.get(trial.state.name, State.RUNNING)


def _optuna_state(state: State) -> Any:
    from optuna.trial import TrialState

    return {
        State.COMPLETE: TrialState.COMPLETE,
        State.PRUNED: TrialState.PRUNED,
        State.FAILED: TrialState.FAIL,
    }[state]

"""Carry out trials until as many are finished as were asked for, by this process and others."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

from mejiro.errors import MejiroError, UsageError
from mejiro.train.events import Events, Interrupted, StepReport
from mejiro.train.history import EpochRecord
from mejiro.train.plan import FINE_TUNING
from mejiro.train.settings import Settings
from mejiro.tune.records import State, StudyRecord
from mejiro.tune.space import Value
from mejiro.tune.study import GivenUp, OpenTrial, Pruning, SharedStudy

POLL_S = 5.0
# So many failures after each other are no accident.
MAX_FAILURES = 3


@dataclass(frozen=True)
class Job:
    """Hold what a trial trains with; `command` is what a run keeps of its options."""

    number: int
    settings: Settings
    command: Mapping[str, Any]


class Trainer(Protocol):
    """Train once, and tell `events` of each epoch; whatever these raise passes through."""

    def __call__(self, job: Job, events: Events) -> None:
        """Train as `job` says."""
        ...


@dataclass(frozen=True)
class SearchPlan:
    """Say how long a search goes on, and how the values of a trial become a run.

    `head_epochs` are those before fine-tuning, in a run that has both. `on_trial` gets the number
    of each trial that this process ended, and the study as it then is.
    """

    trials: int
    head_epochs: int
    make_job: Callable[[int, Mapping[str, Value]], Job]
    on_trial: Callable[[int, StudyRecord], None] = lambda number, record: None


class _Hopeless(Exception):
    """End a training whose trial is pruned."""


def pruning_of(settings: Settings, *, use: bool) -> Pruning:
    """Return from which step on trials are compared: when a quarter of the last phase is over.

    What a run has before that says more of its first steps than of where it gets.
    """
    before = sum(phase.epochs for phase in settings.phases[:-1])
    return Pruning(use, before + max(1, settings.phases[-1].epochs // 4))


def search(study: SharedStudy, plan: SearchPlan, trainer: Trainer, events: Events) -> StudyRecord:
    """Carry out trials until `plan.trials` are finished; return the study as it then is.

    Trials that went to their end count, and those that were pruned; those that failed do not. If
    others are at work on the last ones, wait for them. Raises Interrupted after Ctrl-C, UsageError
    for what no trial can be trained with, and MejiroError after `MAX_FAILURES` failures.
    """
    failures = 0
    while True:
        for number in study.fail_abandoned():
            events.note(f"trial {number} failed: its process ended")
        record = study.record(plan.trials)
        running = sum(trial.state is State.RUNNING for trial in record.trials)
        if len(record.finished) >= plan.trials:
            return record
        if len(record.finished) + running >= plan.trials:
            events.stage(f"waiting for {running} of other processes")
            time.sleep(POLL_S)
            continue
        trial = study.begin()
        error = _carry_out(trial, plan, trainer, events)
        plan.on_trial(trial.number, study.record(plan.trials))
        failures = failures + 1 if error else 0
        if failures == MAX_FAILURES:
            raise MejiroError(f"{failures} trials failed one after the other, the last: {error}")


def _carry_out(trial: OpenTrial, plan: SearchPlan, trainer: Trainer, events: Events) -> str:
    """Train once; return why the trial failed, or nothing."""
    watch = _Watch(trial, plan, events)
    try:
        _train(trial, watch, plan, trainer)
    except GivenUp as error:
        events.note(str(error))
    except (KeyboardInterrupt, Interrupted):
        _fail(trial, "interrupted")
        raise Interrupted(
            f"stopped in trial {trial.number}, which is left out; go on with the same command"
        ) from None
    except MejiroError as error:
        _fail(trial, str(error))
        if isinstance(error, UsageError):
            raise
        events.note(f"trial {trial.number} failed: {error}")
        return str(error)
    except BaseException as error:
        _fail(trial, f"{type(error).__name__}: {error}")
        raise
    return ""


def _train(trial: OpenTrial, watch: _Watch, plan: SearchPlan, trainer: Trainer) -> None:
    job = plan.make_job(trial.number, trial.values)
    watch.judged = job.settings.phases[-1].name
    try:
        trainer(job, watch.events())
    except _Hopeless:
        trial.prune(watch.loss)
        return
    if not math.isfinite(watch.accuracy):
        raise MejiroError("there was no epoch to judge it by")
    trial.complete(watch.accuracy, watch.loss)


def _fail(trial: OpenTrial, error: str) -> None:
    try:
        trial.fail(error)
    except GivenUp:
        pass  # it is failed already


class _Watch:
    """Follow a training: report its epochs, beat, remember the best.

    `judged` is the phase whose epochs are compared with those of other trials: what is searched
    does not change the phases before it, but for the image size and the width.
    """

    def __init__(self, trial: OpenTrial, plan: SearchPlan, events: Events) -> None:
        self._trial, self._plan, self._events = trial, plan, events
        self._phase, self._epoch = "", 0
        self.judged = ""
        self.accuracy, self.loss = -math.inf, math.inf

    def events(self) -> Events:
        """Return what the trainer tells of its progress."""
        return replace(
            self._events, stage=self._stage, progress=self._progress, step=self._step,
            epoch=self._end_epoch,
        )  # fmt: skip

    def _stage(self, text: str) -> None:
        self._trial.beat()
        self._events.stage(f"trial {self._trial.number}: {text}")

    def _progress(self, done: int, total: int) -> None:
        self._trial.beat()
        self._events.progress(done, total)

    def _step(self, report: StepReport) -> None:
        self._trial.beat()
        self._events.step(replace(report, phase=f"trial {self._trial.number}, {report.phase}"))

    def _end_epoch(self, record: EpochRecord) -> None:
        self._epoch = self._epoch + 1 if record.phase == self._phase else 1
        self._phase = record.phase
        if (record.val_accuracy, -record.val_loss) > (self.accuracy, -self.loss):
            self.accuracy, self.loss = record.val_accuracy, record.val_loss
        self._events.epoch(record)
        before = self._plan.head_epochs if record.phase == FINE_TUNING else 0
        judged = record.phase == self.judged
        if self._trial.report(before + self._epoch, record.val_accuracy, judged=judged):
            raise _Hopeless

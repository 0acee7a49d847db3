"""Make what tests of a search need: trainers that only pretend, and studies in memory."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

import pytest

from mejiro.train.events import Events
from mejiro.train.history import EpochRecord
from mejiro.train.plan import FINE_TUNING, HEAD, Plan, plan_phases
from mejiro.train.settings import Settings
from mejiro.tune import Choices, Job, Range, SearchPlan, SharedStudy, Space
from mejiro.tune.space import AUGMENT, IMAGE_SIZE, RATE, Value
from mejiro.tune.storage import load_optuna
from mejiro.tune.study import Pruning

HEAD_EPOCHS, EPOCHS = 2, 4
AIM = {"the data": "birds (00112233445566ff)", "the model": "tiny", "--batch-size": "32"}

JoinStudy = Callable[..., SharedStudy]


def accuracy_of(values: Mapping[str, Value]) -> float:
    """Return how well a run with `values` ends: best at a rate of 0.01, strong, 128 pixels."""
    away = abs(math.log10(float(values[RATE])) + 2)
    bonus = {"none": 0.0, "light": 0.05, "strong": 0.1}[str(values[AUGMENT])]
    return 0.9 - 0.1 * away + bonus - (0.05 if values[IMAGE_SIZE] == 96 else 0.0)


def epoch_of(phase: str, epoch: int, accuracy: float, loss: float = 0.5) -> EpochRecord:
    """Return an epoch of which only the validation matters."""
    return EpochRecord(phase, epoch, 1.0, 1e-3, 0.5, 0.5, loss, accuracy)


class PretendTrainer:
    """Tell of epochs that rise to the accuracy of the trial's values; train nothing."""

    def __init__(self) -> None:
        self.seen: list[dict[str, Value]] = []
        self.epochs = 0

    def __call__(self, job: Job, events: Events) -> None:
        values = dict(job.command)
        self.seen.append(values)
        events.stage("training")
        for epoch in range(1, HEAD_EPOCHS + 1):
            self.tell(events, epoch_of(HEAD, epoch, 0.2))
        for epoch in range(1, EPOCHS + 1):
            accuracy = accuracy_of(values) * epoch / EPOCHS
            self.tell(events, epoch_of(FINE_TUNING, HEAD_EPOCHS + epoch, accuracy))

    def tell(self, events: Events, record: EpochRecord) -> None:
        self.epochs += 1
        events.progress(1, 1)
        events.epoch(record)


def make_job(number: int, values: Mapping[str, Value]) -> Job:
    """Return a job that carries its values."""
    plan = Plan(head_epochs=HEAD_EPOCHS, epochs=EPOCHS)
    return Job(
        number, Settings("tiny", plan_phases(plan, pretrained=True, augment=False)), dict(values)
    )


def make_space() -> Space:
    """Return a space of three dimensions; what is usual is not the best."""
    return Space(
        {
            RATE: Range(1e-5, 1e-1),
            AUGMENT: Choices(("none", "light", "strong")),
            IMAGE_SIZE: Choices((96, 128)),
        },
        {RATE: 1e-4, AUGMENT: "light", IMAGE_SIZE: 96},
    )


def join_study(
    storage: Any = None,
    *,
    name: str = "birds",
    aim: Mapping[str, str] = AIM,
    seed: int = 7,
    pruning: Pruning | None = None,
    space: Space | None = None,
) -> SharedStudy:
    """Join a study; without a storage, a new one in memory."""
    return SharedStudy.join(
        storage or load_optuna().storages.InMemoryStorage(),
        name,
        space or make_space(),
        aim,
        seed=seed,
        pruning=pruning or Pruning(first_step=HEAD_EPOCHS + 1),
        where="this study",
    )


@pytest.fixture
def pretend() -> SimpleNamespace:
    """Return what a search takes, without anything that is trained."""
    return SimpleNamespace(
        Trainer=PretendTrainer,
        join=join_study,
        plan=lambda trials, **more: SearchPlan(trials, HEAD_EPOCHS, make_job, **more),
        job=make_job,
        space=make_space,
        epoch=epoch_of,
        accuracy=accuracy_of,
        aim=AIM,
        head_epochs=HEAD_EPOCHS,
        epochs=EPOCHS,
    )

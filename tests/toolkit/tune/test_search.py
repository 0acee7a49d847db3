"""Carrying out trials: the order of draws, pruning, ends, failures, interruptions."""

from __future__ import annotations

import math
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from mejiro.errors import DataError, MejiroError, UsageError
from mejiro.train.events import Events, Interrupted, StepReport
from mejiro.train.plan import FINE_TUNING, HEAD, Plan, plan_phases
from mejiro.train.settings import Settings
from mejiro.tune import Job, State, StudyRecord, search
from mejiro.tune.search import pruning_of
from mejiro.tune.space import Choices, Range, Space
from mejiro.tune.storage import open_journal
from mejiro.tune.study import Pruning

QUIET = Events()


def drawn(record: StudyRecord) -> list[dict[str, object]]:
    return [dict(trial.values) for trial in record.trials]


def test_the_first_trial_is_what_training_does_by_itself(pretend: SimpleNamespace) -> None:
    record = search(pretend.join(), pretend.plan(2), pretend.Trainer(), QUIET)
    assert record.trials[0].values == {"rate": 1e-4, "augment": "light", "image_size": 96}
    assert record.trials[1].values != record.trials[0].values


def test_what_is_narrowed_is_drawn_for_the_first_trial_too(pretend: SimpleNamespace) -> None:
    full = pretend.space()
    narrow = Space({**full.dimensions, "rate": Range(1e-3, 1e-1)}, full.usual)
    record = search(pretend.join(space=narrow), pretend.plan(1), pretend.Trainer(), QUIET)
    (trial,) = record.trials
    assert trial.values["augment"] == "light"
    assert 1e-3 <= float(trial.values["rate"]) <= 1e-1


def test_a_search_finds_what_is_better(pretend: SimpleNamespace) -> None:
    record = search(pretend.join(), pretend.plan(25), pretend.Trainer(), QUIET)
    best = record.best
    assert best is not None
    assert best.accuracy is not None
    assert best.accuracy > 0.95
    assert best.accuracy == pretend.accuracy(best.values)
    assert best.values["augment"] == "strong"


def test_one_process_with_one_seed_repeats(pretend: SimpleNamespace) -> None:
    one, other, third = (
        search(pretend.join(seed=seed), pretend.plan(14), pretend.Trainer(), QUIET)
        for seed in (3, 3, 4)
    )
    assert drawn(one) == drawn(other)
    assert [trial.state for trial in one.trials] == [trial.state for trial in other.trials]
    assert drawn(one)[1:] != drawn(third)[1:]


def test_a_study_that_is_gone_on_with_draws_what_it_would_have_drawn(
    pretend: SimpleNamespace, tmp_path: Path
) -> None:
    undisturbed = search(pretend.join(), pretend.plan(14), pretend.Trainer(), QUIET)
    path = tmp_path / "study.journal"
    for trials in (1, 4, 5, 12, 14):
        study = pretend.join(open_journal(path))
        record = search(study, pretend.plan(trials), pretend.Trainer(), QUIET)
        assert len(record.finished) == trials
    assert drawn(record) == drawn(undisturbed)


def test_hopeless_trials_are_pruned(pretend: SimpleNamespace) -> None:
    trainer = pretend.Trainer()
    record = search(pretend.join(), pretend.plan(25), trainer, QUIET)
    pruned = [trial for trial in record.trials if trial.state is State.PRUNED]
    assert pruned
    whole = pretend.head_epochs + pretend.epochs
    assert all(len(trial.curve) < whole for trial in pruned)
    assert trainer.epochs == sum(len(trial.curve) for trial in record.trials)
    assert trainer.epochs < 25 * whole
    # Not before the head is trained, and a quarter of what follows.
    assert min(len(trial.curve) for trial in pruned) > pretend.head_epochs
    assert record.best not in pruned


def test_what_the_head_reached_saves_no_trial(pretend: SimpleNamespace) -> None:
    """Settings of the last phase do not show before it."""

    def trainer(job: Job, events: Events) -> None:
        events.epoch(pretend.epoch(HEAD, 1, 0.8))
        events.epoch(pretend.epoch(HEAD, 2, 0.8))
        end = 0.9 if job.number < 6 else 0.7
        for epoch in range(1, 5):
            events.epoch(pretend.epoch(FINE_TUNING, epoch, end))

    record = search(pretend.join(), pretend.plan(7), trainer, QUIET)
    assert [trial.state for trial in record.trials] == [State.COMPLETE] * 6 + [State.PRUNED]
    last = record.trials[6]
    assert last.curve == ((1, 0.8), (2, 0.8), (3, 0.7))
    assert last.accuracy == 0.8


def test_without_pruning_all_go_to_their_end(pretend: SimpleNamespace) -> None:
    study = pretend.join(pruning=Pruning(use=False))
    record = search(study, pretend.plan(12), pretend.Trainer(), QUIET)
    assert {trial.state for trial in record.trials} == {State.COMPLETE}


def test_finished_trials_are_counted_not_those_of_this_process(pretend: SimpleNamespace) -> None:
    study, trainer = pretend.join(), pretend.Trainer()
    search(study, pretend.plan(3), trainer, QUIET)
    search(study, pretend.plan(3), trainer, QUIET)
    assert len(trainer.seen) == 3


def test_a_trial_without_the_head_phase_stands_beside_the_later_epochs_of_others(
    pretend: SimpleNamespace,
) -> None:
    def trainer(job: Job, events: Events) -> None:
        events.epoch(pretend.epoch(FINE_TUNING, 1, 0.5))
        events.epoch(pretend.epoch(FINE_TUNING, 2, 0.6))

    record = search(pretend.join(), pretend.plan(1), trainer, QUIET)
    first = pretend.head_epochs + 1
    assert record.trials[0].curve == ((first, 0.5), (first + 1, 0.6))


def test_the_best_epoch_counts_and_the_surer_of_equals(pretend: SimpleNamespace) -> None:
    def trainer(job: Job, events: Events) -> None:
        for epoch, (accuracy, loss) in enumerate([(0.5, 0.1), (0.8, 0.9), (0.8, 0.4), (0.7, 0.2)]):
            events.epoch(pretend.epoch(HEAD, epoch + 1, accuracy, loss))

    record = search(pretend.join(), pretend.plan(1), trainer, QUIET)
    assert (record.trials[0].accuracy, record.trials[0].val_loss) == (0.8, 0.4)


def test_a_loss_that_is_no_number_is_kept_as_none(pretend: SimpleNamespace) -> None:
    def trainer(job: Job, events: Events) -> None:
        events.epoch(pretend.epoch(HEAD, 1, 0.5, math.nan))

    record = search(pretend.join(), pretend.plan(1), trainer, QUIET)
    assert record.trials[0].val_loss is None
    assert record.trials[0].accuracy == 0.5


def test_a_failed_trial_does_not_count(pretend: SimpleNamespace) -> None:
    trainer, notes = pretend.Trainer(), []

    def sometimes(job: Job, events: Events) -> None:
        if job.number == 1:
            raise DataError("the disk is full")
        trainer(job, events)

    record = search(pretend.join(), pretend.plan(3), sometimes, Events(note=notes.append))
    assert len(record.finished) == 3
    assert record.trials[1].state is State.FAILED
    assert record.trials[1].error == "the disk is full"
    assert notes == ["trial 1 failed: the disk is full"]


def test_failures_in_a_row_end_the_search(pretend: SimpleNamespace) -> None:
    def never(job: Job, events: Events) -> None:
        raise DataError("no memory")

    study = pretend.join()
    with pytest.raises(MejiroError, match="3 trials failed .* no memory"):
        search(study, pretend.plan(9), never, QUIET)
    assert [trial.state for trial in study.record(9).trials] == [State.FAILED] * 3


def test_a_trial_without_epochs_failed(pretend: SimpleNamespace) -> None:
    with pytest.raises(MejiroError, match="no epoch"):
        search(pretend.join(), pretend.plan(1), lambda job, events: None, QUIET)


def test_wrong_usage_ends_the_search_at_once(pretend: SimpleNamespace) -> None:
    def never(job: Job, events: Events) -> None:
        raise UsageError("there is no layer 'x'")

    study = pretend.join()
    with pytest.raises(UsageError, match="no layer"):
        search(study, pretend.plan(9), never, QUIET)
    assert [trial.error for trial in study.record(9).trials] == ["there is no layer 'x'"]


def test_a_defect_is_kept_and_goes_on(pretend: SimpleNamespace) -> None:
    def broken(job: Job, events: Events) -> None:
        raise ZeroDivisionError("by zero")

    study = pretend.join()
    with pytest.raises(ZeroDivisionError):
        search(study, pretend.plan(9), broken, QUIET)
    assert study.record(9).trials[0].error == "ZeroDivisionError: by zero"


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, Interrupted])
def test_an_interrupted_trial_is_left_out_and_its_values_are_tried_again(
    pretend: SimpleNamespace, interruption: type[BaseException]
) -> None:
    study, trainer = pretend.join(), pretend.Trainer()

    def interrupted(job: Job, events: Events) -> None:
        raise interruption

    with pytest.raises(Interrupted, match="stopped in trial 0.*same command"):
        search(study, pretend.plan(2), interrupted, QUIET)
    record = search(study, pretend.plan(2), trainer, QUIET)
    assert [trial.state.value for trial in record.trials] == ["failed", "complete", "complete"]
    assert record.trials[0].error == "interrupted"
    # What is usual is still what comes first.
    assert record.trials[1].values == record.trials[0].values


def test_the_last_trials_of_others_are_waited_for(
    pretend: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    study, trainer, stages = pretend.join(), pretend.Trainer(), []
    other = study.begin()
    waits = []

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        other.complete(0.5, 0.5)

    monkeypatch.setattr(time, "sleep", sleep)
    record = search(study, pretend.plan(1), trainer, Events(stage=stages.append))
    assert len(waits) == 1
    assert trainer.seen == []
    assert stages == ["waiting for 1 of other processes"]
    assert record.best is not None
    assert record.best.number == other.number


def test_a_trial_that_others_gave_up_is_left_out(pretend: SimpleNamespace) -> None:
    from mejiro.tune.storage import load_optuna

    optuna = load_optuna()
    storage = optuna.storages.InMemoryStorage()
    study, trainer, notes = pretend.join(storage), pretend.Trainer(), []

    def slow(job: Job, events: Events) -> None:
        if job.number == 0:
            same = optuna.load_study(study_name="birds", storage=storage)
            same.tell(0, state=optuna.trial.TrialState.FAIL)
        trainer(job, events)

    record = search(study, pretend.plan(1), slow, Events(note=notes.append))
    assert [trial.state for trial in record.trials] == [State.FAILED, State.COMPLETE]
    assert len(notes) == 1
    assert "took trial 0 for dead" in notes[0]


def test_each_trial_is_told_of_with_the_study_as_it_is(pretend: SimpleNamespace) -> None:
    told: list[tuple[int, int]] = []
    plan = pretend.plan(
        3, on_trial=lambda number, record: told.append((number, len(record.finished)))
    )
    search(pretend.join(), plan, pretend.Trainer(), QUIET)
    assert told == [(0, 1), (1, 2), (2, 3)]


def test_what_a_trainer_tells_names_its_trial(pretend: SimpleNamespace) -> None:
    stages, phases = [], []

    def trainer(job: Job, events: Events) -> None:
        events.stage("decoding")
        events.step(StepReport(HEAD, 1, 1, 1, 1, 1e-3, 0.5, 0.5, None))
        events.epoch(pretend.epoch(HEAD, 1, 0.5))

    events = Events(stage=stages.append, step=lambda report: phases.append(report.phase))
    search(pretend.join(), pretend.plan(1), trainer, events)
    assert stages == ["trial 0: decoding"]
    assert phases == [f"trial 0, {HEAD}"]


def test_pruning_begins_in_the_second_quarter_of_the_last_phase() -> None:
    def settings(pretrained: bool, **plan: int) -> Settings:
        phases = plan_phases(Plan(**plan), pretrained=pretrained, augment=False)
        return Settings("m", phases, weights=None if pretrained else "none")

    assert pruning_of(settings(True, head_epochs=30, epochs=8), use=True) == Pruning(True, 32)
    assert pruning_of(settings(True, head_epochs=30, epochs=1), use=True) == Pruning(True, 31)
    assert pruning_of(settings(False, epochs=40), use=False) == Pruning(False, 10)


def test_a_rate_that_only_some_trials_have_is_drawn_too(pretend: SimpleNamespace) -> None:
    def trainer(job: Job, events: Events) -> None:
        events.epoch(pretend.epoch(HEAD, 1, 0.5 + 0.4 * float(job.command.get("rate", 0))))

    space = Space({"rate": Range(1e-3, 1.0), "freeze": Choices(("default", "backbone"))})
    record = search(pretend.join(space=space), pretend.plan(25), trainer, QUIET)
    kinds = {frozenset(trial.values) for trial in record.trials}
    assert kinds == {frozenset({"freeze"}), frozenset({"freeze", "rate"})}

"""Sharing a study: who may join, who is gone, and two processes at once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mejiro.errors import UsageError
from mejiro.train.events import Events
from mejiro.tune import State, search
from mejiro.tune.storage import load_optuna, open_database, open_journal
from mejiro.tune.study import GivenUp
from mejiro.tune.worker import SILENCE_S, Worker

QUIET = Events()

# Searches for 5 trials: in company, so that trials overlap, or until it is killed in trial 2.
PROGRAM = """
import os, signal, sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import conftest
from mejiro.train.events import Events
from mejiro.tune import SearchPlan, search
from mejiro.tune.storage import open_journal

study = conftest.join_study(open_journal(Path(sys.argv[2])))

class Trainer(conftest.PretendTrainer):
    def __call__(self, job, events):
        while sys.argv[3] == "in company" and len(study.record(5).trials) < 2:
            time.sleep(0.01)
        super().__call__(job, events)
        if sys.argv[3] == "die" and job.number == 2:
            os.kill(os.getpid(), signal.SIGKILL)

trainer = Trainer()
search(study, SearchPlan(5, conftest.HEAD_EPOCHS, conftest.make_job), trainer, Events())
print(len(trainer.seen))
"""


@pytest.fixture(params=["journal", "sqlite"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    """Return a function that opens the storage of one study, as each process would."""
    if request.param == "journal":
        return lambda: open_journal(tmp_path / "study.journal")
    return lambda: open_database(f"sqlite:///{tmp_path / 'study.db'}")


def start(path: Path, how: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", PROGRAM, str(Path(__file__).parent), str(path), how]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_what_one_process_finished_the_next_one_knows(
    pretend: SimpleNamespace, storage: Any
) -> None:
    first = search(pretend.join(storage()), pretend.plan(2), pretend.Trainer(), QUIET)
    again = pretend.join(storage()).record(2)
    assert [replace(trial, seconds=None) for trial in again.trials] == [
        replace(trial, seconds=None) for trial in first.trials
    ]
    assert again.aim == pretend.aim
    assert json.loads(json.dumps(again.to_json(), allow_nan=False))["finished"] == 2


def test_two_processes_share_one_study(tmp_path: Path, pretend: SimpleNamespace) -> None:
    path = tmp_path / "study.journal"
    processes = [start(path, "in company") for _ in range(2)]
    done = [int(process.communicate(timeout=120)[0]) for process in processes]
    record = pretend.join(open_journal(path)).record(5)
    # One more where both begin a last trial in the same moment.
    assert 5 <= len(record.finished) == sum(done) <= 6
    assert all(done)
    values = [tuple(sorted(trial.values.items())) for trial in record.trials]
    assert len(set(values)) == len(values)  # though both have the same seed


def test_a_killed_process_leaves_a_failed_trial(tmp_path: Path, pretend: SimpleNamespace) -> None:
    path = tmp_path / "study.journal"
    process = start(path, "die")
    process.communicate(timeout=120)
    assert process.returncode < 0
    study, notes = pretend.join(open_journal(path)), []
    before = study.record(5).trials
    assert [trial.state for trial in before] == [State.COMPLETE, State.COMPLETE, State.RUNNING]
    record = search(study, pretend.plan(5), pretend.Trainer(), Events(note=notes.append))
    assert [trial.state for trial in record.trials[:3]] == [
        State.COMPLETE, State.COMPLETE, State.FAILED
    ]  # fmt: skip
    assert record.trials[2].error == "its process ended"
    assert len(record.finished) == 5
    assert notes == ["trial 2 failed: its process ended"]


def test_one_who_lives_keeps_its_trial(pretend: SimpleNamespace, storage: Any) -> None:
    trial = pretend.join(storage()).begin()
    other = pretend.join(storage())
    assert other.fail_abandoned() == []
    trial.complete(0.5, 0.5)
    assert other.record(1).trials[0].accuracy == 0.5


def abandon(storage: Any, **attributes: Any) -> None:
    """Begin a trial as another process would have, and leave it."""
    optuna = load_optuna()
    trial = optuna.load_study(study_name="birds", storage=storage).ask()
    for name, value in attributes.items():
        trial.set_user_attr(name, value)


@pytest.mark.parametrize(
    ("worker", "silent_s", "gone"),
    [
        ({"machine": "elsewhere"}, 5.0, False),
        ({"machine": "elsewhere"}, SILENCE_S + 5, True),
        ({}, SILENCE_S + 5, False),  # lives here, however long it was silent
        ({"started": 1}, 5.0, True),  # its number has been given to another process
        ({"pid": 2**22 + 5}, 5.0, True),
    ],
)
def test_the_dead_are_told_from_the_living(
    pretend: SimpleNamespace, worker: dict[str, Any], silent_s: float, gone: bool
) -> None:
    storage = load_optuna().storages.InMemoryStorage()
    study = pretend.join(storage)
    abandon(
        storage,
        worker=replace(Worker.this(), **worker).to_json(),
        beat=time.time() - silent_s,
    )
    assert study.fail_abandoned() == ([0] if gone else [])
    assert study.fail_abandoned() == []


def test_a_trial_that_nobody_signed_yet_is_left_for_a_while(pretend: SimpleNamespace) -> None:
    storage = load_optuna().storages.InMemoryStorage()
    study = pretend.join(storage)
    abandon(storage)
    assert study.fail_abandoned() == []


def test_whoever_was_given_up_is_told(pretend: SimpleNamespace, storage: Any) -> None:
    study = pretend.join(storage())
    trial = study.begin()
    optuna = load_optuna()
    other = optuna.load_study(study_name="birds", storage=storage())
    other.tell(trial.number, state=optuna.trial.TrialState.FAIL)
    with pytest.raises(GivenUp):
        trial.report(1, 0.5)
    with pytest.raises(GivenUp):
        trial.complete(0.5, 0.5)


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"the data": "fish (ffeeddccbbaa9988)"}, r"the data birds \(0011.*found fish"),
        ({"the model": "large"}, "the model tiny, found large"),
        ({"--batch-size": "64"}, "--batch-size 32, found 64"),
        ({"--loss": "focal"}, "--loss nothing, found focal"),
    ],
)
def test_a_study_of_something_else_is_refused(
    pretend: SimpleNamespace, storage: Any, changed: dict[str, str], named: str
) -> None:
    pretend.join(storage())
    with pytest.raises(UsageError, match=f"^this study was begun with {named}") as caught:
        pretend.join(storage(), aim={**pretend.aim, **changed})
    assert "\n" not in str(caught.value)


def test_the_same_pictures_elsewhere_are_the_same(pretend: SimpleNamespace, storage: Any) -> None:
    pretend.join(storage())
    pretend.join(storage(), aim={**pretend.aim, "the data": "copy (00112233445566ff)"})


def test_a_study_of_another_program_is_refused(pretend: SimpleNamespace) -> None:
    storage = load_optuna().storages.InMemoryStorage()
    other = load_optuna().create_study(storage=storage, study_name="birds", direction="maximize")
    other.tell(other.ask(), 1.0)
    with pytest.raises(UsageError, match="not begun by `mejiro tune-training`"):
        pretend.join(storage)


def test_a_sign_of_life_is_kept_now_and_then(
    pretend: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = load_optuna().storages.InMemoryStorage()
    trial = pretend.join(storage).begin()
    same = load_optuna().load_study(study_name="birds", storage=storage)
    first = same.trials[0].user_attrs["beat"]
    trial.beat()
    assert same.trials[0].user_attrs["beat"] == first
    later = time.monotonic() + 1000
    monkeypatch.setattr(time, "monotonic", lambda: later)
    trial.beat()
    assert same.trials[0].user_attrs["beat"] > first


def test_this_worker_lives_and_is_read_as_it_is_written() -> None:
    worker = Worker.this()
    assert worker.pid == os.getpid()
    assert not worker.is_gone(1e9)
    assert Worker.from_json(worker.to_json()) == worker


@pytest.mark.parametrize(
    "value", [None, 3, {}, {"host": "a"}, {"host": 1, "machine": "", "pid": 1}]
)
def test_what_is_no_worker_is_none(value: object) -> None:
    assert Worker.from_json(value) is None


def test_a_child_that_has_ended_is_gone_even_unwaited() -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    stat = Path(f"/proc/{child.pid}/stat").read_text(encoding="ascii")
    worker = replace(Worker.this(), pid=child.pid, started=int(stat.rpartition(")")[2].split()[19]))
    assert not worker.is_gone(0)
    child.kill()
    deadline = time.monotonic() + 10
    while not worker.is_gone(0) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert worker.is_gone(0)
    child.communicate()

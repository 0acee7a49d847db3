"""Keep a study in its folder: the journal, what is known of the trials, the best run."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mejiro.errors import UsageError
from mejiro.tune.aim import check_aim
from mejiro.tune.records import State, StudyRecord
from mejiro_runtime.fields import Fields, read_json
from mejiro_runtime.files import write_json

JOURNAL, TRIALS_JSON = "study.journal", "trials.json"
TRIALS, PIXELS = "trials", "pixels"


def check_study_folder(folder: Path, *, journal: bool) -> None:
    """Raise UsageError unless `folder` is free, or holds a study kept in the same way.

    `journal` says that the study is kept in the folder, not in a database.
    """
    if not folder.exists() and not folder.is_symlink():
        return
    if not folder.is_dir():
        raise UsageError(f"{folder} is a file; give a folder to keep the study in with --out")
    kept, known = (folder / JOURNAL).is_file(), (folder / TRIALS_JSON).is_file()
    if kept and not journal:
        raise UsageError(
            f"{folder} holds a study of its own in {JOURNAL}; leave --storage out, or give "
            "another --out"
        )
    if known and not kept and journal:
        raise UsageError(
            f"{folder} holds the trials of a study in a database; give its --storage, or another "
            "--out"
        )
    if not (kept or known) and any(folder.iterdir()):
        raise UsageError(f"{folder} is there and is no study; give another --out")


def check_same_study(folder: Path, aim: Mapping[str, str]) -> None:
    """Raise UsageError if `folder` holds the trials of a study with another aim."""
    path = folder / TRIALS_JSON
    if path.is_file():
        kept = Fields(read_json(path), str(path)).mapping("aim")
        check_aim(str(folder), kept, aim)


def trial_folder(folder: Path, number: int) -> Path:
    """Return the folder of one trial's run."""
    return folder / TRIALS / str(number)


def write_trials(folder: Path, record: StudyRecord, also: dict[str, Any]) -> None:
    """Write what is known of the trials for programs, and what is `also` to be told."""
    write_json(folder / TRIALS_JSON, {**record.to_json(), **also})


def keep_best(folder: Path, record: StudyRecord) -> None:
    """Remove the runs of all trials but the best one and those that are under way."""
    for trial in record.trials:
        if trial is not record.best and trial.state is not State.RUNNING:
            shutil.rmtree(trial_folder(folder, trial.number), ignore_errors=True)


def remove_pixels(folder: Path) -> None:
    """Remove the decoded pictures, which can be made again."""
    shutil.rmtree(folder / PIXELS, ignore_errors=True)

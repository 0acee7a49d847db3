"""Define `mejiro tune-training`."""

from __future__ import annotations

import shlex
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from mejiro.cli import options
from mejiro.cli.console import Reporter, note, print_json, progress, say
from mejiro.cli.training import kept_options, make_settings
from mejiro.cli.tuning import (
    aim_options,
    base_options,
    check_space,
    given_dimensions,
    run_options,
    space_of,
    train_words,
    tuning_parameters,
)
from mejiro.data.dataset import Dataset, read_dataset
from mejiro.errors import DataError, UsageError
from mejiro.report.training import write_training_report
from mejiro.report.tuning import PAGE_NAME, Findings, write_tuning_report
from mejiro.report.tuning.words import plain, told, value_words
from mejiro.train import Settings
from mejiro.train.events import Events, StepReport
from mejiro.train.folder import is_run
from mejiro.train.freezing import parse_freeze
from mejiro.train.machine import Device, Machine
from mejiro.train.plan import HEAD
from mejiro.tune import Job, SearchPlan, SharedStudy, Space, State, StudyRecord, search
from mejiro.tune.aim import make_aim
from mejiro.tune.folder import (
    JOURNAL,
    check_same_study,
    check_study_folder,
    keep_best,
    remove_pixels,
    trial_folder,
    write_trials,
)
from mejiro.tune.search import pruning_of
from mejiro.tune.space import (
    ALPHA,
    FREEZE,
    FREEZE_DEFAULT,
    IMAGE_SIZE,
    Choices,
    Dimension,
    Value,
)
from mejiro.tune.storage import (
    load_optuna,
    open_database,
    open_journal,
    storage_errors,
    without_password,
)
from mejiro.tune.trainer import ApartTrainer, count_layers

# The one study of a journal; in a database it may be one of many.
_ONLY_STUDY = "training"
_BEST = "best"
# The page is drawn anew when a trial has ended, but not more often than this.
PAGE_S = 60.0


@click.command("tune-training", params=tuning_parameters())
@options.as_json
def tune_training(as_json: bool, **given: Any) -> None:
    """Search for the settings that train best on the pictures in DATA.

    Each trial is a training run with a rate, an augmentation, a depth to freeze, a width and an
    image size; what is not searched is as in `mejiro train`. Ended by Ctrl-C, or killed, a study
    goes on with the same command, and that command given again meanwhile, in another terminal or
    on another machine that sees the storage, works on the same study. At the end the command that
    trains with the best values is printed; the best run itself lies in OUT/trials.

    \b
    Examples:
      mejiro tune-training flowers --model mobilenet-v2 --trials 20 --out study
      mejiro tune-training flowers --model mobilenet-v2 --trials 20 --out study \\
          --image-size 160 --image-size 224 --rate 1e-5..1e-3
    """
    tuning, record = _tune(given)
    best = record.best
    if best is None:
        raise DataError(f"no trial went to its end; {given['out']}/trials.json says why")
    findings = tuning.findings(record)
    if as_json:
        print_json({**record.to_json(), **tuning.also(record)})
    else:
        _print(tuning, findings)


@dataclass(frozen=True)
class _Tuning:
    """Hold what a study is made of. `base` are the options of a run before anything is searched."""

    folder: Path
    base: Mapping[str, Any]
    dataset: Dataset
    space: Space
    trials: int

    def make_job(self, number: int, values: Mapping[str, Value]) -> Job:
        """Return the run that has the values of a trial."""
        run = run_options(self.base, values)
        return Job(number, make_settings(run), kept_options(run))

    def words(self, record: StudyRecord) -> list[str] | None:
        """Return the command line that trains with the best values so far."""
        if record.best is None:
            return None
        run = run_options(self.base, record.best.values)
        return train_words(run, str(self.folder / _BEST))

    def best_run(self, record: StudyRecord) -> Path | None:
        """Return the folder of the best run, if it lies here."""
        if record.best is None:
            return None
        folder = trial_folder(self.folder, record.best.number)
        return folder if is_run(folder) else None

    def also(self, record: StudyRecord) -> dict[str, Any]:
        """Return what programs are told beside the trials."""
        run = self.best_run(record)
        return {
            "command": self.words(record),
            "run": None if run is None else str(run),
            "val_pictures": len(self.dataset.val),
        }

    def findings(self, record: StudyRecord) -> Findings:
        """Return what people are told of the study."""
        words, run = self.words(record), self.best_run(record)
        return Findings(
            record=record,
            searched=self.space.searched,
            usual=self.space.usual,
            val_pictures=len(self.dataset.val),
            command=shlex.join(words) if words else "",
            run="" if run is None else str(run.relative_to(self.folder)),
        )

    def write(self, record: StudyRecord, *, page: bool) -> None:
        """Write what is known now: for programs, and for people as a `page`."""
        keep_best(self.folder, record)
        write_trials(self.folder, record, self.also(record))
        if page:
            write_tuning_report(self.folder, self.findings(record))


def _tune(given: Mapping[str, Any]) -> tuple[_Tuning, StudyRecord]:
    load_optuna()  # its absence is said before anything takes time
    base = base_options(given)
    settings = make_settings(base)
    folder, url = given["out"], given["storage"]
    if given["study"] and not url:
        raise UsageError("--study names a study in a database; give --storage, or leave it out")
    check_study_folder(folder, journal=not url)
    machine = Machine(Device(given["device"]), given["threads"])
    with progress() as shown:
        dataset = _read(given, shown)
        space = _space(base, given_dimensions(given), len(dataset.labels), machine, shown)
        tuning = _Tuning(folder, base, dataset, space, given["trials"])
        with storage_errors(without_password(url) if url else str(folder)):
            study = _join(tuning, settings, given)
            trainer = ApartTrainer(dataset, folder, machine)
            try:
                search(study, _plan(tuning, settings, shown), trainer, _events(shown))
            finally:
                record = study.record(tuning.trials)
                tuning.write(record, page=bool(record.trials))
        shown.stage("writing the report of the best run")
        _finish(tuning, record, keep_cache=given["keep_cache"])
    return tuning, record


def _join(tuning: _Tuning, settings: Settings, given: Mapping[str, Any]) -> SharedStudy:
    """Join the study that the options name, or begin it."""
    folder, url = tuning.folder, given["storage"]
    aim = make_aim(tuning.dataset, settings.model, tuning.space, aim_options(tuning.base))
    check_same_study(folder, aim)
    name = given["study"] or f"{tuning.dataset.name}-{Path(settings.model).name}"
    study = SharedStudy.join(
        open_database(url) if url else open_journal(folder / JOURNAL),
        name if url else _ONLY_STUDY,
        tuning.space,
        aim,
        seed=settings.seed,
        pruning=pruning_of(settings, use=given["pruning"]),
        where=f"the study '{name}' in {without_password(url)}" if url else str(folder),
    )
    tuning.write(study.record(tuning.trials), page=False)
    return study


def _finish(tuning: _Tuning, record: StudyRecord, *, keep_cache: bool) -> None:
    if not keep_cache:
        remove_pixels(tuning.folder)
    run = tuning.best_run(record)
    if run is not None:
        write_training_report(run)


def _read(given: Mapping[str, Any], shown: Reporter) -> Dataset:
    shown.stage(f"reading {given['data']}")
    dataset = read_dataset(
        given["data"], val=given["val"], archive=given["archive"], on_progress=shown.advance
    )
    for line in dataset.notes.lines():
        shown.note(line)
    return dataset


def _space(
    base: Mapping[str, Any],
    dimensions: Mapping[str, Dimension],
    classes: int,
    machine: Machine,
    shown: Reporter,
) -> Space:
    """Return the space to search, each value of which can be trained with."""
    one = {name: dimensions[name].corners[0] for name in (ALPHA, IMAGE_SIZE) if name in dimensions}
    depths = dimensions.get(FREEZE)
    freezes = [
        parse_freeze(str(depth))
        for depth in (depths.values if isinstance(depths, Choices) else ())
        if depth != FREEZE_DEFAULT
    ]
    settings = make_settings(base)
    # Once without the layers, which take some seconds to count: most mistakes are found so.
    check_space(space_of(settings, dimensions, 0), base)
    opened = make_settings(run_options(base, one))
    layers = count_layers(opened, classes, freezes, machine, _events(shown))
    return space_of(settings, dimensions, layers)


def _plan(tuning: _Tuning, settings: Settings, shown: Reporter) -> SearchPlan:
    drawn = time.monotonic()

    def on_trial(number: int, record: StudyRecord) -> None:
        nonlocal drawn
        now = time.monotonic()
        due = now - drawn >= PAGE_S
        drawn = now if due else drawn
        tuning.write(record, page=due)
        trial = next(trial for trial in record.trials if trial.number == number)
        if trial.state is not State.FAILED:
            shown.note(told(trial, record))

    head = sum(phase.epochs for phase in settings.phases if phase.name == HEAD)
    return SearchPlan(tuning.trials, head, tuning.make_job, on_trial)


def _events(shown: Reporter) -> Events:
    def step(report: StepReport) -> None:
        shown.describe(
            f"{report.phase} {report.epoch}/{report.epochs}: loss {report.loss:.3f}, accuracy "
            f"{100 * report.accuracy:.1f}%"
        )

    return Events(stage=shown.stage, progress=shown.advance, step=step, note=shown.note)


def _print(tuning: _Tuning, findings: Findings) -> None:
    record, best = findings.record, findings.record.best
    if best is None or best.accuracy is None:
        return
    say(
        f"best of {len(record.finished)} trials: {100 * best.accuracy:.1f}% of "
        f"{findings.val_pictures} validation pictures right, in trial {best.number}"
    )
    rows = [(plain(name), value_words(value)) for name, value in best.values.items()]
    run = tuning.best_run(record)
    if run is not None:
        rows.append(("run", str(run)))
    rows.append(("report", str(tuning.folder / PAGE_NAME)))
    width = max(len(name) for name, _ in rows)
    for name, text in rows:
        say(f"  {name:{width}}  {text}")
    note("to train with these settings:")
    say(findings.command)

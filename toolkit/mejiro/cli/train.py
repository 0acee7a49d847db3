"""Define `mejiro train`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from mejiro.cli import options
from mejiro.cli.console import Reporter, note, print_json, progress, say
from mejiro.cli.training import kept_options, make_settings, training_options, with_kept
from mejiro.data.contact_sheet import write_contact_sheet
from mejiro.data.dataset import Dataset, read_dataset
from mejiro.errors import UsageError
from mejiro.report.training import write_training_report
from mejiro.train import Conduct, Run, Settings, open_run
from mejiro.train import train as run_training
from mejiro.train.events import Events, StepReport
from mejiro.train.folder import check_free, is_run
from mejiro.train.history import EpochRecord
from mejiro.train.machine import Device, Machine
from mejiro.train.preview import preview_pixels
from mejiro.train.settings import Balance
from mejiro.train.training import check_unfinished

# A class with so many times the pictures of another is worth a word.
UNEQUAL = 2


@click.command()
@click.argument("data", required=False)
@click.option("--out", type=options.PATH, help="The folder of the run.")
@click.option(
    "--preview",
    type=options.PATH,
    is_flag=False,
    flag_value=Path("preview.jpg"),
    metavar="[FILE]",
    help="Write augmented pictures to FILE (default: preview.jpg), and stop.",
)
@training_options
@options.as_json
def train(as_json: bool, **given: Any) -> None:
    """Train a network on the pictures in DATA.

    DATA is a folder with a folder of pictures for each class, or with train/ and val/, or cifar10
    or cifar100. The pretrained network gets a new head, which learns first, from features that
    are computed once; then all layers learn at a small rate. The best weights on the validation
    pictures are kept. OUT then holds the model, a report and all that was measured, and is a
    MODEL for `mejiro convert`.

    \b
    Examples:
      mejiro train flowers --model efficientnet-lite0 --out run
      mejiro train flowers --model mobilenet-v2 --out run --freeze backbone
      mejiro train --out run --resume
      mejiro convert run --out build
    """
    given = _complete(click.get_current_context(), given)
    settings = make_settings(given)
    with progress() as shown:
        shown.stage(f"reading {given['data']}")
        archive = given["archive"]
        dataset = read_dataset(
            given["data"],
            val=given["val"],
            archive=Path(archive) if archive else None,
            on_progress=shown.advance,
        )
        for line in (*dataset.notes.lines(), _imbalance(dataset, settings)):
            if line is not None:
                shown.note(line)
        if given["preview"] is not None:
            _preview(given, settings, dataset)
            return
        run = run_training(
            dataset,
            settings,
            given["out"],
            resume=given["resume"],
            force=given["force"],
            conduct=_conduct(given),
            events=_events(shown),
        )
        shown.stage("writing the report")
        page = write_training_report(run.folder)
    if as_json:
        print_json({**run.result(), "report": str(page)})
    else:
        _print(run, page)


def _complete(context: click.Context, given: dict[str, Any]) -> dict[str, Any]:
    """Return the options with those of the run that is gone on with; refuse what is missing."""
    out = given["out"]
    if given["resume"] and given["force"]:
        raise UsageError("--resume goes on and --force begins anew; leave one of them out")
    if out is None and given["preview"] is None:
        raise UsageError("give the folder to train in with --out")
    if given["resume"]:
        run = open_run(out)
        check_unfinished(run)
        stated = frozenset(
            name
            for name in given
            if context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE
        )
        given = with_kept(given, run.command, stated)
    elif given["preview"] is None and not (given["force"] and is_run(out)):
        check_free(out)
    for name, what in (("data", "DATA, a folder of pictures by class"), ("model", "--model NAME")):
        if given[name] is None:
            raise UsageError(f"give {what}; see `mejiro train --help`")
    return given


def _imbalance(dataset: Dataset, settings: Settings) -> str | None:
    """Say how unequal the classes are, if nothing is done about it."""
    counts = [train for train, _ in dataset.class_counts()]
    sizes = list(zip(counts, (label.short for label in dataset.labels), strict=True))
    (least, rare), (most, common) = min(sizes), max(sizes)
    if settings.balance is not Balance.NONE or most < UNEQUAL * max(1, least):
        return None
    return (
        f"the classes are unequal: {most} pictures of '{common}' to train on, {least} of "
        f"'{rare}'; --balance weights or sample gives them the same weight"
    )


def _conduct(given: Mapping[str, Any]) -> Conduct:
    return Conduct(
        machine=Machine(Device(given["device"]), given["threads"]),
        tensorboard=given["tensorboard"],
        keep_cache=given["keep_cache"],
        command=kept_options(given),
    )


def _events(shown: Reporter) -> Events:
    """Return what shows a run's progress: its rate, loss, accuracies and the time left."""
    validated = [""]

    def epoch(record: EpochRecord) -> None:
        validated[0] = f", validated {100 * record.val_accuracy:.1f}%"

    def step(report: StepReport) -> None:
        left = "" if report.seconds_left is None else f", {_clock(report.seconds_left)} left"
        shown.describe(
            f"{report.phase} {report.epoch}/{report.epochs}: rate {report.rate:.2g}, loss "
            f"{report.loss:.3f}, accuracy {100 * report.accuracy:.1f}%{validated[0]}{left}"
        )

    return Events(
        stage=shown.stage, progress=shown.advance, step=step, epoch=epoch, note=shown.note
    )


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}"


def _preview(given: Mapping[str, Any], settings: Settings, dataset: Dataset) -> None:
    pixels, truth, order = preview_pixels(dataset, settings)
    write_contact_sheet(
        given["preview"],
        pixels,
        truth,
        dataset.labels,
        settings.augmentation,
        seed=settings.seed,
        order=order,
    )
    say(f"wrote {given['preview']}")


def _print(run: Run, page: Path) -> None:
    result = run.result()
    say(
        f"{result['model']}: {100 * result['val_accuracy']:.1f}% of {result['val']} validation "
        f"pictures right, after epoch {result['kept_epoch']} of {result['epochs']}"
    )
    say(f"  model   {run.model}")
    say(f"  report  {page}")
    note(f"next: mejiro convert {run.folder} --out build --evaluate {run.command.get('data')}")

"""Define `mejiro prune`."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from mejiro.cli import opening, options
from mejiro.cli.console import note, print_json, progress, say
from mejiro.cli.finetuning import finetuning_events
from mejiro.cli.options import Function
from mejiro.cli.pruning import Method, Outcome, Request
from mejiro.cli.pruning_channel import CHANNEL
from mejiro.cli.pruning_magnitude import MAGNITUDE
from mejiro.errors import UsageError
from mejiro.quality.lessons import read_calibration, read_lessons
from mejiro.train.finetune import FinetuneSettings
from mejiro.train.settings import BatchNorm
from mejiro.zoo import check_replaceable, save_float_model

METHODS: dict[str, Method] = {"channel": CHANNEL, "magnitude": MAGNITUDE}
PRUNING_NAME = "pruning.json"
PRUNING_SCHEMA = 1
MOST_CALIBRATION = 200


def _method_options(function: Function) -> Function:
    """Add the options of all methods."""
    for method in reversed(METHODS.values()):
        for option in reversed(method.options):
            function = option(function)
    return function


@click.command()
@click.argument("model")
@click.option("--method", type=click.Choice(list(METHODS)), required=True, help="How to prune.")
@click.option("--out", type=options.PATH, required=True, help="The folder of the pruned model.")
@click.option("--data", type=options.PATH, help="Pictures to train on, in folders by class or not.")
@click.option(
    "--val",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    help="Share of --data to validate with.",
)
@_method_options
@click.option(
    "--epochs",
    type=click.IntRange(0, 100_000),
    default=FinetuneSettings.epochs,
    show_default=True,
    help="Of training while and after pruning; 0 for none.",
)
@click.option(
    "--rate",
    type=click.FloatRange(0, 100, min_open=True),
    default=FinetuneSettings.rate,
    show_default=True,
    help="The greatest learning rate.",
)
@click.option("--batch-size", type=click.IntRange(1, 65_536), default=32, show_default=True)
@click.option(
    "--batch-norm",
    type=click.Choice([one.value for one in BatchNorm]),
    default=FinetuneSettings.batch_norm.value,
    show_default=True,
)
@click.option("--seed", type=click.IntRange(0, 2**31 - 1), default=0, show_default=True)
@click.option(
    "--measure/--no-measure", default=True, help="Export, weigh and time the files; default: yes."
)
@opening.model_options
@options.as_json
def prune(model: str, method: str, out: Path, as_json: bool, **settings: Any) -> None:
    """Make MODEL smaller, and say what that is worth in files and in time.

    MODEL is what `mejiro convert` takes. OUT is then a model folder, a MODEL for `mejiro convert`
    with a pruning.json in it. While MODEL is pruned it is trained to answer as before: on the
    pictures in --data, with their labels where folders name the classes of MODEL, and on what
    MODEL itself says of them. A run of `mejiro train` brings its own pictures, and validates with
    those that it validated with.

    \b
    channel    whole channels go: a smaller network, faster where the clock says so
    magnitude  the smallest weights become zero: files that zip smaller, as fast as ever

    \b
    Examples:
      mejiro prune run --method channel --latency 0.6 --out narrow
      mejiro prune efficientnet-lite0 --method channel --macs 0.9 --out narrow
      mejiro prune run --method magnitude --sparsity 0.8 --out thin
      mejiro prune run --method magnitude --pattern 2:4 --data flowers --out thin
      mejiro convert thin --out build
    """
    chosen = METHODS[method]
    given = {name: settings[name] for name in chosen.names}
    _refuse_others(method, settings)
    chosen.check(given)
    check_replaceable(out)
    with progress() as shown, tempfile.TemporaryDirectory() as cache:
        shown.stage(f"opening {model}")
        opened = opening.open_float_model(model, settings)
        events = finetuning_events(shown)
        shown.stage("reading the pictures")
        data = settings["data"]
        pictures = None
        if settings["epochs"]:
            val = settings["val"]
            pictures = read_lessons(opened, model, data, Path(cache), val=val, events=events)
        request = Request(
            model=opened,
            options=given,
            training=FinetuneSettings(
                epochs=settings["epochs"] or 1,
                rate=settings["rate"],
                batch_size=settings["batch_size"],
                batch_norm=BatchNorm(settings["batch_norm"]),
                seed=settings["seed"],
            ),
            pictures=pictures,
            calibration=read_calibration(model, data, limit=MOST_CALIBRATION),
            measure=settings["measure"],
            events=events,
            shown=shown,
        )
        outcome = chosen.prune(request)
        record = {"schema": PRUNING_SCHEMA, "method": method, **outcome.record}
        shown.stage("writing the model")
        save_float_model(outcome.model, out, beside={PRUNING_NAME: record})
    _print(outcome, record, out, as_json=as_json)


def _print(outcome: Outcome, record: Mapping[str, Any], out: Path, *, as_json: bool) -> None:
    if as_json:
        print_json(record)
        return
    outcome.tell()
    for training in outcome.model.lineage.get("finetuned", [])[-1:]:
        said = "right" if training["labels"] else "answered as by the teacher"
        note(
            f"{100 * training['val_accuracy']:.1f}% of {training['val']} validation pictures "
            f"{said}, after epoch {training['kept_epoch']} of {training['epochs']}"
        )
    say(f"model: {out}")


def _refuse_others(method: str, settings: Mapping[str, Any]) -> None:
    """Raise UsageError for an option of another method, which would mean nothing."""
    own = METHODS[method].names
    for other, known in METHODS.items():
        for name in known.names:
            if name not in own and settings[name] is not None:
                raise UsageError(
                    f"--{name.replace('_', '-')} goes with --method {other}, not {method}; leave "
                    "it out"
                )

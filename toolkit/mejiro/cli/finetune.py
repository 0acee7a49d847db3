"""Define `mejiro finetune`."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import click

from mejiro.cli import opening, options
from mejiro.cli.console import Reporter, note, print_json, progress, say
from mejiro.cli.finetuning import finetuning_events
from mejiro.errors import UsageError
from mejiro.export.recipe import Recipe, read_recipe
from mejiro.model import FloatModel
from mejiro.quality.lessons import read_lessons
from mejiro.train.events import Events
from mejiro.train.finetune import FinetuneSettings, copied
from mejiro.train.finetune import finetune as run_finetuning
from mejiro.train.pictures import Pictures
from mejiro.train.qat import QatSettings, finetune_quantized
from mejiro.zoo import check_replaceable, open_model, save_float_model


@click.command()
@click.argument("model")
@click.option("--out", type=options.PATH, required=True, help="The folder of the trained model.")
@click.option("--data", type=options.PATH, help="Pictures to train on, in folders by class or not.")
@click.option(
    "--val",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    help="Share of --data to validate with.",
)
@click.option("--qat", is_flag=True, help="Train for int8: with the roundings of the int8 file.")
@click.option(
    "--recipe",
    type=options.PATH,
    help="With --qat: how the file will be quantized; see docs/recipes.md.",
)
@click.option(
    "--teacher",
    metavar="MODEL",
    help="A model to learn the answers of; with --qat, MODEL as it was is one.",
)
@click.option(
    "--epochs",
    type=click.IntRange(1, 100_000),
    default=FinetuneSettings.epochs,
    show_default=True,
)
@click.option(
    "--rate",
    type=click.FloatRange(0, 100, min_open=True),
    help="The greatest learning rate; default: 3e-4, with --qat 1e-4.",
)
@click.option("--batch-size", type=click.IntRange(1, 65_536), default=32, show_default=True)
@click.option("--seed", type=click.IntRange(0, 2**31 - 1), default=0, show_default=True)
@opening.model_options
@options.as_json
def finetune(model: str, out: Path, as_json: bool, **settings: Any) -> None:
    """Train MODEL on as it is, with its own classes: on pictures with labels, or by a teacher.

    MODEL is what `mejiro convert` takes, and so is OUT afterwards. A run of `mejiro train` brings
    its own pictures, and validates with those that it validated with. Batch normalization keeps
    its statistics.

    With --qat the network is trained as its int8 file will compute (quantization-aware training):
    weights, and whatever the file holds as integers, are rounded as they are there. The ranges of
    the file are then in OUT, and `mejiro convert` takes them from it.

    \b
    Examples:
      mejiro finetune run --qat --out run-int8
      mejiro finetune mobilenet-v2 --data pictures --teacher efficientnet-lite0 --out taught
      mejiro convert run-int8 --out build --evaluate flowers
    """
    if settings["recipe"] is not None and not settings["qat"]:
        raise UsageError("--recipe says how --qat rounds; give both, or leave it out")
    recipe = Recipe() if settings["recipe"] is None else read_recipe(settings["recipe"])
    training = _training(settings)
    check_replaceable(out)
    with progress() as shown, tempfile.TemporaryDirectory() as cache:
        shown.stage(f"opening {model}")
        opened = opening.open_float_model(model, settings)
        teacher = _teacher(opened, settings, shown)
        events = finetuning_events(shown)
        shown.stage("reading the pictures")
        pictures = read_lessons(
            opened, model, settings["data"], Path(cache), val=settings["val"], events=events
        )
        tuned = _tune(opened, _needed(pictures, model), training, settings, recipe, teacher, events)
        shown.stage("writing the model")
        save_float_model(tuned, out)
    if as_json:
        print_json({"model": str(out), **tuned.lineage["finetuned"][-1]})
    else:
        _print(tuned, out, qat=settings["qat"])


def _training(settings: dict[str, Any]) -> FinetuneSettings:
    # Trained weights have little way to go to those that round well, and lose by more.
    usual = 1e-4 if settings["qat"] else FinetuneSettings.rate
    return FinetuneSettings(
        epochs=settings["epochs"],
        rate=settings["rate"] or usual,
        batch_size=settings["batch_size"],
        seed=settings["seed"],
    )


def _teacher(opened: FloatModel, settings: dict[str, Any], shown: Reporter) -> FloatModel | None:
    name = settings["teacher"]
    if name is None:
        return copied(opened) if settings["qat"] else None
    shown.stage(f"opening {name}")
    return open_model(name)


def _needed(pictures: Pictures | None, model: str) -> Pictures:
    if pictures is None:
        raise UsageError(f"{model} brings no pictures to train on; give some with --data")
    return pictures


def _tune(
    opened: FloatModel,
    pictures: Pictures,
    training: FinetuneSettings,
    settings: dict[str, Any],
    recipe: Recipe,
    teacher: FloatModel | None,
    events: Events,
) -> FloatModel:
    if settings["qat"]:
        return finetune_quantized(
            opened, pictures, training, QatSettings(recipe), teacher=teacher, events=events
        )
    return run_finetuning(opened, pictures, training, teacher=teacher, events=events)


def _print(tuned: FloatModel, out: Path, *, qat: bool) -> None:
    record = tuned.lineage["finetuned"][-1]
    said = "right" if record["labels"] else "answered as by the teacher"
    as_what = ", computed as in int8" if qat else ""
    say(
        f"{tuned.name}: {100 * record['val_accuracy']:.1f}% of {record['val']} validation pictures "
        f"{said}{as_what}, after epoch {record['kept_epoch']} of {record['epochs']}"
    )
    say(f"model: {out}")
    note(f"next: mejiro convert {out} --out build")

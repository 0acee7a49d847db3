"""Define `mejiro adopt`."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Any, TypeVar

import click

from mejiro.cli import options
from mejiro.cli.console import print_json, progress, say
from mejiro.data.labels import read_labels
from mejiro.export.adopt import Background, Hints, Normalize
from mejiro.export.adopt import adopt as run_adopt
from mejiro.model import Artifact
from mejiro_runtime.card import Scores, card_path
from mejiro_runtime.fields import read_json
from mejiro_runtime.preprocess import InputSpec, ResizeMode
from mejiro_runtime.types import PixelOrder

Choice = TypeVar("Choice", bound=Enum)

_ORDERS = (PixelOrder.RGB, PixelOrder.BGR, PixelOrder.GRAY)


def _choice(*members: Enum) -> click.Choice[str]:
    return click.Choice([str(member.value) for member in members])


def _member(kind: type[Choice], value: str | None) -> Choice | None:
    return None if value is None else kind(value)


@click.command()
@click.argument("model", type=options.PATH)
@click.option("--labels", type=options.PATH, help="Class names; default: those in the file.")
@click.option("--out", type=options.PATH, required=True, help="The folder to write into.")
@click.option(
    "--input-spec", type=options.PATH, help="JSON that says all about the input, as in a card."
)
@click.option("--normalize", type=_choice(*Normalize), help="The range that pixels are brought to.")
@click.option("--order", type=_choice(*_ORDERS), help="The order of channels; default: rgb.")
@click.option("--resize", type=_choice(*ResizeMode), help="How a frame fits; default: crop.")
@click.option("--crop-fraction", type=float, help="The share of the side to keep; default: 1.")
@click.option("--scores", type=_choice(*Scores), help="What the output holds.")
@click.option(
    "--background",
    type=_choice(*Background),
    help="first: class 0 is no answer; none: every class is one.",
)
@options.as_json
def adopt(
    model: Path,
    labels: Path | None,
    out: Path,
    input_spec: Path | None,
    as_json: bool,
    **hints: Any,
) -> None:
    """Take in a .tflite or .onnx classifier of other origin: write a copy and its card.

    Size, layout, type, quantization, embedded metadata and the meaning of the scores are read
    from MODEL; what it does not say is asked for. It is run once in a process of its own.

    \b
    Examples:
      mejiro adopt mobilenet.tflite --labels labels.txt --out build
      mejiro adopt resnet50.onnx --labels labels.txt --normalize imagenet --out build
    """
    known = Hints(
        normalize=_member(Normalize, hints["normalize"]),
        order=_member(PixelOrder, hints["order"]),
        resize=_member(ResizeMode, hints["resize"]),
        crop_fraction=hints["crop_fraction"],
        scores=_member(Scores, hints["scores"]),
        background=_member(Background, hints["background"]),
    )
    with progress() as shown:
        shown.stage(f"trying {model.name}")
        artifact = run_adopt(
            model,
            out=out,
            labels=None if labels is None else read_labels(labels),
            input_spec=None if input_spec is None else InputSpec.from_json(read_json(input_spec)),
            hints=known,
        )
    if as_json:
        print_json({"artifact": str(artifact.path), **artifact.card.to_json()})
        return
    _print_artifact(artifact)


def _print_artifact(artifact: Artifact) -> None:
    card = artifact.card
    say(f"{artifact.path} ({card.size_bytes / 1e6:.2f} MB, {card.precision.value})")
    for line in (*card.lineage["findings"], *card.lineage["changes"]):
        say(f"  {line}")
    say(f"  card: {card_path(artifact.path).name}; tried with {card.lineage['tried_with']}")

"""Define `mejiro adopt`."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Any, TypeVar

import click

from mejiro.cli import options
from mejiro.cli.console import print_json, progress, say
from mejiro.data.labels import read_labels
from mejiro.errors import UsageError
from mejiro.export.adopt import Activation, Background, BoxHints, Hints, Normalize, Other
from mejiro.export.adopt import adopt as run_adopt
from mejiro.export.adopt.boxes import read_anchors
from mejiro.model import Artifact
from mejiro_runtime.card import Scores, Task, card_path
from mejiro_runtime.fields import read_json
from mejiro_runtime.heads import Head
from mejiro_runtime.preprocess import InputSpec, ResizeMode
from mejiro_runtime.types import PixelOrder

Choice = TypeVar("Choice", bound=Enum)

_ORDERS = (PixelOrder.RGB, PixelOrder.BGR, PixelOrder.GRAY)


def _choice(*members: Enum) -> click.Choice[str]:
    return click.Choice([str(member.value) for member in members])


def _member(kind: type[Choice], value: str | None) -> Choice | None:
    return None if value is None else kind(value)


_UNITS = {"pixels": True, "shares": False}
_OF_OTHER_TASKS = (
    click.option("--head", type=_choice(*Head), help="Detector: the form of its outputs."),
    click.option("--roles", help="Detector: the places of its outputs, as 0,1,2,3."),
    click.option("--activation", type=_choice(*Activation), help="Detector: what its scores lack."),
    click.option("--unit", type=click.Choice(list(_UNITS)), help="YOLO head: what it counts in."),
    click.option("--anchors", type=options.PATH, help="SSD head: JSON with its anchors."),
    click.option("--threshold", type=click.FloatRange(0, 1), help="Detector: the least score."),
    click.option("--iou", type=click.FloatRange(0, 1), help="Detector: overlap of one class."),
    click.option(
        "--state", multiple=True, metavar="INPUT=OUTPUT", help="Recurrent: what is given back."
    ),
)


def _options_of_other_tasks(function: options.Function) -> options.Function:
    """Add the options of detectors and recurrent models."""
    for option in reversed(_OF_OTHER_TASKS):
        function = option(function)
    return function


def _other(task: str, given: dict[str, Any]) -> Other:
    """Return what is said of a file that is no plain classifier."""
    links = [tuple(link.rsplit("=", 1)) for link in given["state"]]
    if any(len(link) != 2 for link in links):
        raise UsageError("--state takes INPUT=OUTPUT, two names of the file's tensors")
    try:
        roles = tuple(int(word) for word in (given["roles"] or "").split(",") if word)
    except ValueError:
        raise UsageError(f"--roles takes places such as 0,1,2,3, found {given['roles']}") from None
    anchors, unit = given["anchors"], given["unit"]
    boxes = BoxHints(
        head=_member(Head, given["head"]),
        roles=roles,
        pixels=None if unit is None else _UNITS[unit],
        activation=_member(Activation, given["activation"]),
        anchors={} if anchors is None else read_anchors(read_json(anchors)),
        threshold=given["threshold"],
        iou=given["iou"],
    )
    if boxes != BoxHints() and Task(task) is not Task.DETECTION:
        raise UsageError("only a detector has a head; give --task detection with its options")
    return Other(Task(task), boxes, tuple((one, made) for one, made in links))


@click.command()
@click.argument("model", type=options.PATH)
@click.option(
    "--task", type=_choice(*Task), default=Task.CLASSIFICATION.value, help="What MODEL does."
)
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
@_options_of_other_tasks
@options.as_json
def adopt(
    model: Path,
    task: str,
    labels: Path | None,
    out: Path,
    input_spec: Path | None,
    as_json: bool,
    **hints: Any,
) -> None:
    """Take in a .tflite or .onnx model of other origin: write a copy and its card.

    Size, layout, type, quantization, embedded metadata and the meaning of the scores are read
    from MODEL; what it does not say is asked for. It is run once in a process of its own.

    \b
    Examples:
      mejiro adopt mobilenet.tflite --labels labels.txt --out build
      mejiro adopt resnet50.onnx --labels labels.txt --normalize imagenet --out build
      mejiro adopt ssd.tflite --task detection --labels coco.txt --out build
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
            other=_other(task, hints),
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

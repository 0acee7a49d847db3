"""Define the options that say what MODEL is, and open it, once for all commands that take one."""

from __future__ import annotations

from typing import Any

import click

from mejiro.cli import options
from mejiro.cli.options import Function
from mejiro.data.labels import read_labels
from mejiro.data.normalize import Normalize, scale_and_offset
from mejiro.errors import UsageError
from mejiro.model import FloatModel
from mejiro.zoo import open_model, parse_weights
from mejiro_runtime.card import Scores
from mejiro_runtime.fields import read_json
from mejiro_runtime.types import PixelOrder

_OPTIONS = (
    click.option("--weights", help="For a model of the zoo: pretrained, none, or a file."),
    click.option("--labels", type=options.PATH, help="A file with a label for each class."),
    click.option("--input-spec", type=options.PATH, help="A JSON file; see docs/convert.md."),
    click.option(
        "--normalize",
        type=click.Choice([value.value for value in Normalize]),
        help="For a model from a file: the range its pixels were brought to in training.",
    ),
    click.option(
        "--scores",
        type=click.Choice([value.value for value in Scores]),
        help="For a model from a file that does not tell what it gives.",
    ),
)
# What those options are called in `settings`.
NAMES = ("weights", "labels", "input_spec", "normalize", "scores", *options.ARCHITECTURE_NAMES)


def model_options(function: Function) -> Function:
    """Add the options that `open_float_model` reads."""
    function = options.architecture(function)
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


def open_float_model(model: str, settings: dict[str, Any]) -> FloatModel:
    """Open what MODEL means, by the values of `model_options`."""
    weights, labels, scores = settings["weights"], settings["labels"], settings["scores"]
    return open_model(
        model,
        weights=parse_weights(weights) if weights else None,
        input_spec=_input_spec(settings),
        labels=read_labels(labels) if labels else None,
        scores=Scores(scores) if scores else None,
        options=options.build_options(settings),
    )


def _input_spec(settings: dict[str, Any]) -> dict[str, Any] | None:
    """Return what the user says of the input, as the JSON object of an InputSpec, or None."""
    path, normalize = settings["input_spec"], settings["normalize"]
    if path is None and normalize is None:
        return None
    given = read_json(path) if path else {}
    if not isinstance(given, dict):
        raise UsageError(f"{path} must hold one JSON object; see docs/convert.md")
    if normalize is not None:
        if "scale" in given or "offset" in given:
            raise UsageError(f"{path} has a scale already; leave --normalize out")
        order = PixelOrder(given.get("order", PixelOrder.RGB.value))
        scale, offset = scale_and_offset(Normalize(normalize), order)
        given |= {"scale": list(scale), "offset": list(offset)}
    return given

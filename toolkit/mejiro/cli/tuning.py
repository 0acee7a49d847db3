"""Define the options of `mejiro tune-training`, and turn the values of a trial into a run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from mejiro.cli import options
from mejiro.cli.train import train
from mejiro.cli.training import DEFAULT_PRESET, kept_options, make_settings
from mejiro.data.augmentation import PRESETS
from mejiro.errors import UsageError
from mejiro.train import Settings
from mejiro.tune.space import (
    ALPHA,
    AUGMENT,
    FREEZE,
    IMAGE_SIZE,
    RATE,
    SEARCHED,
    Choices,
    Dimension,
    Space,
    Value,
    check_settings,
    default_space,
    option_values,
    parse_rates,
)

__all__ = [
    "aim_options",
    "base_options",
    "check_space",
    "given_dimensions",
    "run_options",
    "space_of",
    "train_words",
    "tuning_parameters",
]

# What of `mejiro train` a search has no use for, or decides by itself.
_OF_ONE_RUN = ("data", "out", "preview", "tensorboard", "resume", "force", "as_json")
# What does not decide how a trial ends, or is part of what is known of the pictures.
_NO_AIM = (*SEARCHED, "data", "archive", "val", "model", "keep_cache")


def tuning_parameters() -> list[click.Parameter]:
    """Return what the command takes: what is searched, then what `mejiro train` takes."""
    shared = [
        parameter
        for parameter in train.params
        if parameter.name not in _OF_ONE_RUN and parameter.name not in SEARCHED
    ]
    return [click.Argument(["data"]), *_study_options(), *_search_options(), *shared]


def _study_options() -> list[click.Parameter]:
    return [
        click.Option(
            ["--trials"],
            type=click.IntRange(1, 100_000),
            required=True,
            help="The study ends when so many are finished, by whichever process.",
        ),
        click.Option(["--out"], type=options.PATH, required=True, help="The folder of the study."),
        click.Option(
            ["--storage"], metavar="URL", help="An SQL database, instead of a file in --out."
        ),
        click.Option(
            ["--study"], metavar="NAME", help="The study's name in --storage; default: DATA-MODEL."
        ),
        click.Option(
            ["--pruning/--no-pruning"],
            default=True,
            help="End trials early that are worse than half of the others; on by default.",
        ),
    ]


def _search_options() -> list[click.Parameter]:
    """Return the options that narrow the search; each may be given again."""
    return [
        click.Option(
            ["--rate"],
            multiple=True,
            metavar="LOW..HIGH",
            help="Search the rate between these; or give one rate or more to choose from.",
        ),
        click.Option(
            ["--augment"],
            multiple=True,
            type=click.Choice(list(PRESETS)),
            help="Search among these presets; default: all.",
        ),
        click.Option(
            ["--freeze"],
            multiple=True,
            metavar="DEPTH",
            help="Search among these, as in `mejiro train`, and 'default': the head first, then "
            "all layers.",
        ),
        click.Option(
            ["--alpha"],
            multiple=True,
            type=float,
            help="Search among these widths; default: those with pretrained weights.",
        ),
        click.Option(
            ["--image-size"],
            multiple=True,
            type=click.IntRange(1, 4096),
            help="Search among these; default: the model's own size and two smaller ones.",
        ),
    ]


def base_options(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of a run for which nothing is searched; raises UsageError."""
    if given["model"] is None:
        raise UsageError("give --model NAME; see `mejiro tune-training --help`")
    usual = _defaults()
    known = {name: given[name] for name in usual if name in given and name not in SEARCHED}
    return {**usual, **known, "out": None}


def _defaults() -> dict[str, Any]:
    """Return what `mejiro train` takes where it is told nothing."""
    context = train.make_context("train", [], resilient_parsing=True)
    return dict(context.params)


def given_dimensions(given: Mapping[str, Any]) -> dict[str, Dimension]:
    """Return what the user says of the search; raises UsageError."""
    dimensions: dict[str, Dimension] = {
        name: Choices(tuple(given[name]))
        for name in (FREEZE, AUGMENT, ALPHA, IMAGE_SIZE)
        if given[name]
    }
    if given[RATE]:
        dimensions[RATE] = parse_rates(given[RATE])
    return dimensions


def space_of(settings: Settings, dimensions: Mapping[str, Dimension], layers: int) -> Space:
    """Return the space to search; see `default_space`."""
    return default_space(settings, dimensions, layers=layers, augment=DEFAULT_PRESET)


def check_space(space: Space, base: Mapping[str, Any]) -> None:
    """Raise UsageError, before anything is trained, for a value that no run can have."""
    for point in space.corners():
        check_settings(make_settings(run_options(base, point)))


def run_options(base: Mapping[str, Any], values: Mapping[str, Value]) -> dict[str, Any]:
    """Return the options of the run that has the values of a trial."""
    return {**base, **option_values(values)}


def aim_options(base: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options that all trials of a study have to share, as they are written."""
    kept = kept_options(base)
    return {
        _written(parameter): kept[parameter.name]
        for parameter in train.params
        if parameter.name in kept and parameter.name not in _NO_AIM
    }


def _written(parameter: click.Parameter) -> str:
    return max(parameter.opts, key=len)


def train_words(run: Mapping[str, Any], out: str) -> list[str]:
    """Return the `mejiro train` command line that the options `run` come from."""
    usual = _defaults()
    words = ["mejiro", "train", str(run["data"])]
    for parameter in train.params:
        name = parameter.name or ""
        value = run.get(name)
        if name in _OF_ONE_RUN or value == usual[name] or not isinstance(parameter, click.Option):
            continue
        option = _written(parameter)
        if parameter.is_flag:
            words.append(option)
        else:
            for one in value if parameter.multiple and value else [value]:
                words += [option, str(one)]
    return [*words, "--out", out]

"""Define the options that several commands share, once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import click

from mejiro.zoo.spec import Activation, BuildOptions

Function = TypeVar("Function", bound=Callable[..., Any])

PATH = click.Path(path_type=Path)

as_json = click.option("--json", "as_json", is_flag=True, help="Write JSON to standard output.")
backend = click.option(
    "--backend",
    metavar="NAME[:VARIANT]",
    help="litert[:xnnpack|builtin|...] or onnxruntime[:cpu|gpu|tensorrt|...]; default: by format.",
)
threads = click.option(
    "--threads", type=click.IntRange(1, 256), help="Default: the CPUs, at most 4."
)
allow_fallback = click.option(
    "--allow-fallback",
    is_flag=True,
    help="Run on another engine where the one asked for cannot be had, and say so.",
)


def engine(function: Function) -> Function:
    """Add the options that choose an inference engine."""
    for option in (allow_fallback, threads, backend):
        function = option(function)
    return function


_ARCHITECTURE = (
    click.option(
        "--image-size", type=click.IntRange(1, 4096), help="Side of the input, in pixels."
    ),
    click.option("--alpha", type=float, help="Width multiplier, where the family has one."),
    click.option("--depth", type=float, help="Depth multiplier, where the family has one."),
    click.option(
        "--phi", type=float, help="Scale depth, width and image size together (EfficientNets)."
    ),
    click.option(
        "--activation",
        type=click.Choice([value.value for value in Activation]),
        help="Replace the network's own; weights stay. relu6 quantizes best.",
    ),
)
# What those options are called in `settings`.
ARCHITECTURE_NAMES = ("image_size", "alpha", "depth", "phi", "activation")


def architecture(function: Function) -> Function:
    """Add the options that change a network of the zoo."""
    for option in reversed(_ARCHITECTURE):
        function = option(function)
    return function


def build_options(settings: Mapping[str, Any], *, seed: int = 0) -> BuildOptions | None:
    """Return what the values of `architecture` ask for, or None if they ask for nothing."""
    given = {name: settings[name] for name in ARCHITECTURE_NAMES if settings[name] is not None}
    if not given:
        return None
    if "activation" in given:
        given["activation"] = Activation(given["activation"])
    return BuildOptions(seed=seed, **given)

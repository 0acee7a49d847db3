"""Define the options that several commands share, once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

Function = TypeVar("Function", bound=Callable[..., Any])

PATH = click.Path(path_type=Path)

as_json = click.option("--json", "as_json", is_flag=True, help="Write JSON to standard output.")
backend = click.option(
    "--backend",
    metavar="NAME[:VARIANT]",
    help="litert[:xnnpack|builtin|...] or onnxruntime[:cpu|cuda|...]; default: by format.",
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

"""Say what a method of `mejiro prune` is: options, and a function."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from mejiro.cli.console import Reporter
from mejiro.cli.options import Function
from mejiro.data.calibration import CalibrationSet
from mejiro.model import FloatModel
from mejiro.train.events import Events
from mejiro.train.finetune import FinetuneSettings
from mejiro.train.pictures import Pictures


@dataclass(frozen=True, eq=False)
class Request:
    """Hold what a method is asked to do.

    `options` are the values of its own options, None where a user gave none. `pictures` are None
    where there are none to train on. `measure` says whether to export, weigh and time files.
    """

    model: FloatModel
    options: Mapping[str, Any]
    training: FinetuneSettings
    pictures: Pictures | None
    calibration: CalibrationSet
    measure: bool
    events: Events
    shown: Reporter


@dataclass(frozen=True, eq=False)
class Outcome:
    """Hold the pruned model, what `pruning.json` says of it, and a function that prints it."""

    model: FloatModel
    record: Mapping[str, Any]
    tell: Callable[[], None]


@dataclass(frozen=True)
class Method:
    """Hold one way of pruning. `options` are click's decorators, `names` what they are called.

    `check` raises UsageError for options that contradict each other, before anything is opened.
    """

    names: tuple[str, ...]
    options: tuple[Callable[[Function], Function], ...]
    check: Callable[[Mapping[str, Any]], object]
    prune: Callable[[Request], Outcome]

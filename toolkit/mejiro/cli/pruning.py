"""Say what a method of `mejiro prune` is, and show what all of them measure."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mejiro.cli.console import Reporter, note, print_table
from mejiro.cli.options import Function
from mejiro.data.calibration import CalibrationSet
from mejiro.model import FloatModel
from mejiro.quality.gains import FileGain, measure_gains
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

    def gains(self, pruned: FloatModel, *, sparse: bool = False) -> dict[str, FileGain]:
        """Return what the files of `pruned` are worth; empty if nothing is to be measured."""
        if not self.measure:
            return {}
        with tempfile.TemporaryDirectory() as folder:
            return measure_gains(
                self.model,
                pruned,
                Path(folder),
                calibration=self.calibration,
                sparse=sparse,
                on_stage=self.shown.stage,
                on_progress=self.shown.advance,
            )


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


def tell_gains(gains: Mapping[str, FileGain], if_even: str) -> None:
    """Print a table of files, and in words which are faster; `if_even` says what else is saved."""
    if not gains:
        return
    columns = ["file", ">size", ">of whole", ">zipped", ">of whole", ">time", ">of whole"]
    print_table(columns, [_row(name, gain) for name, gain in gains.items()])
    for line in speed_words(gains, if_even):
        note(line)


def _row(name: str, gain: FileGain) -> list[str]:
    row = [
        name,
        f"{gain.size_bytes / 1e6:.2f} MB",
        f"{gain.size_ratio:.2f}",
        f"{gain.zipped_bytes / 1e6:.2f} MB",
        f"{gain.zip_ratio:.2f}",
    ]
    if gain.time is None:
        return [*row, "", ""]
    interval = f"{gain.time.median:.2f} [{gain.time.low:.2f}, {gain.time.high:.2f}]"
    return [*row, f"{gain.median_ms:.2f} ms", interval]


def speed_words(gains: Mapping[str, FileGain], if_even: str) -> list[str]:
    """Say in sentences which file is faster than that of the whole network."""
    lines = []
    for name, gain in gains.items():
        if gain.time is None:
            continue
        times = 1 / gain.time.median
        if not gain.time.differs:
            lines.append(f"{name}: as fast as before; {if_even}")
        elif gain.time.faster:
            lines.append(f"{name}: {times:.2f} times as fast as before, on this machine")
        else:
            lines.append(f"{name}: slower than before, {times:.2f} times as fast, on this machine")
    return lines

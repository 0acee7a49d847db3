"""Keep a run's whole state in one file, so that it goes on to the same bits after any end.

A checkpoint is one .npz: every variable of the network, the optimizer and the augmentation, in
order, and a JSON text about where the run stands. It is written beside and renamed; whenever the
process ends, the file there is whole. The best weights so far lie in a file of their own, since
they change seldom; a checkpoint names the file that it goes with.
"""

from __future__ import annotations

import dataclasses
import json
import os
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mejiro.errors import DataError
from mejiro.train.history import EpochRecord
from mejiro.train.steps import Sums
from mejiro_runtime.errors import SpecError
from mejiro_runtime.fields import Fields, parse_json
from mejiro_runtime.files import replacing

SCHEMA = 1
STATE = "state.npz"
_ABOUT = "about"
# What numpy and zipfile raise for a file that is damaged.
_UNREADABLE = (OSError, EOFError, ValueError, KeyError, TypeError, zipfile.BadZipFile, SpecError)


@dataclass(frozen=True)
class Best:
    """Hold the epoch with the best validation so far, and the name of the file of its weights.

    `place` is its place in the history.
    """

    accuracy: float
    loss: float
    place: int
    file: str


def is_better(one: tuple[float, float], other: tuple[float, float] | None) -> bool:
    """Say whether the accuracy and loss `one` are better: more right answers, or surer ones."""
    return other is None or (one[0], -one[1]) > (other[0], -other[1])


@dataclass
class Standing:
    """Hold where a run stands: the next step to take, and what was seen before it.

    `phase`, `epoch` and `step` count from 0; `sums` and `seconds` belong to the epoch that is
    under way. `peak` is the best accuracy and loss of the phase, `stale` the number of epochs
    since; a phase may begin by losing some of what another has reached.
    """

    phase: int = 0
    epoch: int = 0
    step: int = 0
    sums: Sums = field(default_factory=Sums)
    seconds: float = 0.0
    stale: int = 0
    peak: tuple[float, float] | None = None
    best: Best | None = None
    history: list[EpochRecord] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values; floats keep all their digits."""
        value = dataclasses.asdict(self)
        return {**value, "sums": list(self.sums)}

    @classmethod
    def from_json(cls, value: Any) -> Standing:
        """Read what `to_json` wrote; raises SpecError."""
        fields = Fields(value, "checkpoint")
        loss, right, pictures = fields.numbers("sums")
        best, peak = fields.optional("best"), fields.optional("peak")
        standing = cls(
            phase=fields.integer("phase"),
            epoch=fields.integer("epoch"),
            step=fields.integer("step"),
            sums=Sums(loss, int(right), int(pictures)),
            seconds=fields.number("seconds"),
            stale=fields.integer("stale"),
            peak=None if peak is None else (float(peak[0]), float(peak[1])),
            best=None if best is None else Best(**best),
            history=[EpochRecord(**entry) for entry in fields.items("history")],
        )
        fields.finish()
        return standing


@dataclass(frozen=True)
class Checkpoint:
    """Hold what `write_checkpoint` kept: the standing, and the values of the variables."""

    standing: Standing
    names: tuple[str, ...]
    values: tuple[NDArray[Any], ...]

    def restore(self, variables: Sequence[Any]) -> None:
        """Give each of `variables` its value; raises DataError unless they are the same ones."""
        if names_of(variables) != self.names:
            raise DataError(
                "the checkpoint holds other variables than this network has; begin anew with "
                "--force"
            )
        for variable, value in zip(variables, self.values, strict=True):
            variable.assign(value)


def names_of(variables: Sequence[Any]) -> tuple[str, ...]:
    """Return what tells the variables apart: their names and shapes, in order.

    Not their paths, in which Keras numbers networks by how many the process has made before.
    """
    return tuple(f"{v.name} {tuple(v.shape)} {v.dtype}" for v in variables)


def write_checkpoint(folder: Path, standing: Standing, variables: Sequence[Any]) -> None:
    """Write the state of a run to `folder`, and drop best weights that are best no more."""
    about = {"schema": SCHEMA, "standing": standing.to_json(), "names": names_of(variables)}
    arrays = {f"v{place}": v.numpy() for place, v in enumerate(variables)}
    text = json.dumps(about).encode()
    _write_arrays(folder / STATE, {**arrays, _ABOUT: np.frombuffer(text, np.uint8)})
    kept = {STATE, standing.best.file if standing.best else STATE}
    for path in folder.glob("best-*.npz"):
        if path.name not in kept:
            path.unlink()


def read_checkpoint(folder: Path) -> Checkpoint | None:
    """Return the checkpoint in `folder`, None if there is none; raises DataError for a bad one."""
    path = folder / STATE
    if not path.is_file():
        return None
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as arrays:
            text = arrays[_ABOUT].tobytes().decode()
            fields = Fields(parse_json(text, str(path)), str(path))
            if fields.integer("schema") != SCHEMA:
                raise DataError(f"{path} is of another version of mejiro; begin anew with --force")
            names = tuple(str(name) for name in fields.items("names"))
            values = tuple(arrays[f"v{place}"] for place in range(len(names)))
            standing = Standing.from_json(fields.mapping("standing"))
    except _UNREADABLE as error:
        raise DataError(f"{path} cannot be read ({error}); begin anew with --force") from None
    return Checkpoint(standing, names, values)


def write_best(folder: Path, name: str, variables: Sequence[Any]) -> None:
    """Keep the values of `variables` in the file `name`."""
    _write_arrays(folder / name, {f"v{place}": v.numpy() for place, v in enumerate(variables)})


def restore_best(folder: Path, name: str, variables: Sequence[Any]) -> None:
    """Give `variables` the values in the file `name`; raises DataError if it is not whole."""
    path = folder / name
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as arrays:
            for place, variable in enumerate(variables):
                variable.assign(arrays[f"v{place}"])
    except _UNREADABLE as error:
        raise DataError(f"{path} cannot be read ({error}); begin anew with --force") from None


def _write_arrays(path: Path, arrays: dict[str, NDArray[Any]]) -> None:
    with replacing(path) as beside, beside.open("wb") as stream:
        np.savez(stream, allow_pickle=False, **arrays)
        stream.flush()
        os.fsync(stream.fileno())

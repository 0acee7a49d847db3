"""Time model files against each other on this machine, so that all meet the same state of it.

Files take turns, round by round, in an order that changes; each round gives one ratio of two
files, and what is said of them is the median of those with its interval. A machine that is busy
for a second then spoils one round, not one file.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mejiro_runtime.card import ArtifactCard
from mejiro_runtime.errors import SpecError, UsageError
from mejiro_runtime.fields import Fields
from mejiro_runtime.model import Model, open_model
from mejiro_runtime.sources.synthetic import SyntheticSource
from mejiro_runtime.turns import settle, turn_order
from mejiro_runtime.types import Frame

FRAME_WIDTH, FRAME_HEIGHT = 640, 480
DEFAULT_ROUNDS, DEFAULT_FRAMES = 15, 20
MAX_TURNS = 1_000_000
_FRAMES = 4
_WARMUP_ROUNDS = 1


@dataclass(frozen=True)
class Conditions:
    """Say how a race is run: rounds, frames a round, and the engine's threads (None: its usual).

    Where an engine's threads come to run is drawn when a file is opened, and may change its time
    until it is closed. So the files are opened `openings` times, for `rounds` rounds each.
    """

    rounds: int = DEFAULT_ROUNDS
    frames: int = DEFAULT_FRAMES
    threads: int | None = None
    backend: str | None = None
    openings: int = 1

    def __post_init__(self) -> None:
        given = (("rounds", self.rounds), ("frames", self.frames), ("openings", self.openings))
        for name, value in given:
            if value < 1:
                raise UsageError(f"a race needs 1 or more {name}, found {value}")

    def words(self) -> list[str]:
        """Return these conditions as options of `mejiro-run race`."""
        given = {
            "--rounds": self.rounds,
            "--frames": self.frames,
            "--openings": self.openings,
            "--threads": self.threads,
            "--backend": self.backend,
        }
        return [word for k, v in given.items() if v is not None for word in (k, str(v))]


@dataclass(frozen=True)
class Pace:
    """Hold what one file took in each round: medians over the round's frames, in nanoseconds.

    `label_ns` is from a frame in hand to its label, `infer_ns` the engine's part of it. `engine`
    says in words what ran.
    """

    file: str
    label_ns: tuple[int, ...]
    infer_ns: tuple[int, ...]
    engine: str

    @property
    def median_ns(self) -> int:
        """The median over the rounds, from frame to label."""
        return round(statistics.median(self.label_ns))

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {**vars(self), "label_ns": list(self.label_ns), "infer_ns": list(self.infer_ns)}

    @classmethod
    def from_json(cls, value: Any, what: str = "a pace") -> Pace:
        """Return the pace of `to_json`; raises SpecError that names `what` and the fault."""
        fields = Fields(value, what)
        rounds = {name: fields.items(name) for name in ("label_ns", "infer_ns")}
        for name, taken in rounds.items():
            if not 1 <= len(taken) <= MAX_TURNS or not all(
                type(ns) is int and 0 < ns < 2**63 for ns in taken
            ):
                raise SpecError(f"{what}: '{name}' must be whole nanoseconds, one for each round")
        label_ns, infer_ns = (tuple(taken) for taken in rounds.values())
        if len(label_ns) != len(infer_ns):
            raise SpecError(f"{what}: {len(label_ns)} rounds to the label, {len(infer_ns)} of the "
                            "engine")  # fmt: skip
        pace = cls(fields.text("file"), label_ns, infer_ns, fields.text("engine"))
        fields.finish()
        return pace


def race(
    files: Sequence[tuple[Path, ArtifactCard]],
    conditions: Conditions,
    *,
    on_progress: Callable[[int, int], None] | None = None,
) -> list[Pace]:
    """Return the pace of each of `files`, run by turns on the same synthetic frames.

    Frames are 640x480 in BGR, as cameras give them. `on_progress` gets (rounds done, of all).
    Raises whatever opening the files raises.
    """
    total, found = conditions.openings * conditions.rounds, []
    for number in range(conditions.openings):

        def on_round(done: int, before: int = number * conditions.rounds) -> None:
            if on_progress is not None:
                on_progress(before + done, total)

        found.append(_race_once(files, conditions, on_round))
    return [
        replace(
            same[0],
            label_ns=tuple(value for pace in same for value in pace.label_ns),
            infer_ns=tuple(value for pace in same for value in pace.infer_ns),
        )
        for same in zip(*found, strict=True)
    ]


def _race_once(
    files: Sequence[tuple[Path, ArtifactCard]],
    conditions: Conditions,
    on_round: Callable[[int], None],
) -> list[Pace]:
    with ExitStack() as stack:
        models = [
            stack.enter_context(
                open_model(path, card, backend=conditions.backend, threads=conditions.threads)
            )
            for path, card in files
        ]
        frames = _frames(conditions.frames)
        taken: list[list[tuple[int, int]]] = [[] for _ in models]
        for number in range(-_WARMUP_ROUNDS, conditions.rounds):
            for place in turn_order(len(models), number):
                settle(models[place], frames)
                durations = _run(models[place], frames)
                if number >= 0:
                    taken[place].append(durations)
            if number >= 0:
                on_round(number + 1)
        return [
            Pace(
                file=card.file,
                label_ns=tuple(label for label, _ in rounds),
                infer_ns=tuple(infer for _, infer in rounds),
                engine=str(model.info),
            )
            for (_, card), model, rounds in zip(files, models, taken, strict=True)
        ]


def _frames(count: int) -> list[Frame]:
    with SyntheticSource(FRAME_WIDTH, FRAME_HEIGHT) as source:
        stream = source.frames()
        distinct = [next(stream) for _ in range(_FRAMES)]
    return [distinct[number % _FRAMES] for number in range(count)]


def _run(model: Model, frames: Sequence[Frame]) -> tuple[int, int]:
    """Return the median nanoseconds from frame to label, and of the engine alone."""
    timings = [model(frame).timing for frame in frames]
    return (
        round(statistics.median(timing.frame_to_label_ns for timing in timings)),
        round(statistics.median(timing.infer_ns for timing in timings)),
    )

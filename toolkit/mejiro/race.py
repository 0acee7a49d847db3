"""Time exported files against each other on this machine, so that all meet the same state of it.

Files take turns, round by round, in an order that changes; each round gives one ratio of two
files, and what is said of them is the median of those with its interval. A machine that is busy
for a second then spoils one round, not one file.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace

from mejiro.errors import UsageError
from mejiro.model import Artifact
from mejiro_runtime.intervals import Ratio, median_ratio
from mejiro_runtime.model import Model, open_model
from mejiro_runtime.sources.synthetic import SyntheticSource
from mejiro_runtime.turns import settle, turn_order
from mejiro_runtime.types import Frame

__all__ = ["Conditions", "Pace", "Ratio", "compare_paces", "median_ratio", "race"]

FRAME_WIDTH, FRAME_HEIGHT = 640, 480
DEFAULT_ROUNDS, DEFAULT_FRAMES = 15, 20
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


def compare_paces(one: Pace, other: Pace) -> Ratio:
    """Return how long `one` takes over what `other` takes, from frame to label."""
    return median_ratio(one.label_ns, other.label_ns)


def race(
    artifacts: Sequence[Artifact],
    conditions: Conditions | None = None,
    *,
    on_progress: Callable[[int, int], None] | None = None,
) -> list[Pace]:
    """Return the pace of each of `artifacts`, run by turns on the same synthetic frames.

    Frames are 640x480 in BGR, as cameras give them. `on_progress` gets (rounds done, of all).
    Raises whatever opening the files raises.
    """
    conditions = conditions or Conditions()
    total, found = conditions.openings * conditions.rounds, []
    for number in range(conditions.openings):

        def on_round(done: int, before: int = number * conditions.rounds) -> None:
            if on_progress is not None:
                on_progress(before + done, total)

        found.append(_race_once(artifacts, conditions, on_round))
    return [
        replace(
            same[0],
            label_ns=tuple(value for pace in same for value in pace.label_ns),
            infer_ns=tuple(value for pace in same for value in pace.infer_ns),
        )
        for same in zip(*found, strict=True)
    ]


def _race_once(
    artifacts: Sequence[Artifact], conditions: Conditions, on_round: Callable[[int], None]
) -> list[Pace]:
    with ExitStack() as stack:
        models = [
            stack.enter_context(
                open_model(
                    artifact.path,
                    artifact.card,
                    backend=conditions.backend,
                    threads=conditions.threads,
                )
            )
            for artifact in artifacts
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
                file=artifact.card.file,
                label_ns=tuple(label for label, _ in rounds),
                infer_ns=tuple(infer for _, infer in rounds),
                engine=str(model.info),
            )
            for artifact, model, rounds in zip(artifacts, models, taken, strict=True)
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

"""Hold what a page of a comparison shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mejiro.errors import UsageError


@dataclass(frozen=True)
class Point:
    """Hold one file: `accuracy` is a share (0..1), `latency_ns` from a frame to its label.

    `dominated_by` names a file that is as good in all and better in something, None if none is.
    """

    name: str
    precision: str
    accuracy: float
    latency_ns: int
    size_bytes: int
    multiply_adds: int
    dominated_by: str | None = None


@dataclass(frozen=True)
class Comparison:
    """Hold the files, and on what they were weighed; `engines` says in words what ran them."""

    data: str
    pictures: int
    points: tuple[Point, ...]
    rounds: int
    engines: tuple[str, ...]
    machine: str

    def __post_init__(self) -> None:
        if not self.points:
            raise UsageError("a comparison needs files to compare")


def front(points: Sequence[Point], cost: str) -> list[Point]:
    """Return the points that no other beats in both accuracy and `cost`, the cheapest first.

    `cost` is the name of a field. Of equal ones the first is taken.
    """
    kept: list[Point] = []
    for point in sorted(points, key=lambda one: (getattr(one, cost), -one.accuracy)):
        if not kept or point.accuracy > kept[-1].accuracy:
            kept.append(point)
    return kept

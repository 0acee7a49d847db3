"""Say what a repair may cost, and hold what was tried with what it gave."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from mejiro.errors import UsageError
from mejiro.export.recipe import Recipe
from mejiro.model import Artifact, FloatModel
from mejiro.race import Ratio
from mejiro_runtime.card import Format

DEFAULT_SLOWER = 1.15
SAME_PACE = Ratio(1.0, 1.0, 1.0)


@dataclass(frozen=True)
class Budget:
    """Say how much a repaired file may lose, and how much longer it may take.

    `max_drop` is in points of top-1, against the model's own fp32 TFLite export; `max_slower` is
    a ratio to the time of the plain int8 TFLite file.
    """

    max_drop: float
    max_slower: float = DEFAULT_SLOWER

    def __post_init__(self) -> None:
        if not 0 <= self.max_drop <= 100:
            raise UsageError(f"points lost lie in 0 to 100, found {self.max_drop:g}")
        if not (self.max_slower > 0 and math.isfinite(self.max_slower)):
            raise UsageError(f"a ratio of times is a positive number, found {self.max_slower:g}")

    def allows_drop(self, lost: float) -> bool:
        """Whether that many points may be lost."""
        # A difference of two counts: what is lost beyond the limit is at least one picture.
        return lost <= self.max_drop + 1e-9

    def allows_time(self, pace: Ratio) -> bool:
        """Whether a file may be that much slower than the plain one."""
        return pace.median <= self.max_slower


@dataclass(frozen=True, eq=False)
class Plan:
    """Say how an int8 file is made.

    `done` tells it in words, in order; nothing for the plain file. `source` is the amended float
    file that `recipe` quantizes, None for the model's own; `model` was trained for int8, and
    brings its recipe itself.
    """

    done: tuple[str, ...] = ()
    recipe: Recipe | None = None
    source: bytes | None = None
    model: FloatModel | None = None


@dataclass(frozen=True)
class NotTried:
    """Say why a step, or a part of it, was not tried."""

    why: str


@dataclass(frozen=True, eq=False)
class Candidate:
    """Hold a file that a step made, and what it earned.

    `top1` has the share of right answers of each format that was scored, TFLite's first; `lost`
    is the greatest loss among them, in points. `pace` is TFLite's time over the plain file's,
    None where that was not measured.
    """

    step: str
    plan: Plan
    files: dict[Format, Artifact]
    top1: dict[Format, float]
    lost: float
    seconds: float
    pace: Ratio | None = None

    @property
    def words(self) -> str:
        """What was done, in words."""
        return ", ".join(self.plan.done) or "as it is"


@dataclass(frozen=True, eq=False)
class Attempt:
    """Hold one line of a repair's record: what a step made, or why it made nothing."""

    step: str
    candidate: Candidate | None
    verdict: str
    seconds: float
    kept: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values; shares in 0..1, points, ratios, seconds."""
        one = self.candidate
        pace = None if one is None else one.pace
        return {
            "step": self.step,
            "done": None if one is None else list(one.plan.done),
            "top1": {} if one is None else {kind.value: top1 for kind, top1 in one.top1.items()},
            "points_lost": None if one is None else round(one.lost, 4),
            "time_ratio": None if pace is None else round(pace.median, 4),
            "time_ratio_interval_95": None
            if pace is None
            else [round(pace.low, 4), round(pace.high, 4)],
            "recipe": None if one is None or one.plan.recipe is None else one.plan.recipe.to_json(),
            "seconds": round(self.seconds, 1),
            "kept": self.kept,
            "verdict": self.verdict,
        }


@dataclass(frozen=True, eq=False)
class Record:
    """Hold all that was tried, in order, and whether what was kept meets both budgets.

    `float_top1` is the share of right answers of the float reference on `pictures` of `data`.
    """

    budget: Budget
    data: str
    pictures: int
    float_top1: float
    attempts: tuple[Attempt, ...] = field(default=())
    met: bool = False

    @property
    def kept(self) -> Candidate:
        """What was kept."""
        return next(one.candidate for one in self.attempts if one.kept and one.candidate)

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values, as they stand in repair.json."""
        return {
            "schema": 1,
            "max_drop": self.budget.max_drop,
            "max_slower": self.budget.max_slower,
            "data": self.data,
            "pictures": self.pictures,
            "float_top1": self.float_top1,
            "met": self.met,
            "attempts": [attempt.to_json() for attempt in self.attempts],
        }

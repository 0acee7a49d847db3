"""Hold a measurement against what is required of it: PASS, FAIL, or INCONCLUSIVE.

A requirement passes only if it would in 95 of 100 cases, and fails likewise; what lies between,
or was measured with too few frames, is inconclusive.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Sequence
from enum import Enum
from typing import Any, NamedTuple

import numpy as np

from mejiro_runtime.errors import UsageError
from mejiro_runtime.intervals import (
    frames_needed,
    mean_interval,
    percentile_ranks,
    share_interval,
)
from mejiro_runtime.latency import STAGES, LatencyReport

MIN_RATE_FRAMES = 20
# Unit -> its value in what the report holds: nanoseconds, shares, bytes, degrees Celsius.
DURATIONS = {"us": 1e3, "ms": 1e6, "s": 1e9}
SHARES = {"%": 0.01}
BYTES = {"kB": 1e3, "MB": 1e6, "GB": 1e9}
CELSIUS = {"C": 1.0}
NUMBERS = {"": 1.0}
# Name -> the units that it is given in. Stages are followed by a percentile.
STAGE_NAMES = (*STAGES, "bare")
QUANTITIES = {
    "load": DURATIONS,
    "first": DURATIONS,
    "drops": SHARES,
    "memory": BYTES,
    "temperature": CELSIUS,
    "fps": NUMBERS,
    "overhead": NUMBERS,
}
OPERATORS: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_FORM = re.compile(
    r"\s*([a-z_]+)(?:\.(max|p[0-9]{1,2}(?:\.[0-9]{1,2})?))?\s*(<=|>=|<|>)"
    r"\s*([0-9]{1,9}(?:\.[0-9]{1,6})?)\s*([A-Za-z%]{0,2})\s*",
    re.ASCII,
)
_EXAMPLE = "as in 'infer.p99<40ms', 'drops<1%' or 'fps>=15'"


class Verdict(str, Enum):
    """Name how a requirement fared."""

    PASS = "PASS"
    FAIL = "FAIL"
    INCONCLUSIVE = "INCONCLUSIVE"


class Requirement(NamedTuple):
    """Hold one requirement: `limit` is in `unit`, and `statistic` empty, ``max`` or ``pNN``."""

    name: str
    statistic: str
    comparison: str
    limit: float
    unit: str

    @property
    def scale(self) -> float:
        """What one `unit` is in what a report holds."""
        return (DURATIONS if self.statistic else QUANTITIES[self.name])[self.unit]

    @property
    def share(self) -> float:
        """The percentile as a share in 0..1."""
        return float(self.statistic[1:]) / 100

    def holds(self, value: float) -> bool:
        """Say whether `value`, as a report holds it, meets the limit."""
        return OPERATORS[self.comparison](value, self.limit * self.scale)

    def __str__(self) -> str:
        subject = f"{self.name}.{self.statistic}" if self.statistic else self.name
        return f"{subject}{self.comparison}{format_number(self.limit)}{self.unit}"


class Judgement(NamedTuple):
    """Hold a verdict, and what it rests on, in the requirement's unit; None where unknown."""

    requirement: Requirement
    verdict: Verdict
    measured: float | None
    low: float | None
    high: float | None
    why: str

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "requirement": str(self.requirement),
            "verdict": self.verdict.value,
            "measured": _rounded(self.measured),
            "interval_95": [_rounded(self.low), _rounded(self.high)],
            "unit": self.requirement.unit,
            "why": self.why,
        }


def _rounded(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.6g}")


def format_number(value: float) -> str:
    """Return a number as a person writes it, such that reading it gives the same again."""
    return f"{value:.6f}".rstrip("0").rstrip(".")


def parse_requirement(text: str) -> Requirement:
    """Read ``NAME[.pNN|.max] OPERATOR NUMBER UNIT``; raises UsageError that says what may stand.

    There is no default unit: a requirement that is read otherwise than it was meant is worse than
    none.
    """
    found = _FORM.fullmatch(text)
    if found is None:
        raise UsageError(f"'{text}' is no requirement; write one {_EXAMPLE}")
    name, statistic, comparison, number, unit = found.groups(default="")
    if name not in QUANTITIES and name not in STAGE_NAMES:
        known = ", ".join((*STAGE_NAMES, *QUANTITIES))
        raise UsageError(f"'{text}' asks for '{name}', which is not measured; use one of {known}")
    if name in QUANTITIES and statistic:
        raise UsageError(f"'{text}': {name} has no percentiles; leave out '.{statistic}'")
    if name in STAGE_NAMES and not statistic:
        raise UsageError(f"'{text}': say which percentile of {name}, as in {name}.p99 or .max")
    if statistic not in ("", "max") and not 0 < float(statistic[1:]) < 100:
        raise UsageError(f"'{text}': a percentile lies between p0 and p100")
    units = QUANTITIES.get(name, DURATIONS)
    if unit not in units:
        expected = ", ".join(units) if any(units) else "no unit"
        raise UsageError(f"'{text}': {name} takes {expected}, found '{unit}'")
    return Requirement(name, statistic, comparison, float(number), unit)


def judge(
    requirements: Sequence[Requirement],
    report: LatencyReport,
    *,
    live: bool,
    temperature_celsius: float | None = None,
) -> list[Judgement]:
    """Return a judgement of each of `requirements`.

    `live` says whether the source can lose frames at all; `temperature_celsius` is the highest
    that was read.
    """
    return [_judge(one, report, live, temperature_celsius) for one in requirements]


class _Found(NamedTuple):
    """Hold a figure as reports do, with its bounds, and why they are as they are."""

    value: float | None
    low: float | None
    high: float | None
    why: str


def _exact(value: float | None, missing: str) -> _Found:
    return _Found(value, value, value, missing if value is None else "measured once")


def _judge(one: Requirement, report: LatencyReport, live: bool, celsius: float | None) -> Judgement:
    found = _measured(one, report, live, celsius)
    rising = one.comparison in ("<", "<=")
    worst, best = (found.high, found.low) if rising else (found.low, found.high)
    verdict = Verdict.INCONCLUSIVE
    if worst is not None and one.holds(worst):
        verdict = Verdict.PASS
    elif best is not None and not one.holds(best):
        verdict = Verdict.FAIL
    value, low, high = (
        None if v is None else v / one.scale for v in (found.value, found.low, found.high)
    )
    return Judgement(one, verdict, value, low, high, found.why)


def _measured(one: Requirement, report: LatencyReport, live: bool, celsius: float | None) -> _Found:
    if one.statistic:
        return _stage(one, report)
    if one.name == "fps":
        return _rate(report)
    if one.name == "drops":
        return _drops(report, live)
    value: float | None = {
        "load": report.load_ns,
        "first": report.first_infer_ns,
        "memory": report.peak_memory_bytes,
        "temperature": celsius,
        "overhead": report.overhead,
    }[one.name]
    return _exact(value, "nothing here tells it")


def _stage(one: Requirement, report: LatencyReport) -> _Found:
    values = np.sort(report.durations.get(one.name, np.empty(0, np.int64)))
    count = values.size
    if not count:
        return _Found(None, None, None, "no frame was measured")
    if one.statistic == "max":
        return _exact(float(values[-1]), "")._replace(why=f"of {count} frames")
    low, high = percentile_ranks(count, one.share)
    why = f"{count} frames"
    if high is None:
        needed = frames_needed(one.share)
        why = f"{count} frames are too few for {one.statistic}, it takes {needed}"
    return _Found(
        float(values[max(0, int(np.ceil(one.share * count)) - 1)]),
        None if low is None else float(values[low - 1]),
        None if high is None else float(values[high - 1]),
        why,
    )


def _rate(report: LatencyReport) -> _Found:
    steps_ns = report.durations.get("step", np.empty(0, np.int64))
    if steps_ns.size < MIN_RATE_FRAMES:
        why = f"{steps_ns.size} frames are too few, it takes {MIN_RATE_FRAMES}"
        return _Found(report.frames_per_second or None, None, None, why)
    shortest, longest = mean_interval(steps_ns)
    return _Found(
        report.frames_per_second, 1e9 / longest, 1e9 / shortest, f"{steps_ns.size} frames"
    )


def _drops(report: LatencyReport, live: bool) -> _Found:
    if not live:
        return _exact(0.0, "")._replace(why="this source waits, and loses no frame")
    dropped = sum(report.dropped.values())
    count = report.frames + dropped
    low, high = share_interval(dropped, count)
    return _Found(dropped / count, low, high, f"{dropped} of {count} frames")

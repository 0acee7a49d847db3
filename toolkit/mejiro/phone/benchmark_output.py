"""Read what LiteRT's (TensorFlow Lite's) benchmark_model prints, of old versions and new.

Source: benchmark_model.cc and stats_calculator.h of TensorFlow: times are microseconds; the line of
statistics after the second "Running benchmark" is that of the inferences, after the first that of
the warm-up. Versions from 2023 on add p5, median and p95.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any

from mejiro.errors import PhoneError

MAX_OUTPUT = 1 << 20
MAX_US = 1e12
_NUMBER = r"([0-9][0-9.]{0,30}(?:e[+-]?[0-9]{1,3})?)"
_STATISTICS = re.compile(r"\bcount=([0-9]{1,12})\b([^\n]*)")
_FIELD = re.compile(rf"\b(first|curr|min|max|avg|std|p5|median|p95)={_NUMBER}")
_TIMINGS = re.compile(
    rf"Inference timings in us: Init: {_NUMBER}, First inference: {_NUMBER}, "
    rf"Warmup \(avg\): {_NUMBER}, Inference \(avg\): {_NUMBER}"
)
_PEAK = re.compile(rf"peak memory footprint \(MB\) via periodic monitoring: {_NUMBER}")
_DELTA = re.compile(
    rf"Memory footprint delta from the start of the tool \(MB\):[^\n]* overall={_NUMBER}"
)
_REPLACED = re.compile(
    r"Replacing ([0-9]{1,9}) out of ([0-9]{1,9}) node\(s\) with delegate \(([A-Za-z0-9_]{1,60})\)"
)
_APPLIED = re.compile(
    r"Explicitly applied ([A-Za-z0-9_ ]{1,40}?) delegate, and the model graph will be "
    r"(completely|partially) executed"
)
_ERROR = re.compile(r"(?:ERROR|FATAL)[:\]]? *([^\n]{1,300})")


@dataclass(frozen=True)
class Delegate:
    """Name what took over `nodes` of a model's `total` operators; None where that was not told."""

    name: str
    nodes: int | None = None
    total: int | None = None

    @property
    def whole(self) -> bool:
        """Whether nothing was left to the interpreter's own kernels."""
        return self.nodes is not None and self.nodes == self.total


@dataclass(frozen=True)
class BenchmarkResult:
    """Hold what one run measured, in nanoseconds; what its version does not tell is None."""

    count: int
    init_ns: int
    first_ns: int
    mean_ns: int
    warmup_count: int = 0
    min_ns: int | None = None
    max_ns: int | None = None
    std_ns: int | None = None
    p50_ns: int | None = None
    p95_ns: int | None = None
    peak_memory_bytes: int | None = None
    memory_growth_bytes: int | None = None
    delegates: tuple[Delegate, ...] = ()

    def infer(self) -> dict[str, int]:
        """Return the times of one inference as a stage of a report."""
        times = {
            "count": self.count,
            "mean_ns": self.mean_ns,
            "std_ns": self.std_ns,
            "min_ns": self.min_ns,
            "p50_ns": self.p50_ns,
            "p95_ns": self.p95_ns,
            "max_ns": self.max_ns,
        }
        return {name: value for name, value in times.items() if value is not None}


def parse_benchmark(text: str) -> BenchmarkResult:
    """Return what benchmark_model printed; PhoneError if it tells no times."""
    text = text[:MAX_OUTPUT]
    timings = _TIMINGS.search(text)
    runs = [_statistics(found) for found in _STATISTICS.finditer(text)]
    if timings is None or not runs or not runs[-1]["count"]:
        raise PhoneError(f"benchmark_model told no times: {said_wrong(text)}")
    last = runs[-1]
    init, first, _, mean = (_ns(value) for value in timings.groups())
    peak, delta = _PEAK.search(text), _DELTA.search(text)
    return BenchmarkResult(
        count=last["count"],
        init_ns=init,
        first_ns=first,
        mean_ns=mean,
        warmup_count=runs[0]["count"] if len(runs) > 1 else 0,
        min_ns=last.get("min"),
        max_ns=last.get("max"),
        std_ns=last.get("std"),
        p50_ns=last.get("median"),
        p95_ns=last.get("p95"),
        peak_memory_bytes=None if peak is None else _bytes(peak[1]),
        memory_growth_bytes=None if delta is None else _bytes(delta[1]),
        delegates=_delegates(text),
    )


def said_wrong(text: str) -> str:
    """Return the first error that was printed, else the last line, without control characters."""
    found = _ERROR.search(text)
    lines = [line for line in text.splitlines() if line.strip()]
    told = found[1] if found is not None else (lines[-1] if lines else "it printed nothing")
    return "".join(one if one.isprintable() else " " for one in told).strip()[:300]


def _statistics(found: re.Match[str]) -> dict[str, Any]:
    """Return one line of statistics; where all times were equal it names one alone."""
    fields: dict[str, Any] = {name: _ns(value) for name, value in _FIELD.findall(found[2])}
    if set(fields) == {"curr"}:
        fields |= dict.fromkeys(("min", "max", "median"), fields["curr"])
    return {"count": int(found[1]), **fields}


def _delegates(text: str) -> tuple[Delegate, ...]:
    """Return what took over operators, each once, in the order in which it was told."""
    found: dict[str, Delegate] = {}
    for nodes, total, name in _REPLACED.findall(text):
        plain = name.removeprefix("TfLite").removesuffix("Delegate").removesuffix("V2")
        plain = plain.removesuffix("Delegate") or name
        before = found.get(plain, Delegate(plain, 0, int(total)))
        # A model with several subgraphs has a line for each.
        found[plain] = Delegate(plain, (before.nodes or 0) + int(nodes), int(total))
    for name, _ in _APPLIED.findall(text):
        if not any(name.lower() == known.lower() for known in found):
            found[name] = Delegate(name)
    return tuple(found.values())


def _value(text: str, scale: float) -> int:
    try:
        value = float(text) * scale
    except ValueError:
        raise PhoneError(f"benchmark_model printed {text[:40]!r} for a number") from None
    if not math.isfinite(value) or value > MAX_US * 1000:
        raise PhoneError(f"benchmark_model printed {text[:40]}, which is out of reach")
    return round(value)


def _ns(microseconds: str) -> int:
    return _value(microseconds, 1000)


def _bytes(megabytes: str) -> int:
    return _value(megabytes, 1 << 20)

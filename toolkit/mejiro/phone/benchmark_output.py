"""Read what benchmark_model prints: TensorFlow Lite's, old and new, and that of LiteRT.

Source: benchmark_model.cc and stats_calculator.h of TensorFlow, benchmark_litert_model.h of LiteRT.
All of them print a line of statistics after the warm-up and one after the inferences, in
microseconds; newer ones add p5, median and p95. The summary at the end differs: LiteRT's is in
milliseconds. Flags that a version does not know are named and passed over.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any, TypeAlias

from mejiro.errors import PhoneError

MAX_OUTPUT = 1 << 20
MAX_NS = 1e15
# Patterns of one figure, each with its unit in nanoseconds or bytes.
Forms: TypeAlias = tuple[tuple[re.Pattern[str], float], ...]
_NUMBER = r"([0-9][0-9.]{0,30}(?:e[+-]?[0-9]{1,3})?)"
_STATISTICS = re.compile(r"\bcount=([0-9]{1,12})\b([^\n]*)")
_FIELD = re.compile(rf"\b(first|curr|min|max|avg|std|p5|median|p95)={_NUMBER}")
# What either summary says of the same thing, the unit in nanoseconds or bytes beside it.
_INIT = (
    (re.compile(rf"Inference timings in us: Init: {_NUMBER}"), 1e3),
    (re.compile(rf"Initialized session in {_NUMBER} ?ms"), 1e6),
    (re.compile(rf"Model initialization: +{_NUMBER} ms"), 1e6),
)
_FIRST = (
    (re.compile(rf"First inference: {_NUMBER}"), 1e3),
    (re.compile(rf"Warmup \(first\): +{_NUMBER} ms"), 1e6),
)
_MEAN = (
    (re.compile(rf"Inference \(avg\): {_NUMBER}(?![0-9.]* ms)"), 1e3),
    (re.compile(rf"Inference \(avg\): +{_NUMBER} ms"), 1e6),
)
_MEGABYTE = float(1 << 20)
_PEAK = (
    (re.compile(rf"peak memory footprint \(MB\) via periodic monitoring: {_NUMBER}"), _MEGABYTE),
    (re.compile(rf"Peak memory: +{_NUMBER} MB"), _MEGABYTE),
)
_GROWTH = (
    (re.compile(rf"delta from the start of the tool \(MB\):[^\n]* overall={_NUMBER}"), _MEGABYTE),
    (re.compile(rf"Overall footprint: +{_NUMBER} MB"), _MEGABYTE),
)
_REPLACED = re.compile(
    r"Replacing ([0-9]{1,9}) out of ([0-9]{1,9}) node\(s\) with delegate \(([A-Za-z0-9_]{1,60})\)"
)
_APPLIED = re.compile(
    r"Explicitly applied ([A-Za-z0-9_ ]{1,40}?) delegate, and the model graph will be "
    r"(completely|partially) executed"
)
_UNKNOWN_FLAGS = re.compile(r"Unconsumed cmdline flags:([^\n]{1,1000})")
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
    first_ns: int | None
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
    runs = [_statistics(found) for found in _STATISTICS.finditer(text)]
    init, mean = _told(text, _INIT), _told(text, _MEAN)
    if not runs or not runs[-1]["count"]:
        raise PhoneError(f"benchmark_model told no times: {said_wrong(text)}")
    last, warmup = runs[-1], runs[0] if len(runs) > 1 else {}
    # Of the two forms of the mean the one in microseconds has more digits.
    mean = last.get("avg", mean)
    first = _told(text, _FIRST)
    if init is None or mean is None:
        raise PhoneError(f"benchmark_model told no times: {said_wrong(text)}")
    return BenchmarkResult(
        count=last["count"],
        init_ns=init,
        first_ns=warmup.get("first", first),
        mean_ns=mean,
        warmup_count=warmup.get("count", 0),
        min_ns=last.get("min"),
        max_ns=last.get("max"),
        std_ns=last.get("std"),
        p50_ns=last.get("median"),
        p95_ns=last.get("p95"),
        peak_memory_bytes=_told(text, _PEAK),
        memory_growth_bytes=_told(text, _GROWTH),
        delegates=_delegates(text),
    )


def unknown_flags(text: str) -> set[str]:
    """Return the flags, such as "use_gpu", that this version did not know."""
    found = _UNKNOWN_FLAGS.search(text[:MAX_OUTPUT])
    words = found[1].split() if found is not None else []
    return {word.removeprefix("--").partition("=")[0] for word in words}


def said_wrong(text: str) -> str:
    """Return the first error that was printed, else the last line, without control characters."""
    found = _ERROR.search(text)
    lines = [line for line in text.splitlines() if line.strip()]
    told = found[1] if found is not None else (lines[-1] if lines else "it printed nothing")
    return "".join(one if one.isprintable() else " " for one in told).strip()[:300]


def _statistics(found: re.Match[str]) -> dict[str, Any]:
    """Return one line of statistics; where all times were equal it names one alone."""
    fields: dict[str, Any] = {name: _value(value, 1e3) for name, value in _FIELD.findall(found[2])}
    if set(fields) == {"curr"}:
        fields |= dict.fromkeys(("first", "min", "max", "avg", "median"), fields["curr"])
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


def _told(text: str, forms: Forms) -> int | None:
    """Return a figure by the first form in which it was printed, in nanoseconds or bytes."""
    for pattern, unit in forms:
        found = pattern.search(text)
        if found is not None:
            return _value(found[1], unit)
    return None


def _value(text: str, unit: float) -> int:
    try:
        value = float(text) * unit
    except ValueError:
        raise PhoneError(f"benchmark_model printed {text[:40]!r} for a number") from None
    if not math.isfinite(value) or value > MAX_NS:
        raise PhoneError(f"benchmark_model printed {text[:40]}, which is out of reach")
    return round(value)

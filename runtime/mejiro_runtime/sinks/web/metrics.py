"""Write a run's figures for Prometheus.

Source: the text exposition format, version 0.0.4.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from mejiro_runtime._version import __version__
from mejiro_runtime.sinks.web.hub import Facts
from mejiro_runtime.sinks.web.numbers import BUCKETS_NS, STAGES, Numbers

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

# Key of the telemetry -> name and help of its gauge.
GAUGES = {
    "temperature_celsius": ("temperature_celsius", "Temperature of the chip."),
    "clock_hz": ("cpu_clock_hertz", "Clock of the CPU."),
    "cpu_percent": ("cpu_percent", "CPU that this process takes; 100 is one core."),
    "memory_bytes": ("resident_memory_bytes", "Memory that this process holds."),
    "power_watts": ("power_watts", "Power that the board takes."),
}


def exposition(numbers: Numbers, shown: int, facts: Facts, viewers: int) -> bytes:
    """Return the page that Prometheus reads; what is unknown has no line."""
    lines: list[str] = []
    about = {"version": __version__}
    for key in ("bundle", "artifact", "precision", "backend", "source"):
        if value := facts.get(key):
            about[key] = str(value)
    _metric(lines, "info", "gauge", "What runs.", [(about, 1)])
    _metric(lines, "frames_total", "counter", "Frames with a result.", [({}, shown)])
    dropped = facts.get("dropped", {})
    if dropped:
        _metric(
            lines, "frames_dropped_total", "counter", "Frames that never reached the model.",
            [({"cause": cause}, count) for cause, count in dropped.items()],
        )  # fmt: skip
    if "outage" in facts:
        up = int(facts["outage"] is None)
        _metric(lines, "source_up", "gauge", "Whether the source gives frames.", [({}, up)])
    if "outages" in facts:
        text = "Times that the source was lost."
        _metric(lines, "outages_total", "counter", text, [({}, facts["outages"])])
    telemetry = facts.get("telemetry", {})
    for key, (name, text) in GAUGES.items():
        value = telemetry.get(key)
        if isinstance(value, int | float):
            _metric(lines, name, "gauge", text, [({}, value)])
    _metric(lines, "viewers", "gauge", "Viewers of the page.", [({}, viewers)])
    _histograms(lines, numbers)
    return ("\n".join(lines) + "\n").encode()


def _metric(
    lines: list[str],
    name: str,
    kind: str,
    text: str,
    samples: Iterable[tuple[Mapping[str, str], float]],
) -> None:
    lines += [f"# HELP mejiro_{name} {text}", f"# TYPE mejiro_{name} {kind}"]
    lines += [f"mejiro_{name}{_labels(labels)} {value}" for labels, value in samples]


def _histograms(lines: list[str], numbers: Numbers) -> None:
    name = "mejiro_stage_seconds"
    lines += [f"# HELP {name} Time that frames took, by stage.", f"# TYPE {name} histogram"]
    for row, stage in enumerate(STAGES):
        below = numbers.buckets[row].cumsum()
        bounds = [f"{ns / 1e9:g}" for ns in BUCKETS_NS.tolist()] + ["+Inf"]
        for bound, count in zip(bounds, below.tolist(), strict=True):
            lines.append(f"{name}_bucket{_labels({'stage': stage, 'le': bound})} {count}")
        lines.append(f"{name}_sum{_labels({'stage': stage})} {numbers.sums_ns[row] / 1e9}")
        lines.append(f"{name}_count{_labels({'stage': stage})} {below[-1]}")


def _labels(labels: Mapping[str, str]) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{key}="{_escape(value)}"' for key, value in labels.items()) + "}"


def _escape(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")

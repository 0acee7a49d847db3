"""What Prometheus reads can be parsed by its rules, and says what the run counted."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from mejiro_runtime.sinks.web.metrics import exposition
from mejiro_runtime.sinks.web.numbers import STAGES, Numbers
from mejiro_runtime.types import Timing

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
LABEL = rf'{NAME}="(?:[^"\\\n]|\\["\\n])*"'
SAMPLE = re.compile(rf"({NAME})(?:\{{({LABEL}(?:,{LABEL})*)\}})? (\S+)")


def parse(page: bytes) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """Read the text format as its specification says; fail for any line that is none of it."""
    types: dict[str, str] = {}
    samples: dict[tuple[str, frozenset[tuple[str, str]]], float] = {}
    text = page.decode()
    assert text.endswith("\n")
    for line in text[:-1].split("\n"):
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            assert name not in types
            types[name] = kind
        elif line.startswith("# HELP "):
            assert len(line.split(" ", 3)) == 4
        else:
            match = SAMPLE.fullmatch(line)
            assert match, line
            name, labels, value = match.groups()
            base = re.sub(r"_(bucket|sum|count)$", "", name)
            assert types.get(name) or types.get(base) == "histogram", line
            pairs = re.findall(rf'({NAME})="((?:[^"\\]|\\.)*)"', labels or "")
            unescaped = frozenset(
                (key, re.sub(r"\\(.)", lambda m: "\n" if m[1] == "n" else m[1], text))
                for key, text in pairs
            )
            assert (name, unescaped) not in samples
            samples[name, unescaped] = float(value)
    return samples


def with_frames() -> Numbers:
    numbers = Numbers()
    numbers.add([Timing(10**6, 10**6, 3 * 10**6, 10**6, 9 * 10**6)] * 7)
    return numbers


def test_histograms_rise_to_the_count() -> None:
    samples = parse(exposition(with_frames(), 9, {}, 2))
    assert samples["mejiro_frames_total", frozenset()] == 9
    assert samples["mejiro_viewers", frozenset()] == 2
    for stage in STAGES:
        of = frozenset({("stage", stage)})
        bounds = sorted(
            (float(dict(labels)["le"]), value)
            for (name, labels), value in samples.items()
            if name == "mejiro_stage_seconds_bucket" and of <= labels
        )
        counts = [count for _, count in bounds]
        assert counts == sorted(counts)
        assert bounds[-1] == (float("inf"), 7)
        assert samples["mejiro_stage_seconds_count", of] == 7
    infer = frozenset({("stage", "infer")})
    assert samples["mejiro_stage_seconds_sum", infer] == 0.021
    assert samples["mejiro_stage_seconds_bucket", infer | {("le", "0.002")}] == 0
    assert samples["mejiro_stage_seconds_bucket", infer | {("le", "0.005")}] == 7


def test_what_is_absent_has_no_line_and_no_zero() -> None:
    text = exposition(Numbers(), 0, {}, 0).decode()
    for word in ("temperature", "clock", "power", "dropped", "source_up", "outages"):
        assert word not in text


def test_what_is_known_has_its_line() -> None:
    facts = {
        "dropped": {"a newer frame came": 4},
        "outage": {"reason": "cable", "seconds": 3.0},
        "outages": 2,
        "telemetry": {"temperature_celsius": 61.5, "clock_hz": 1.8e9, "throttled": ["heat"]},
    }
    samples = parse(exposition(Numbers(), 5, facts, 0))  # type: ignore[arg-type]
    assert samples["mejiro_frames_dropped_total", frozenset({("cause", "a newer frame came")})] == 4
    assert samples["mejiro_temperature_celsius", frozenset()] == 61.5
    assert samples["mejiro_cpu_clock_hertz", frozenset()] == 1.8e9
    assert samples["mejiro_source_up", frozenset()] == 0
    assert samples["mejiro_outages_total", frozenset()] == 2
    samples = parse(exposition(Numbers(), 5, {"outage": None}, 0))
    assert samples["mejiro_source_up", frozenset()] == 1


@given(st.text(min_size=1, max_size=20))
def test_any_name_comes_back_as_it_was(name: str) -> None:
    samples = parse(exposition(Numbers(), 0, {"bundle": name}, 0))
    (labels,) = [dict(labels) for metric, labels in samples if metric == "mejiro_info"]
    assert labels["bundle"] == name

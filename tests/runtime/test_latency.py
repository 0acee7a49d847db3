"""Percentiles are durations that were measured, and reports add nothing to them."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mejiro_runtime.latency import STAGES, Distribution, LatencyRecorder, LatencyReport
from mejiro_runtime.types import Timing


@given(st.lists(st.integers(0, 10**12), min_size=1, max_size=300))
def test_percentiles_are_nearest_ranks(durations: list[int]) -> None:
    found = Distribution.of(durations)
    ranks = np.percentile(durations, [50, 90, 99, 100], method="inverted_cdf")
    assert [found.p50_ns, found.p90_ns, found.p99_ns, found.max_ns] == [int(r) for r in ranks]
    assert found.count == len(durations)
    assert {found.p50_ns, found.p90_ns, found.p99_ns, found.max_ns} <= set(durations)


def test_ranks_are_exact_for_every_count() -> None:
    for count in range(1, 2001):
        found = Distribution.of(np.arange(1, count + 1))
        # The smallest rank that covers the share: a ceiling, in whole numbers.
        wanted = [-(-share * count // 100) for share in (50, 90, 99)]
        assert [found.p50_ns, found.p90_ns, found.p99_ns] == wanted, count


def test_the_order_of_durations_does_not_matter() -> None:
    durations = [5, 1, 9, 3]
    assert Distribution.of(durations) == Distribution.of(sorted(durations))
    assert durations == [5, 1, 9, 3]


def timing(value: int) -> Timing:
    return Timing(
        capture_ns=value,
        preprocess_ns=2 * value,
        infer_ns=3 * value,
        postprocess_ns=4 * value,
        age_ns=100 * value,
    )


def test_a_recorder_keeps_the_newest() -> None:
    recorder = LatencyRecorder(capacity=3)
    assert recorder.summary() == {}
    for value in range(1, 6):
        recorder.add(timing(value), sink_ns=7 * value)
    summary = recorder.summary()
    assert recorder.count == 5
    assert tuple(summary) == STAGES
    assert {stage: (s.count, s.p50_ns, s.max_ns) for stage, s in summary.items()} == {
        "capture": (3, 4, 5),
        "preprocess": (3, 8, 10),
        "infer": (3, 12, 15),
        "postprocess": (3, 16, 20),
        "sink": (3, 28, 35),
        "frame_to_label": (3, 36, 45),
        "age": (3, 400, 500),
    }


def test_a_report_is_plain_json() -> None:
    recorder = LatencyRecorder()
    recorder.add(timing(10), sink_ns=1)
    report = LatencyReport(
        frames=1,
        elapsed_ns=500_000_000,
        stages=recorder.summary(),
        bare=Distribution.of([60]),
        dropped={"a newer frame came": 2},
    )
    value = json.loads(json.dumps(report.to_json()))
    assert value["frames_per_second"] == 2.0
    assert value["overhead"] == 1.5
    assert value["stages"]["infer"] == {
        "count": 1,
        "p50_ns": 30,
        "p90_ns": 30,
        "p95_ns": 30,
        "p99_ns": 30,
        "max_ns": 30,
    }
    assert value["bare_engine"]["p50_ns"] == 60
    assert value["dropped"] == {"a newer frame came": 2}


@pytest.mark.parametrize("frames", [0, 3])
def test_what_was_not_measured_is_not_made_up(frames: int) -> None:
    report = LatencyReport(frames=frames, elapsed_ns=0, stages={})
    value = report.to_json()
    assert value["overhead"] is None
    assert value["bare_engine"] is None
    assert value["load_ns"] is None
    assert value["peak_memory_bytes"] is None
    assert value["frames_per_second"] == 0.0

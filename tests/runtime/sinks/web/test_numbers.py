"""Timings become windows, histograms and rates that agree with each other."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mejiro_runtime.sinks.web.numbers import BUCKETS_NS, STAGES, WINDOW, Numbers
from mejiro_runtime.types import Timing

MS = 1_000_000


def timing(infer_ms: float = 3.0, *, age_ms: float = 10.0) -> Timing:
    return Timing(1 * MS, MS // 2, int(infer_ms * MS), MS // 2, int(age_ms * MS))


def test_the_parts_of_a_frames_age_add_up_to_it() -> None:
    rows = Numbers().add([timing(), timing(20.0, age_ms=21.0)])
    named = [dict(zip(STAGES, row, strict=True)) for row in rows.tolist()]
    assert named[0]["waiting"] == 6 * MS
    for row in named:
        parts = ("waiting", "preprocess", "infer", "postprocess")
        assert sum(row[part] for part in parts) == row["age"]
        assert row["frame_to_label"] + row["waiting"] == row["age"]


def test_nothing_seen_is_nothing_told() -> None:
    numbers = Numbers()
    assert numbers.add([]).shape == (0, len(STAGES))
    assert (numbers.summary(), numbers.histogram(), numbers.counted) == ({}, None, 0)
    assert numbers.rate(0, now_ns=5) is None


@given(st.lists(st.lists(st.floats(0.001, 9000), max_size=50), max_size=12))
def test_counts_and_sums_are_those_of_all_frames(batches: list[list[float]]) -> None:
    numbers = Numbers()
    for batch in batches:
        numbers.add([timing(ms) for ms in batch])
    flat = [int(ms * MS) for batch in batches for ms in batch]
    infer = STAGES.index("infer")
    assert numbers.counted == len(flat)
    assert numbers.sums_ns[infer] == sum(flat)
    below = numbers.buckets[infer].cumsum()
    assert below[-1] == len(flat)
    for bound, count in zip(BUCKETS_NS.tolist(), below.tolist(), strict=False):
        assert count == sum(ns <= bound for ns in flat)
    if flat:
        found = numbers.histogram()
        assert found is not None
        assert sum(found["counts"]) == len(flat)
        assert found["low"] < found["high"]


def test_the_window_is_the_newest_frames() -> None:
    numbers = Numbers()
    for start in range(0, 3 * WINDOW, 100):
        numbers.add([timing(float(start))] * 100)
    assert numbers.counted >= 3 * WINDOW
    found = numbers.histogram()
    assert found is not None
    assert sum(found["counts"]) == WINDOW
    assert found["low"] >= numbers.counted - WINDOW - 100
    numbers.add([timing(5.0)] * (2 * WINDOW))
    assert numbers.summary()["infer"] == [5.0, 5.0, 5.0]
    assert numbers._ring.shape == (WINDOW, len(STAGES))


def test_the_rate_is_that_of_the_last_seconds() -> None:
    numbers = Numbers()
    for second in range(20):
        rate = numbers.rate(30 * second, now_ns=second * 10**9)
    assert rate == pytest.approx(30.0)
    for second in range(20, 30):
        rate = numbers.rate(600 + 10 * (second - 20), now_ns=second * 10**9)
    assert rate == pytest.approx(10.0)
    assert len(numbers._marks) < 8


def test_buckets_follow_1_2_5() -> None:
    assert np.array_equal(BUCKETS_NS[:4], [100_000, 200_000, 500_000, 1_000_000])
    assert BUCKETS_NS[-1] == 5_000_000_000

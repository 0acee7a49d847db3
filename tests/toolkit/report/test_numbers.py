"""Check that numbers for people are those that were measured."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mejiro.report import numbers


@pytest.mark.parametrize(
    ("duration_ns", "text"),
    [
        (0, "0.00"),
        (1_234_567, "1.23"),
        (9_994_999, "9.99"),
        (9_996_000, "10.0"),
        (99_949_999, "99.9"),
        (99_960_000, "100"),
        (1_234_567_890, "1235"),
    ],
)
def test_milliseconds_have_three_digits_that_count(duration_ns: int, text: str) -> None:
    assert numbers.milliseconds(duration_ns) == text


@given(st.integers(10**6, 10**12))
def test_milliseconds_are_near_what_was_measured(duration_ns: int) -> None:
    assert float(numbers.milliseconds(duration_ns)) * 1e6 == pytest.approx(duration_ns, rel=0.006)


@given(st.integers(10**4, 10**12))
def test_megabytes_are_near_the_size(size_bytes: int) -> None:
    assert float(numbers.megabytes(size_bytes)) * 1e6 == pytest.approx(size_bytes, rel=0.006)


def test_a_tiny_file_has_a_size() -> None:
    assert numbers.megabytes(1_824) == "0.00182"
    assert numbers.megabytes(0) == "0"


def test_shares_ratios_and_seconds() -> None:
    assert numbers.percent(0.9876) == "98.8"
    assert numbers.ratio(1.1451) == "1.15"
    assert numbers.seconds(61_249_000_000) == "61.2"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.04, "0.0 s"),
        (59.94, "59.9 s"),
        (59.96, "1 min 0 s"),
        (151, "2 min 31 s"),
        (3599.4, "59 min 59 s"),
        (3599.6, "1 h 0 min"),
        (7500, "2 h 5 min"),
    ],
)
def test_durations_are_said_as_people_say_them(seconds: float, text: str) -> None:
    assert numbers.duration(seconds) == text

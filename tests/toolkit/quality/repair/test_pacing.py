"""Files are opened anew until it is clear which side of the limit their times lie on."""

from __future__ import annotations

import itertools

import pytest

from mejiro.quality.repair.pacing import OPENINGS, time_against
from mejiro.race import Conditions, Pace


@pytest.fixture
def timed(monkeypatch):
    """Return a function that times two files whose openings take as long as it is told."""

    def run(limit, slowness):
        openings = itertools.cycle(slowness)
        opened = []

        def race(files, conditions):
            opened.append(files)
            times = [1000.0 * next(openings), 1000.0]
            return [Pace("", (round(one),) * 3, (1,) * 3, "") for one in times]

        monkeypatch.setattr("mejiro.quality.repair.pacing.race", race)
        ratio = time_against("mine", "plain", limit, Conditions(3), lambda done, total: None)
        return ratio, len(opened)

    return run


def test_what_is_clear_is_measured_once(timed):
    ratio, openings = timed(1.15, [1.0])
    assert ratio.median == 1.0
    assert openings == OPENINGS[0]


def test_one_unlucky_opening_does_not_decide(timed):
    ratio, openings = timed(1.15, [2.0, 1.0, 1.0, 1.0, 1.0])
    assert ratio.median == 1.0
    assert openings == OPENINGS[0]


def test_what_is_not_clear_is_measured_further(timed):
    ratio, openings = timed(1.15, [2.0, 1.0, 2.0, 1.0, 1.0])
    assert ratio.median == 1.0
    assert openings == sum(OPENINGS)

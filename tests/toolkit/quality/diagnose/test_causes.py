"""Each cause is named from its figures, and not without."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mejiro.quality.diagnose.causes import Evidence, likely_causes
from mejiro.quality.diagnose.network import Grid
from mejiro.report.diagnosis.findings import CauseKind, Noise, Spread

SOUND = Evidence(
    operator="CONV_2D",
    grid=Grid(np.array([0.1], np.float32), np.array([0]), 0, -128, 127),
    noise=Noise(plain=30, heard=30, given=40, own=31, rounding=32, weights=40),
    spread=Spread(used=0.9, bulk=0.6, saturated=0.0, channels=2.0, widest=1, weights=2.0),
    lowest=-12.0,
    highest=12.0,
    shift_share=0.01,
    by_channel=True,
)


def spread(**changes: float) -> Spread:
    return replace(SOUND.spread, **changes)


def noise(**changes: float | None) -> Noise:
    return replace(SOUND.noise, **changes)


def test_a_sound_layer_has_none():
    assert likely_causes(SOUND) == ()


@pytest.mark.parametrize(
    ("changes", "kind", "words"),
    [
        ({"spread": spread(bulk=0.05)}, CauseKind.DEAD_RANGE, "5% of the quantized range"),
        ({"spread": spread(channels=180.0)}, CauseKind.HUGE_CHANNEL, "1.4 of 256 levels"),
        ({"spread": spread(saturated=0.02)}, CauseKind.SATURATION, "2% of the values"),
        (
            {"operator": "MUL", "lowest": -0.2784, "highest": 13.0},
            CauseKind.SWISH_TAIL,
            "2.8 levels",
        ),
        (
            {"operator": "HARD_SWISH", "lowest": -0.375, "highest": 13.0},
            CauseKind.SWISH_TAIL,
            "3.7 levels",
        ),
        (
            {"operator": "DEPTHWISE_CONV_2D", "spread": spread(weights=30.0)},
            CauseKind.UNEQUAL_WEIGHTS,
            "a scale of its own",
        ),
        (
            {
                "operator": "DEPTHWISE_CONV_2D",
                "spread": spread(weights=30.0),
                "by_channel": False,
            },
            CauseKind.UNEQUAL_WEIGHTS,
            "share one scale",
        ),
        ({"noise": noise(weights=31.5)}, CauseKind.WEIGHTS, "89.1%"),
        ({"shift_share": 0.5}, CauseKind.SHIFT, "bias correction"),
        ({"noise": noise(heard=12.0)}, CauseKind.INHERITED, "31.0 dB"),
    ],
)
def test_a_fault_has_its_cause(changes, kind, words):
    (cause,) = likely_causes(replace(SOUND, **changes))
    assert cause.kind is kind
    assert words in cause.words


@pytest.mark.parametrize(
    "changes",
    [
        {"operator": "MUL", "lowest": -0.2784, "grid": replace(SOUND.grid, scale=np.array([0.01]))},
        {"operator": "MUL", "lowest": -3.0},
        {"operator": "CONV_2D", "lowest": -0.2784},
        {"noise": noise(own=45.0, heard=44.0, weights=45.2)},
        {"shift_share": 0.9, "noise": noise(own=40.0, heard=39.0)},
        {"grid": None, "spread": spread(bulk=0.01, channels=99.0, saturated=0.5)},
    ],
)
def test_what_does_no_harm_is_not_named(changes):
    assert likely_causes(replace(SOUND, **changes)) == ()

"""Repair int8 files that lose too much: step by step, in order of cost, until one will do."""

from __future__ import annotations

from mejiro.quality.repair.bench import Bench, Means
from mejiro.quality.repair.budget import (
    DEFAULT_SLOWER,
    Attempt,
    Budget,
    Candidate,
    NotTried,
    Plan,
    Record,
)
from mejiro.quality.repair.floats import leave_in_float
from mejiro.quality.repair.repairing import REPAIR_FILE, Repaired, repair
from mejiro.quality.repair.steps import (
    Step,
    absorb,
    calibrate_better,
    equalize_channels,
    swap_activations,
    train_for_int8,
)

# In order of what they cost: seconds, then accuracy that has to be looked at, then time on the
# device, then training.
STEPS: dict[str, Step] = {
    "calibration": calibrate_better,
    "equalization": equalize_channels,
    "bias absorption": absorb,
    "activation swap": swap_activations,
    "selective float": leave_in_float,
    "training for int8": train_for_int8,
}

__all__ = [
    "DEFAULT_SLOWER",
    "REPAIR_FILE",
    "STEPS",
    "Attempt",
    "Bench",
    "Budget",
    "Candidate",
    "Means",
    "NotTried",
    "Plan",
    "Record",
    "Repaired",
    "Step",
    "repair",
]

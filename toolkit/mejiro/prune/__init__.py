"""Take channels out of a network so that what is left is an ordinary, smaller network."""

from __future__ import annotations

from collections.abc import Callable

from mejiro.prune.count import Cost, Counter, Measure, uniform_cut
from mejiro.prune.graph import ChannelGraph, Group, Keep, Slice, find_groups
from mejiro.prune.importance import (
    ChannelScores,
    Criterion,
    Evidence,
    score_activation,
    score_batch_norm,
    score_l1,
    score_l2,
    score_taylor,
)
from mejiro.prune.surgery import cut, silence, silenced
from mejiro.prune.trace import Axis, Role
from mejiro.prune.widths import MULTIPLE, kept_number, strongest

CRITERIA: dict[Criterion, Callable[[ChannelGraph, Evidence], ChannelScores]] = {
    Criterion.L1: score_l1,
    Criterion.L2: score_l2,
    Criterion.BATCH_NORM: score_batch_norm,
    Criterion.ACTIVATION: score_activation,
    Criterion.TAYLOR: score_taylor,
}

__all__ = [
    "CRITERIA",
    "MULTIPLE",
    "Axis",
    "ChannelGraph",
    "ChannelScores",
    "Cost",
    "Counter",
    "Criterion",
    "Evidence",
    "Group",
    "Keep",
    "Measure",
    "Role",
    "Slice",
    "cut",
    "find_groups",
    "kept_number",
    "silence",
    "silenced",
    "strongest",
    "uniform_cut",
]

"""Take channels out of a network so that what is left is an ordinary, smaller network."""

from __future__ import annotations

from mejiro.prune.count import Cost, Counter, Measure, uniform_cut
from mejiro.prune.graph import ChannelGraph, Group, Keep, Slice, find_groups
from mejiro.prune.importance import (
    CRITERIA,
    ChannelScores,
    Criterion,
    Evidence,
)
from mejiro.prune.surgery import cut, silence, silenced
from mejiro.prune.trace import Axis, Role
from mejiro.prune.widths import MULTIPLE, kept_number, strongest

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

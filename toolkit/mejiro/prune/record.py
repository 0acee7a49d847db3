"""Keep what a pruning did, for people and for programs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from mejiro.prune.clock import GroupTime
from mejiro.prune.count import Cost
from mejiro.race import Ratio


@dataclass(frozen=True)
class GroupRecord:
    """Hold what became of one group, and the divergence that cutting it alone was found to cost."""

    channels: int
    kept: int
    divergence: float
    sensitivity: Mapping[int, float]


@dataclass(frozen=True)
class Timing:
    """Hold what the clock said of a cut.

    `ratio` is the cut file's time from frame to label over that of the uncut model's. `groups`
    is what each cut was worth at last, `left` the groups that were left whole because no cut of
    them made the file faster, with the time that was measured. `engine` says what ran.
    """

    ratio: Ratio
    groups: Mapping[str, GroupTime] = field(default_factory=dict)
    left: Mapping[str, GroupTime] = field(default_factory=dict)
    engine: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "ratio": asdict(self.ratio),
            "engine": self.engine,
            "groups": {name: asdict(one) for name, one in self.groups.items()},
            "left_whole": {name: asdict(one) for name, one in self.left.items()},
        }


@dataclass(frozen=True)
class CutRecord:
    """Hold one cut, of which there are several where a network recovers in between.

    `divergence` is that from the network before this cut, on the pictures that it was fitted to;
    `accuracy` that on validation pictures after the training that followed, if any did.
    """

    cost: Cost
    divergence: float
    accuracy: float | None = None


@dataclass(frozen=True)
class PruningRecord:
    """Hold what a pruning did: cost before and after, each group, and the groups left whole."""

    before: Cost
    after: Cost
    pictures: int
    groups: Mapping[str, GroupRecord]
    whole: Mapping[str, str]
    cuts: tuple[CutRecord, ...]
    timing: Timing | None = None

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "before": asdict(self.before),
            "after": asdict(self.after),
            "pictures": self.pictures,
            "groups": {
                name: {
                    "channels": group.channels,
                    "kept": group.kept,
                    "divergence": group.divergence,
                    "sensitivity": {str(k): v for k, v in group.sensitivity.items()},
                }
                for name, group in self.groups.items()
            },
            "whole": dict(self.whole),
            "cuts": [asdict(one) for one in self.cuts],
            "timing": None if self.timing is None else self.timing.to_json(),
        }

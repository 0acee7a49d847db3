"""Let the clock decide which layers are worth cutting, and how far for a latency.

Multiply-adds say little of time: a layer may wait for memory, and kernels work on whole tiles of
channels. So each candidate becomes a file and is timed. Platform-aware pruning by measured time
is Yang et al., "NetAdapt", ECCV 2018 (arXiv:1804.03230); here what a group saves is measured with
all other cuts made, since that is the file that will run.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

import numpy as np

from mejiro.errors import PruneError
from mejiro.model import FloatModel
from mejiro.prune.allocate import CostOf
from mejiro.prune.clock import Clock, GroupTime, Race, race_cut
from mejiro.prune.count import Measure
from mejiro.prune.graph import ChannelGraph
from mejiro.prune.options import Target
from mejiro.prune.record import Timing

TRIES = 6
_LESS = 0.02  # of the whole time: by so much less is asked for where more cannot be promised
NEAR = 0.03  # of the whole time: what a cut may go beyond the latency asked for

# From a cost, the share of it to keep, the groups to leave whole, and the widths below which others
# stay if they are cut at all, to widths.
Allocate = Callable[[CostOf, float, Collection[str], Mapping[str, int]], dict[str, int]]


@dataclass(eq=False)
class TimedAllocation:
    """Find widths that meet a target with cuts that a clock confirms.

    `allocate` divides a cut among groups; `counted` counts multiply-adds or parameters.
    """

    graph: ChannelGraph
    model: FloatModel
    clock: Clock
    allocate: Allocate
    counted: CostOf
    left: dict[str, GroupTime] = field(default_factory=dict)
    _doubted: dict[str, int] = field(default_factory=dict)
    _slopes: dict[str, float] = field(default_factory=dict)

    def find(self, target: Target) -> tuple[dict[str, int], Timing]:
        """Return the widths that were found and what was measured of them.

        Raises PruneError if the target cannot be met by cuts that make the file faster.
        """
        timed = target.measure is Measure.LATENCY
        cost, aim = self.counted, target.share
        best: tuple[dict[str, int], Race] | None = None
        wasted: dict[str, GroupTime] = {}
        for number in range(TRIES):
            divide = self._nearest if timed and number else self._allocated
            widths = divide(cost, aim)
            race = race_cut(self.clock, self.graph, self.model, widths)
            wasted = {name: one for name, one in race.groups.items() if not one.worth_it}
            doubted = self._doubt(wasted) if timed and number < TRIES - 2 else {}
            self.left.update({name: one for name, one in wasted.items() if name not in doubted})
            if not wasted and (best is None or _nearer(race, best[1], target.share)):
                best = widths, race
            if not wasted and not (timed and _misses(race, target.share)):
                break
            if timed:
                cost = self._learn(race)
                self._doubted.update(doubted)
                aim = _next_aim(race, cost(widths) / cost({}), target.share)
        if best is None:
            # There was something to leave whole each time; leave it, and take what that gives.
            self.left.update(wasted)
            widths = {name: width for name, width in widths.items() if name not in self.left}
            best = widths, race_cut(self.clock, self.graph, self.model, widths)
        widths, race = best
        return widths, Timing(race.ratio, race.groups, dict(self.left), race.engine)

    def _doubt(self, wasted: Mapping[str, GroupTime]) -> dict[str, int]:
        """Return the groups that deserve a deeper cut, and how wide they may be at most.

        A small cut may save nothing where one twice as deep does: kernels work on tiles, and a map
        that fits a cache is read faster. What is slower for its cut gets no second chance, nor
        what had one.
        """
        deeper = {}
        for name, one in wasted.items():
            channels = self.graph.groups[name].channels
            width = one.width - (channels - one.width)
            if name not in self._doubted and one.ratio.low <= 1 and width > 0:
                deeper[name] = width
        return deeper

    def _allocated(self, cost: CostOf, aim: float) -> dict[str, int]:
        try:
            return self.allocate(cost, aim, self.left, self._doubted)
        except PruneError as error:
            if not self.left:
                raise
            raise PruneError(
                f"{error}; {len(self.left)} groups stayed whole because cutting them made the "
                f"file no faster: {', '.join(self.left)}"
            ) from error

    def _nearest(self, cost: CostOf, aim: float) -> dict[str, int]:
        """Allocate what comes nearest to `aim`, a share of a time that is no more than predicted.

        Where so little cannot be promised, the clock still says what the most that can be cut
        gives.
        """
        for asked in np.arange(aim, 1.0, _LESS):
            try:
                return self._allocated(cost, float(asked))
            except PruneError:
                continue
        return self._allocated(cost, 1.0)

    def _learn(self, race: Race) -> CostOf:
        """Return the time of a network by what each channel of a group was found to save."""
        for name, one in race.groups.items():
            gone = self.graph.groups[name].channels - one.width
            if one.worth_it or name in self.left:
                self._slopes[name] = max(one.saved_ns, 0.0) / gone
        whole = self.counted({})
        # A group that was never cut is taken to be as slow as the network is on average.
        by_count = race.whole_ns / whole

        def cost(widths: Mapping[str, int]) -> float:
            known = {name: width for name, width in widths.items() if name in self._slopes}
            others = {name: width for name, width in widths.items() if name not in self._slopes}
            saved = by_count * (whole - self.counted(others))
            for name, width in known.items():
                saved += self._slopes[name] * (self.graph.groups[name].channels - width)
            return max(race.whole_ns - saved, 1.0)

        return cost


def _misses(race: Race, share: float) -> bool:
    return not share - NEAR <= race.ratio.median <= share


def _next_aim(race: Race, predicted: float, share: float) -> float:
    """Return the share of the predicted time at which the measured one should be right."""
    saved, promised = 1 - race.ratio.median, 1 - predicted
    # What was predicted to be saved is taken to be out by the same factor next time.
    out_by = min(max(promised / saved, 0.5), 2.0) if min(saved, promised) > NEAR else 1.0
    return min(max(1 - out_by * (1 - share + NEAR / 3), 0.02), 1.0)


def _nearer(race: Race, other: Race, share: float) -> bool:
    """Whether the first comes nearer to a latency, where too slow is worse than too fast."""
    slow, other_slow = (one.ratio.median > share for one in (race, other))
    if slow != other_slow:
        return not slow
    return abs(race.ratio.median - share) < abs(other.ratio.median - share)

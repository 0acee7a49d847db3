"""Cut the channels of a model, and solve the layers behind each cut anew, without labels."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mejiro.errors import PruneError
from mejiro.model import FloatModel
from mejiro.prune.allocate import CostOf, allocate, counted, tried_widths
from mejiro.prune.clock import Clock
from mejiro.prune.consumers import Consumer, find_consumers
from mejiro.prune.count import Cost, Counter, Measure
from mejiro.prune.gather import expected_variance, gather
from mejiro.prune.graph import ChannelGraph, find_groups
from mejiro.prune.importance import CRITERIA, ChannelScores, Evidence
from mejiro.prune.judge import Judge, divergence_of, log_probabilities, run
from mejiro.prune.options import ChannelOptions, Target
from mejiro.prune.reconstruct import Moments
from mejiro.prune.record import GroupRecord, Timing
from mejiro.prune.sensitivity import (
    Reconstruction,
    Sensitivity,
    measure_sensitivity,
    put,
    restoring,
)
from mejiro.prune.surgery import cut
from mejiro.prune.timed import TimedAllocation

_FEWEST = 2

# Stage, what was just done of it, out of how many.
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, eq=False)
class Cut:
    """Hold a model that was cut, its cost, and how far its answers are from those before.

    `divergence` is on the pictures that the cut was fitted to.
    """

    model: FloatModel
    cost: Cost
    divergence: float


class ChannelPruner:
    """Know what each group of a model costs at each width; then cut to any target.

    `tensors` are calibration pictures as the model's input, (pictures, height, width, channels);
    `labels`, (pictures,), are needed by the criterion Taylor alone. Half of the pictures solve
    layers and half judge the answers while sensitivities are measured; all of them solve the
    layers of the final cut. The model itself stays as it is.
    """

    def __init__(
        self,
        model: FloatModel,
        tensors: NDArray[np.float32],
        options: ChannelOptions | None = None,
        *,
        labels: NDArray[np.integer[Any]] | None = None,
        progress: Progress | None = None,
    ) -> None:
        if len(tensors) < _FEWEST:
            raise PruneError(
                f"pruning needs {_FEWEST} calibration pictures or more, found {len(tensors)}; "
                "a hundred or more are better"
            )
        self.model = model
        self.options = options or ChannelOptions()
        self.graph: ChannelGraph = find_groups(model)
        self._tensors = tensors
        self._labels = labels
        self._progress = progress or (lambda stage, done, total: None)
        self._consumers, self.whole = find_consumers(self.graph)
        self._counter = Counter(self.graph)
        if not self._consumers:
            raise PruneError(f"{model.name} has no channels that can be cut by themselves")
        self._expected: dict[str, NDArray[np.float64] | None] = {}
        self._halves = (self._gather(tensors[0::2], 1), self._gather(tensors[1::2], 2))
        self._scores: ChannelScores | None = None
        self._sensitivities: dict[str, Sensitivity] | None = None

    @property
    def sensitivities(self) -> dict[str, Sensitivity]:
        """What each group costs at each width, measured when first asked for."""
        if self._sensitivities is None:
            self._sensitivities = self._measure()
        return self._sensitivities

    @property
    def cost(self) -> Cost:
        """What the model costs uncut."""
        return self._counter.cost()

    def plan(
        self, target: Target, clock: Clock | None = None
    ) -> tuple[dict[str, int], Timing | None]:
        """Return the width of each group for `target`, and what the clock said, if there is one.

        With a clock, groups whose cut makes the file no faster stay whole. Raises PruneError if
        the target cannot be met, and for a latency without a clock.
        """
        if clock is None:
            if target.measure is Measure.LATENCY:
                raise PruneError("a latency cannot be aimed at without a clock; ask for macs")
            return self._allocate(counted(self._counter, target.measure), target), None

        def divide(
            cost: CostOf, share: float, left: Collection[str], at_most: Mapping[str, int]
        ) -> dict[str, int]:
            return self._allocate(cost, replace(target, share=share), left, at_most)

        what = Measure.MACS if target.measure is Measure.LATENCY else target.measure
        timed = TimedAllocation(self.graph, self.model, clock, divide, counted(self._counter, what))
        return timed.find(target)

    def cut(self, widths: Mapping[str, int]) -> Cut:
        """Return the model with groups of the given widths, the layers behind solved anew.

        Groups that are not named stay whole.
        """
        cut_down = {n: w for n, w in widths.items() if w < self.graph.groups[n].channels}
        one, two = self._halves
        moments = {name: one[name] + two[name] for name in one}
        keep = {}
        with restoring(self.graph):
            for done, (name, width) in enumerate(cut_down.items()):
                self._progress("reconstruct", done, len(cut_down))
                reconstruction = self._reconstruction(name, moments)
                (solved,) = reconstruction.solve([width], anew=self.options.reconstruct).values()
                put(reconstruction.consumers, solved)
                keep[name] = solved.kept
            narrow = cut(self.graph, keep)
        return Cut(
            model=replace(self.model, keras_model=narrow, trained=None),
            cost=self._counter.cost(keep),
            divergence=self._divergence(narrow),
        )

    def group_records(self, widths: Mapping[str, int]) -> dict[str, GroupRecord]:
        """Return what becomes of each group that was measured."""
        records = {}
        for name, one in self.sensitivities.items():
            channels = self.graph.groups[name].channels
            kept = widths.get(name, channels)
            measured = dict(zip(one.widths, one.divergence, strict=True))
            records[name] = GroupRecord(channels, kept, one.at(kept), measured)
        return records

    def _allocate(
        self,
        cost: CostOf,
        target: Target,
        left: Collection[str] = (),
        at_most: Mapping[str, int] | None = None,
    ) -> dict[str, int]:
        return allocate(
            cost,
            self.graph.groups,
            {name: one for name, one in self.sensitivities.items() if name not in left},
            target=target.share,
            measure=target.measure,
            multiple=self.options.multiple,
            at_most=at_most or {},
        )

    def _gather(self, tensors: NDArray[np.float32], turn: int) -> dict[str, Moments]:
        self._progress("look", turn, 2)
        consumers = self._all_consumers()
        network = self.graph.network
        if not self._expected:
            self._expected = {c.name: expected_variance(network, c) for c in consumers}
        return gather(network, consumers, tensors, seed=self.options.seed)

    def _all_consumers(self) -> list[Consumer]:
        everyone = (one for group in self._consumers.values() for one in group)
        return list({consumer.name: consumer for consumer in everyone}.values())

    def _reconstruction(self, name: str, moments: Mapping[str, Moments]) -> Reconstruction:
        return Reconstruction(
            self._consumers[name],
            moments,
            self._expected,
            ridge=self.options.ridge,
            scores=self._score(name),
        )

    def _score(self, name: str) -> NDArray[np.float64] | None:
        """Return the scores of a group's channels, or None where least squares choose."""
        criterion = self.options.criterion
        if criterion is None:
            return None
        if self._scores is None:
            evidence = Evidence(self._tensors, self._labels, self.model.scores)
            self._scores = CRITERIA[criterion](self.graph, evidence)
        # A group that no batch norm follows has no scales to go by.
        return self._scores.get(name)

    def _measure(self) -> dict[str, Sensitivity]:
        judge = Judge(self.graph.network, self.model.scores, self._tensors[1::2])
        found = {}
        for done, name in enumerate(self._consumers):
            self._progress("measure", done, len(self._consumers))
            widths = tried_widths(self.graph.groups[name], self.options.multiple)
            if not widths:
                self.whole[name] = f"there are not more than {self.options.multiple} channels"
                continue
            reconstruction = self._reconstruction(name, self._halves[0])
            found[name] = measure_sensitivity(self.graph, reconstruction, widths, judge, name=name)
        return found

    def _divergence(self, narrow: Any) -> float:
        answers = [
            log_probabilities(run(network, [self._tensors]), self.model.scores)
            for network in (self.model.keras_model, narrow)
        ]
        return divergence_of(answers[0], answers[1])

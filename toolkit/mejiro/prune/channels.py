"""Prune the channels of a model without labels, to a share of its cost."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mejiro.errors import PruneError
from mejiro.model import FloatModel
from mejiro.prune.allocate import allocate, tried_widths
from mejiro.prune.consumers import Consumer, find_consumers
from mejiro.prune.count import Cost, Counter, Measure
from mejiro.prune.distill import Distillation, distil
from mejiro.prune.gather import expected_variance, gather
from mejiro.prune.graph import ChannelGraph, find_groups
from mejiro.prune.judge import Judge, divergence_of, log_probabilities, run
from mejiro.prune.reconstruct import Moments
from mejiro.prune.sensitivity import (
    Reconstruction,
    Sensitivity,
    measure_sensitivity,
    put,
    restoring,
)
from mejiro.prune.surgery import cut
from mejiro.prune.widths import MULTIPLE

_FEWEST = 2

# Stage, what was just done of it, out of how many.
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Target:
    """Say what a pruned model may cost: at most `share` of the whole, in (0, 1]."""

    share: float
    measure: Measure = Measure.MACS

    def __post_init__(self) -> None:
        if not 0 < self.share <= 1:
            raise PruneError(
                f"the share of {self.measure.value} to keep must lie in (0, 1], "
                f"found {self.share:g}; 0.75 takes a quarter away"
            )


@dataclass(frozen=True)
class ChannelOptions:
    """Say how channels are pruned.

    Widths are multiples of `multiple`. `ridge` weighs what norms promise of features against what
    the pictures showed. `reconstruct` solves the layers behind a cut anew; without it their
    weights stay, to compare with. `distillation` comes after the cut.
    """

    multiple: int = MULTIPLE
    ridge: float = 0.3
    reconstruct: bool = True
    distillation: Distillation = field(default_factory=Distillation)
    seed: int = 0

    def __post_init__(self) -> None:
        if self.multiple < 1:
            raise PruneError(f"channels come in multiples of 1 or more, found {self.multiple}")
        if self.ridge < 0:
            raise PruneError(f"the ridge is 0 or more, found {self.ridge:g}")


@dataclass(frozen=True)
class GroupRecord:
    """Hold what became of one group, and the divergence that cutting it alone was found to cost."""

    channels: int
    kept: int
    divergence: float
    sensitivity: Mapping[int, float]


@dataclass(frozen=True)
class PruningRecord:
    """Hold what a pruning did: cost before and after, each group, and the groups left whole.

    `divergence` is that of the whole cut on the pictures given, which it was fitted to, before
    distillation; `losses` are those of the distillation's steps.
    """

    before: Cost
    after: Cost
    pictures: int
    groups: Mapping[str, GroupRecord]
    whole: Mapping[str, str]
    divergence: float
    losses: tuple[float, ...] = ()

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
            "divergence": self.divergence,
            "losses": list(self.losses),
        }


class ChannelPruner:
    """Know what each group of a model costs at each width; then cut to any target.

    `tensors` are calibration pictures as the model's input, (pictures, height, width, channels),
    without labels. Half of them solve layers and half judge the answers while sensitivities are
    measured; all of them solve the layers of the final cut. The model itself stays as it is.
    """

    def __init__(
        self,
        model: FloatModel,
        tensors: NDArray[np.float32],
        options: ChannelOptions | None = None,
        *,
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
        self._progress = progress or (lambda stage, done, total: None)
        self._consumers, self.whole = find_consumers(self.graph)
        self._counter = Counter(self.graph)
        if not self._consumers:
            raise PruneError(f"{model.name} has no channels that can be cut by themselves")
        self._expected: dict[str, NDArray[np.float64] | None] = {}
        self._halves = (self._gather(tensors[0::2], 1), self._gather(tensors[1::2], 2))
        self.sensitivities = self._measure()

    def prune(self, target: Target) -> tuple[FloatModel, PruningRecord]:
        """Return the model cut to `target`, and what was done; raises PruneError."""
        widths = allocate(
            self._counter,
            self.graph.groups,
            self.sensitivities,
            target=target.share,
            measure=target.measure,
            multiple=self.options.multiple,
        )
        return self.cut(widths)

    def cut(self, widths: Mapping[str, int]) -> tuple[FloatModel, PruningRecord]:
        """Return the model with groups of the given widths, reconstructed and distilled."""
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
        divergence = self._divergence(narrow)
        losses = self._distil(narrow)
        record = PruningRecord(
            before=self._counter.cost(),
            after=self._counter.cost(keep),
            pictures=len(self._tensors),
            groups={name: self._group_record(name, widths) for name in self.sensitivities},
            whole=self.whole,
            divergence=divergence,
            losses=tuple(losses),
        )
        return self._finished(narrow, record), record

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
            self._consumers[name], moments, self._expected, ridge=self.options.ridge
        )

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

    def _distil(self, narrow: Any) -> list[float]:
        settings = self.options.distillation
        if not settings.steps:
            return []
        return distil(
            narrow,
            self.model.keras_model,
            self.model.scores,
            self._tensors,
            settings,
            progress=lambda done, loss: self._progress("distil", done, settings.steps),
        )

    def _group_record(self, name: str, widths: Mapping[str, int]) -> GroupRecord:
        one = self.sensitivities[name]
        channels = self.graph.groups[name].channels
        kept = widths.get(name, channels)
        measured = dict(zip(one.widths, one.divergence, strict=True))
        return GroupRecord(channels, kept, one.at(kept), measured)

    def _finished(self, narrow: Any, record: PruningRecord) -> FloatModel:
        pruned = {
            "method": "channel",
            "multiply_adds": [record.before.multiply_adds, record.after.multiply_adds],
            "parameters": [record.before.parameters, record.after.parameters],
            "pictures": record.pictures,
            "options": asdict(self.options),
        }
        lineage = {**self.model.lineage, "pruned": pruned}
        return replace(self.model, keras_model=narrow, lineage=lineage)


def prune_channels(
    model: FloatModel,
    target: Target,
    tensors: NDArray[np.float32],
    options: ChannelOptions | None = None,
    *,
    progress: Progress | None = None,
) -> tuple[FloatModel, PruningRecord]:
    """Return `model` with as few channels as `target` asks for, and what became of each group.

    `tensors` are calibration pictures as the model's input, (pictures, height, width, channels);
    no labels are needed. Groups that a sum ties together stay whole. Raises PruneError if the
    target cannot be met.
    """
    return ChannelPruner(model, tensors, options, progress=progress).prune(target)

"""Prune channels to a target: all at once without pictures to train on, else in steps.

A network that lost a few channels recovers better than one that lost many, so that it is cut a
little, trained, and cut again. It learns from the labels, where there are any, and from what the
uncut network says of the same pictures.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mejiro.errors import PruneError
from mejiro.model import FloatModel
from mejiro.prune.allocate import width_step
from mejiro.prune.channels import ChannelPruner, Progress
from mejiro.prune.clock import Clock
from mejiro.prune.graph import Group
from mejiro.prune.options import ChannelOptions, Target
from mejiro.prune.record import CutRecord, PruningRecord
from mejiro.train.events import Events
from mejiro.train.finetune import FinetuneSettings, finetune
from mejiro.train.pictures import Pictures

STEPS = 3
_STAGES = {
    "look": "looking at what each layer sees",
    "measure": "measuring what each group of channels is worth",
    "reconstruct": "cutting, and solving the layers behind",
}


@dataclass(frozen=True, eq=False)
class Recovery:
    """Say how a network recovers: in how many `steps` it is cut, and what it is trained with."""

    pictures: Pictures
    training: FinetuneSettings = field(default_factory=FinetuneSettings)
    steps: int = STEPS

    def __post_init__(self) -> None:
        if not 1 <= self.steps <= self.training.epochs:
            raise PruneError(
                f"each step of pruning needs an epoch of training; found {self.steps} steps and "
                f"{self.training.epochs} epochs"
            )

    def epochs_of(self, step: int) -> int:
        """Return the epochs that follow cut number `step`, from 1: the most after the last."""
        share = self.training.epochs // (self.steps + 1) or 1
        return share if step < self.steps else self.training.epochs - share * (self.steps - 1)


def prune_channels(
    model: FloatModel,
    target: Target,
    tensors: NDArray[np.float32],
    options: ChannelOptions | None = None,
    *,
    labels: NDArray[np.integer[Any]] | None = None,
    recovery: Recovery | None = None,
    clock: Clock | None = None,
    events: Events | None = None,
) -> tuple[FloatModel, PruningRecord]:
    """Return `model` with as few channels as `target` asks for, and what became of each group.

    `tensors` are calibration pictures as the model's input, (pictures, height, width, channels);
    no labels are needed, but `labels`, (pictures,), by the criterion Taylor. Groups that a sum
    ties together stay whole, and with `clock` those whose cut makes the file no faster. Without
    `recovery` nothing is trained. Raises PruneError if the target cannot be met.
    """
    options, events = options or ChannelOptions(), events or Events()
    progress = _shown(events)
    pruner = ChannelPruner(model, tensors, options, labels=labels, progress=progress)
    widths, timing = pruner.plan(target, clock)
    steps = 1 if recovery is None else recovery.steps
    cuts, narrow = [], model
    for step in range(1, steps + 1):
        # Later cuts look at a network that has changed; what groups may lose was settled before.
        now = pruner
        if step > 1:
            now = ChannelPruner(narrow, tensors, options, labels=labels, progress=progress)
        cut = now.cut(_between(pruner.graph.groups, widths, step / steps, options.multiple))
        narrow, accuracy = cut.model, None
        if recovery is not None:
            narrow, accuracy = _recover(narrow, model, recovery, step, events)
        cuts.append(CutRecord(cut.cost, cut.divergence, accuracy))
    record = PruningRecord(
        before=pruner.cost,
        after=cuts[-1].cost,
        pictures=len(tensors),
        groups=pruner.group_records(widths),
        whole=pruner.whole,
        cuts=tuple(cuts),
        timing=timing,
    )
    return replace(narrow, lineage={**narrow.lineage, "pruned": _lineage(record, options)}), record


def _between(
    groups: Mapping[str, Group], widths: Mapping[str, int], share: float, multiple: int
) -> dict[str, int]:
    """Return the widths on the way to `widths`: each falls by the same factor in each step."""
    on_the_way = {}
    for name, last in widths.items():
        whole, step = groups[name].channels, width_step(groups[name], multiple)
        wanted = whole * (last / whole) ** share
        on_the_way[name] = min(max(round(wanted / step) * step, last), whole)
    return on_the_way


def _shown(events: Events) -> Progress:
    def progress(stage: str, done: int, total: int) -> None:
        if done <= 1:
            events.stage(_STAGES[stage])
        events.progress(done, total)

    return progress


def _recover(
    narrow: FloatModel,
    uncut: FloatModel,
    recovery: Recovery,
    step: int,
    events: Events,
) -> tuple[FloatModel, float]:
    training = replace(recovery.training, epochs=recovery.epochs_of(step))
    tuned = finetune(narrow, recovery.pictures, training, teacher=uncut, events=events)
    return tuned, float(tuned.lineage["finetuned"][-1]["val_accuracy"])


def _lineage(record: PruningRecord, options: ChannelOptions) -> dict[str, Any]:
    criterion = None if options.criterion is None else options.criterion.value
    return {
        "method": "channel",
        "multiply_adds": [record.before.multiply_adds, record.after.multiply_adds],
        "parameters": [record.before.parameters, record.after.parameters],
        "pictures": record.pictures,
        "options": {**asdict(options), "criterion": criterion},
    }

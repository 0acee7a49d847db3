"""Lay out a run's phases: first the new head alone, then the layers behind it."""

from __future__ import annotations

from dataclasses import dataclass

from mejiro.errors import UsageError
from mejiro.train.freezing import Freeze, FreezeKind
from mejiro.train.settings import Phase

HEAD, FINE_TUNING, TRAINING = "head", "fine-tuning", "training"


@dataclass(frozen=True)
class Plan:
    """Say what a user decides about the phases.

    `freeze` is what stays frozen to the end; with `unfreeze`, a layer's name, it is what the
    first phase freezes, and the second trains from that layer on. None leaves each to the plan.
    """

    freeze: Freeze | None = None
    unfreeze: str | None = None
    head_epochs: int = 30
    epochs: int = 8
    head_rate: float = 3e-4
    rate: float = 3e-4
    scratch_rate: float = 1e-3
    warmup: float = 0.1
    depth_factor: float = 1.0
    head_factor: float = 1.0


def plan_phases(plan: Plan, *, pretrained: bool, augment: bool) -> tuple[Phase, ...]:
    """Return the phases of `plan`.

    A backbone that is not pretrained has nothing to keep, so all is trained from the first step,
    in one phase. Else the head comes first, on features that are computed once, so that its
    random weights do not disturb the backbone's; then what is not frozen. `augment` says that a
    user asked for augmentation: a run that trains the head alone then uses it.

    Raises UsageError for a plan without epochs or that contradicts itself.
    """
    freeze = plan.freeze or Freeze()
    if not pretrained:
        if freeze.kind is not FreezeKind.NONE or plan.unfreeze:
            raise UsageError(
                "there is nothing to freeze in a network without pretrained weights; leave "
                "--freeze and --unfreeze out"
            )
        return (_second(plan, TRAINING, plan.scratch_rate, Freeze()),)
    if plan.freeze is not None and freeze.kind is FreezeKind.NONE:
        if plan.unfreeze:
            raise UsageError("nothing is frozen, so nothing can be unfrozen; leave one out")
        return (_second(plan, FINE_TUNING, plan.rate, freeze),)
    first = Freeze(FreezeKind.BACKBONE)
    second: Freeze | None = freeze
    if plan.unfreeze:
        first = plan.freeze or first
        second = Freeze(FreezeKind.BEFORE, layer=plan.unfreeze)
    elif freeze.kind is FreezeKind.BACKBONE:
        second = None
    phases = []
    if plan.head_epochs:
        alone = second is None or not plan.epochs
        phases.append(
            Phase(
                HEAD,
                plan.head_epochs,
                plan.head_rate,
                first,
                warmup=plan.warmup,
                augment=augment and alone,
            )
        )
    if plan.epochs and second is not None:
        phases.append(_second(plan, FINE_TUNING, plan.rate, second))
    if not phases:
        raise UsageError("there is nothing to train; give --epochs or --head-epochs")
    return tuple(phases)


def _second(plan: Plan, name: str, rate: float, freeze: Freeze) -> Phase:
    return Phase(
        name,
        plan.epochs,
        rate,
        freeze,
        warmup=plan.warmup,
        depth_factor=plan.depth_factor,
        head_factor=plan.head_factor,
    )

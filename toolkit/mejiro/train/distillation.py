"""Teach a network with the answers of another.

Source: Hinton, Vinyals and Dean, "Distilling the Knowledge in a Neural Network"
(arXiv:1503.02531).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from mejiro.errors import UsageError
from mejiro.tensorflow import load_keras
from mejiro.train.losses import LossFunction
from mejiro_runtime.preprocess import InputSpec


@dataclass(frozen=True)
class Distillation:
    """Say how much a teacher counts: the loss is (1 - share) CE + share KL.

    `temperature` softens both answers before they are compared.
    """

    share: float = 0.5
    temperature: float = 2.0

    def __post_init__(self) -> None:
        if not 0 < self.share <= 1:
            raise UsageError(f"a teacher's share must lie in (0, 1], found {self.share:g}")
        if not 0.1 <= self.temperature <= 100:
            raise UsageError(f"a temperature must lie in 0.1 to 100, found {self.temperature:g}")


def taught_loss(hard: LossFunction, distillation: Distillation) -> Callable[..., Any]:
    """Return a function of labels, logits and the teacher's logits, each (N, C), that gives (N,).

    The second term is T² KL(teacher ‖ student) at temperature T; the square keeps its gradients
    as large as they are at 1 (section 2 of the paper).
    """
    share, soft = distillation.share, divergence(distillation.temperature)

    def losses(labels: Any, logits: Any, taught: Any) -> Any:
        found = share * soft(taught, logits)
        # Not 0 times it: without labels it is of labels that mean nothing.
        return found if share == 1 else found + (1 - share) * hard(labels, logits)

    return losses


def divergence(temperature: float) -> LossFunction:
    """Return a function of two sets of logits (N, C) that gives T² KL(first ‖ second), (N,)."""
    ops = load_keras().ops

    def losses(taught: Any, logits: Any) -> Any:
        wanted = ops.log_softmax(ops.cast(taught, "float32") / temperature, axis=-1)
        found = ops.log_softmax(ops.cast(logits, "float32") / temperature, axis=-1)
        return temperature**2 * ops.sum(ops.exp(wanted) * (wanted - found), axis=-1)

    return losses


def lesson(teacher: Any, its: InputSpec, given: InputSpec) -> Callable[[Any], Any]:
    """Return a function of what a network takes, made as `given` says, to the teacher's logits.

    `teacher` answers with logits and takes what `its` specification makes of the same pixels.
    Raises UsageError unless both see pictures of one size, cut and ordered alike.
    """
    if (its.shape, its.order, its.resize) != (given.shape, given.order, given.resize):
        raise UsageError(
            f"the teacher takes {its.shape} {its.order.value}, the network {given.shape} "
            f"{given.order.value}; they must see the same pictures"
        )
    ends = [np.array(values, np.float32) for values in (given.offset, given.scale)]
    same = (its.scale, its.offset) == (given.scale, given.offset)

    def teach(values: Any) -> Any:
        if not same:
            pixels = (values - ends[0]) / ends[1]
            values = pixels * np.array(its.scale, np.float32) + np.array(its.offset, np.float32)
        return load_keras().ops.stop_gradient(teacher(values, training=False))

    return teach

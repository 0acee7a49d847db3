"""Say how many weights become zero, which ones, and when."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any

from mejiro.errors import UsageError
from mejiro.prune.magnitude.pattern import Pattern


class Scope(str, Enum):
    """Name among which weights the smallest are sought."""

    LAYER = "layer"  # each layer loses the same share
    GLOBAL = "global"  # layers lose what they need least; see `masks.layer_adapted`


class Spare(str, Enum):
    """Name what stays whole."""

    # It reads the pixels with a few hundred weights, and everything after lives on what it sees;
    # XNNPACK's sparse kernels, too, begin after a dense first convolution.
    FIRST = "first"
    # A channel has nine or 25 weights and no other to make up for them; together they are some
    # hundredths of a network's weights, so nothing is saved.
    DEPTHWISE = "depthwise"
    # Of few weights with few classes, and each is a class's own.
    CLASSIFIER = "classifier"


SPARED = (Spare.FIRST, Spare.DEPTHWISE, Spare.CLASSIFIER)


@dataclass(frozen=True)
class MagnitudeSettings:
    """Say what share of the weights becomes zero, in which pattern, and when while training.

    `sparsity` is the share of the weights in those layers that are not spared. It grows from
    `initial` to its end between the shares `begin` and `end` of the training steps, in `updates`
    equal strides of steps. With a `pattern` the sparsity is the pattern's.
    """

    sparsity: float = 0.8
    pattern: Pattern | None = None
    scope: Scope = Scope.GLOBAL
    spare: tuple[Spare, ...] = SPARED
    initial: float = 0.0
    begin: float = 0.0
    end: float = 0.5
    updates: int = 40

    def __post_init__(self) -> None:
        if not 0 < self.sparsity < 1:
            raise UsageError(f"a sparsity must lie between 0 and 1, found {self.sparsity:g}")
        if not 0 <= self.initial <= self.sparsity:
            raise UsageError(
                f"the sparsity begins between 0 and its end {self.sparsity:g}, found "
                f"{self.initial:g}"
            )
        if not 0 <= self.begin <= self.end <= 1:
            raise UsageError(
                f"the sparsity grows between two shares of the steps, the first no greater, found "
                f"{self.begin:g} and {self.end:g}"
            )
        if self.updates < 1:
            raise UsageError(f"the masks change once or more often, found {self.updates}")
        if self.pattern is not None:
            self._check_pattern(self.pattern)

    def _check_pattern(self, pattern: Pattern) -> None:
        if abs(self.sparsity - pattern.sparsity) > 1e-9:
            raise UsageError(
                f"the pattern {pattern} makes a sparsity of {pattern.sparsity:g}, not "
                f"{self.sparsity:g}; give one of the two"
            )
        if Spare.DEPTHWISE not in self.spare:
            raise UsageError(
                "each channel of a depthwise convolution has one input, so it has no pattern along "
                "its inputs; spare depthwise convolutions, or leave the pattern out"
            )

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "sparsity": self.sparsity,
            "pattern": None if self.pattern is None else str(self.pattern),
            "scope": self.scope.value,
            "spare": [one.value for one in self.spare],
            "initial": self.initial,
            "begin": self.begin,
            "end": self.end,
            "updates": self.updates,
        }

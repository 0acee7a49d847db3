"""Say how far and by what rules channels are pruned."""

from __future__ import annotations

from dataclasses import dataclass

from mejiro.errors import PruneError
from mejiro.prune.count import Measure
from mejiro.prune.importance import Criterion
from mejiro.prune.widths import MULTIPLE


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

    Widths are multiples of `multiple`. Without `criterion` the channels go whose loss the layers
    behind can best make up for. `reconstruct` solves those layers anew; without it their weights
    stay. `ridge` weighs what norms promise of features against what the pictures showed.
    """

    multiple: int = MULTIPLE
    criterion: Criterion | None = None
    reconstruct: bool = True
    ridge: float = 0.3
    seed: int = 0

    def __post_init__(self) -> None:
        if self.multiple < 1:
            raise PruneError(f"channels come in multiples of 1 or more, found {self.multiple}")
        if self.ridge < 0:
            raise PruneError(f"the ridge is 0 or more, found {self.ridge:g}")

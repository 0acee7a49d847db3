"""Say which layers stay as they are, and hold them so: weights, statistics and dropout."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from typing import Any

from mejiro.errors import UsageError
from mejiro.tensorflow import load_keras
from mejiro_runtime.fields import Fields

_ALL_BUT = re.compile(r"all-but[ :=-]?(\d{1,6})")


class FreezeKind(str, Enum):
    """Name what decides which layers of the backbone are frozen."""

    NONE = "none"
    BACKBONE = "backbone"
    ALL_BUT = "all-but"  # all but the last `count` layers that have weights
    THROUGH = "through"  # up to `layer`, which is frozen too
    BEFORE = "before"  # up to `layer`, which is trained


@dataclass(frozen=True)
class Freeze:
    """Say which layers of the backbone are frozen; the head never is."""

    kind: FreezeKind = FreezeKind.NONE
    count: int = 0
    layer: str = ""

    def __post_init__(self) -> None:
        if (self.kind is FreezeKind.ALL_BUT) != (self.count > 0):
            raise UsageError(f"freezing '{self.kind.value}' does not go with {self.count} layers")
        if (self.kind in (FreezeKind.THROUGH, FreezeKind.BEFORE)) != bool(self.layer):
            raise UsageError(f"freezing '{self.kind.value}' does not go with layer '{self.layer}'")

    def __str__(self) -> str:
        if self.kind is FreezeKind.ALL_BUT:
            return f"all but {self.count} layers"
        return f"{self.kind.value} {self.layer}".strip()

    @classmethod
    def from_json(cls, value: Any) -> Freeze:
        """Read what `Settings.to_json` wrote; raises SpecError."""
        fields = Fields(value, "freeze")
        freeze = cls(
            kind=fields.choice("kind", FreezeKind),
            count=fields.integer("count"),
            layer=fields.text("layer"),
        )
        fields.finish()
        return freeze


def parse_freeze(text: str) -> Freeze:
    """Return what `--freeze` means: backbone, none, "all-but N", or the name of a layer."""
    if text in (FreezeKind.NONE.value, FreezeKind.BACKBONE.value):
        return Freeze(FreezeKind(text))
    if match := _ALL_BUT.fullmatch(text):
        if int(match[1]) == 0:
            return Freeze(FreezeKind.BACKBONE)
        return Freeze(FreezeKind.ALL_BUT, count=int(match[1]))
    return Freeze(FreezeKind.THROUGH, layer=text)


def frozen_count(freeze: Freeze, backbone: Sequence[Any]) -> int:
    """Return how many of the layers `backbone`, from the pixels on, are frozen.

    Raises UsageError for a layer that there is not, or more layers than there are.
    """
    if freeze.kind is FreezeKind.NONE:
        return 0
    if freeze.kind is FreezeKind.BACKBONE:
        return len(backbone)
    if freeze.kind is FreezeKind.ALL_BUT:
        weighted = [place for place, layer in enumerate(backbone) if layer.weights]
        if freeze.count > len(weighted):
            raise UsageError(
                f"the backbone has {len(weighted)} layers with weights, so not all but "
                f"{freeze.count} of them can be frozen; give a smaller number"
            )
        return int(weighted[-freeze.count])
    names = [layer.name for layer in backbone]
    if freeze.layer not in names:
        near = difflib.get_close_matches(freeze.layer, names, n=1)
        hint = f"did you mean '{near[0]}'?" if near else f"they are {names[1]} to {names[-1]}"
        raise UsageError(f"the backbone has no layer '{freeze.layer}'; {hint}")
    return names.index(freeze.layer) + (freeze.kind is FreezeKind.THROUGH)


@contextmanager
def frozen(backbone: Sequence[Any], count: int, *, batch_norm: bool) -> Iterator[None]:
    """Hold the first `count` layers of `backbone` frozen while the block runs.

    A frozen layer answers as it does after training: batch normalization keeps its statistics
    (Keras's meaning of ``trainable = False``) and dropout drops nothing. With `batch_norm` that
    holds for batch normalization in the layers that are trained, too.
    """
    keras = load_keras()
    dropped = []
    for place, layer in enumerate(backbone):
        normalizes = isinstance(layer, keras.layers.BatchNormalization)
        layer.trainable = place >= count and not (batch_norm and normalizes)
        if place < count and isinstance(layer, keras.layers.Dropout):
            dropped.append((layer, layer.rate))
            layer.rate = 0.0
    try:
        yield
    finally:
        for layer in backbone:
            layer.trainable = True
        for layer, rate in dropped:
            layer.rate = rate

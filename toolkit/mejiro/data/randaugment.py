"""Draw RandAugment's changes: two of a list for each picture, all of one magnitude.

Source: E. Cubuk et al., RandAugment: Practical automated data augmentation with a reduced search
space, 2020. The list is the paper's without equalize and sharpness, which each take longer than
all of the others together; what is drawn is described here and done by `geometry` and `colour`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from mejiro.data.draws import Draws

CHANGES_EACH = 2
# What each change comes to at magnitude 1, as in the paper's predecessor, AutoAugment; a turn and
# a shear are in radians, a shift in shares of the side.
_ROTATION = math.radians(30)
_SHEAR = math.atan(0.3)
_SHIFT = 0.45
_FACTOR = 0.9
_POSTERIZED_BITS = 4
# The places in the list; the first leaves the picture as it is.
_KINDS = (
    "identity",
    "rotation",
    "shear_x",
    "shear_y",
    "shift_x",
    "shift_y",
    "brightness",
    "contrast",
    "saturation",
    "solarize",
    "posterize",
    "autocontrast",
)


@dataclass(frozen=True, eq=False)
class RandAugment:
    """Hold what was drawn: a float32 tensor (N,) for each kind, 0 where it was not drawn.

    `rotation` and the shears are in radians, the shifts in shares of the side. Pixels are scaled
    by 1 + `brightness`, and so on. `solarize` inverts what is brighter than 255 times 1 less it,
    `posterize` drops that many of 8 bits, `autocontrast` is 1 where levels are to be stretched.
    """

    rotation: Any
    shear_x: Any
    shear_y: Any
    shift_x: Any
    shift_y: Any
    brightness: Any
    contrast: Any
    saturation: Any
    solarize: Any
    posterize: Any
    autocontrast: Any


def draw_randaugment(magnitude: float, draws: Draws) -> RandAugment | None:
    """Draw the changes of `magnitude`, 0..1, or None if that is 0."""
    if not magnitude:
        return None
    ops = draws.ops
    signed = dict.fromkeys(_KINDS, 0.0)
    plain = dict.fromkeys(_KINDS, 0.0)
    for _ in range(CHANGES_EACH):
        place = ops.floor(draws.unit() * len(_KINDS))
        sign = ops.sign(draws.unit() - 0.5)
        for index, kind in enumerate(_KINDS):
            drawn = ops.cast(ops.equal(place, index), "float32")
            signed[kind] = signed[kind] + drawn * sign
            plain[kind] = ops.maximum(plain[kind], drawn)
    return RandAugment(
        rotation=signed["rotation"] * (_ROTATION * magnitude),
        shear_x=signed["shear_x"] * (_SHEAR * magnitude),
        shear_y=signed["shear_y"] * (_SHEAR * magnitude),
        shift_x=signed["shift_x"] * (_SHIFT * magnitude),
        shift_y=signed["shift_y"] * (_SHIFT * magnitude),
        brightness=_once(ops, signed["brightness"]) * (_FACTOR * magnitude),
        contrast=_once(ops, signed["contrast"]) * (_FACTOR * magnitude),
        saturation=_once(ops, signed["saturation"]) * (_FACTOR * magnitude),
        solarize=plain["solarize"] * magnitude,
        posterize=plain["posterize"] * round(_POSTERIZED_BITS * magnitude),
        autocontrast=plain["autocontrast"],
    )


def _once(ops: Any, signs: Any) -> Any:
    """Return `signs` of -1, 0, 1: a factor of 1 - 0.9 twice would be a negative."""
    return ops.clip(signs, -1.0, 1.0)

"""Scale a base network's table of stages in width and depth, as the EfficientNets are made.

Source: Tan and Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks",
ICML 2019 (arXiv:1905.11946), section 3.3.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

_DIVISOR = 8


@dataclass(frozen=True)
class Stage:
    """Hold one row of a base network's table: blocks of one kind.

    The first block has `stride`. `fused` blocks expand by a full convolution in place of a
    pointwise and a depthwise one; `squeeze` says whether blocks have squeeze-and-excitation;
    a `fixed` stage keeps its number of blocks.
    """

    repeats: int
    kernel: int
    stride: int
    expand: int
    filters: int
    fused: bool = False
    squeeze: bool = False
    fixed: bool = False


@dataclass(frozen=True)
class Block:
    """Hold one inverted residual block, with all scaling done; `place` counts blocks from 0."""

    name: str
    place: int
    kernel: int
    stride: int
    expand: int
    filters_in: int
    filters: int
    fused: bool
    squeeze: bool

    @property
    def residual(self) -> bool:
        """Whether what comes in is added to what comes out."""
        return self.stride == 1 and self.filters_in == self.filters


def scaled_filters(filters: int, width: float, *, rounded_up: bool = True) -> int:
    """Return `filters` times `width`, to the nearest multiple of 8, 8 at least.

    With `rounded_up` it is never less than nine tenths of the exact product.
    """
    wanted = filters * width
    rounded = max(_DIVISOR, int(wanted + _DIVISOR / 2) // _DIVISOR * _DIVISOR)
    return rounded + _DIVISOR if rounded_up and rounded < 0.9 * wanted else rounded


def scaled_repeats(repeats: int, depth: float) -> int:
    """Return `repeats` times `depth`, to the next whole number."""
    return math.ceil(repeats * depth)


def unroll(
    stages: Iterable[Stage], filters_in: int, *, width: float, depth: float, rounded_up: bool = True
) -> list[Block]:
    """Return the blocks of `stages`; `filters_in` channels come in, scaled already."""
    blocks: list[Block] = []
    for number, stage in enumerate(stages, start=1):
        filters = scaled_filters(stage.filters, width, rounded_up=rounded_up)
        repeats = stage.repeats if stage.fixed else scaled_repeats(stage.repeats, depth)
        for repeat in range(repeats):
            blocks.append(
                Block(
                    name=f"block{number}{_letters(repeat)}",
                    place=len(blocks),
                    kernel=stage.kernel,
                    stride=stage.stride if repeat == 0 else 1,
                    expand=stage.expand,
                    filters_in=filters_in,
                    filters=filters,
                    fused=stage.fused,
                    squeeze=stage.squeeze,
                )
            )
            filters_in = filters
    return blocks


def _letters(number: int) -> str:
    """Return a to z for 0 to 25, then aa, ab and so on."""
    before, last = divmod(number, 26)
    letter = chr(ord("a") + last)
    return _letters(before - 1) + letter if before else letter

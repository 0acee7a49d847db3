"""Move the pixels of pictures by one affine transform each."""

from __future__ import annotations

import math
from typing import Any

from mejiro.data.augmentation import Augmentation, Flip
from mejiro.data.draws import Draws
from mejiro.data.randaugment import RandAugment


def move(images: Any, augmentation: Augmentation, extra: RandAugment | None, draws: Draws) -> Any:
    """Return `images` (N, H, W, C) flipped, turned, sheared, zoomed and shifted, each its own way.

    All of it is one bilinear resampling. Beyond its edge a picture is its own mirror image.
    """
    ops = draws.ops
    height, width = images.shape[1] or ops.shape(images)[1], images.shape[2] or ops.shape(images)[2]
    height, width = ops.cast(height, "float32"), ops.cast(width, "float32")
    (a, b), (c, d) = _linear(augmentation, extra, draws)
    right, down = draws.signed(augmentation.shift), draws.signed(augmentation.shift)
    if extra is not None:
        right, down = right + extra.shift_x, down + extra.shift_y
    # The transform maps places of the result to places of the original, about the centre.
    x, y = (width - 1.0) / 2.0, (height - 1.0) / 2.0
    e = x - a * x - b * y + right * width
    f = y - c * x - d * y + down * height
    zero = ops.zeros_like(a)
    return ops.image.affine_transform(
        images,
        ops.stack([a, b, e, c, d, f, zero, zero], axis=1),
        interpolation="bilinear",
        fill_mode="reflect",
    )


def _linear(
    augmentation: Augmentation, extra: RandAugment | None, draws: Draws
) -> tuple[tuple[Any, Any], tuple[Any, Any]]:
    """Return a matrix for each picture, four tensors (N,): a turn, shears, a zoom and flips."""
    ops = draws.ops
    turn = draws.signed(math.radians(augmentation.rotation_degrees))
    shear_x = draws.signed(math.radians(augmentation.shear_degrees))
    shear_y = draws.signed(math.radians(augmentation.shear_degrees))
    if extra is not None:
        turn = turn + extra.rotation
        shear_x, shear_y = shear_x + extra.shear_x, shear_y + extra.shear_y
    scale = 1.0 / draws.factor(augmentation.zoom)
    across = scale * _flips(augmentation.flip is not Flip.NONE, draws)
    down = scale * _flips(augmentation.flip is Flip.BOTH, draws)
    sine, cosine = ops.sin(turn), ops.cos(turn)
    lean_x, lean_y = ops.tan(shear_x), ops.tan(shear_y)
    return (
        ((cosine - sine * lean_y) * across, (cosine * lean_x - sine) * down),
        ((sine + cosine * lean_y) * across, (sine * lean_x + cosine) * down),
    )


def _flips(allowed: bool, draws: Draws) -> Any:
    """Return 1 or, where flips are allowed, -1 for every second picture."""
    signs = draws.ops.sign(draws.unit() - 0.5)
    # Exactly a half is as good as more, and its sign would be 0.
    signs = draws.ops.where(signs == 0.0, 1.0, signs)
    return signs if allowed else draws.ops.ones_like(signs)

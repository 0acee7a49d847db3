"""Change the colours of pictures by one matrix each."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mejiro.data.augmentation import Augmentation
from mejiro.data.draws import Draws
from mejiro.data.randaugment import RandAugment
from mejiro_runtime.types import PixelOrder

WHITE = 255.0
# What each channel adds to the grey of a pixel (ITU-R BT.601), and its chroma in NTSC's YIQ.
_LUMA = (0.299, 0.587, 0.114)
_YIQ = (_LUMA, (0.5959, -0.2746, -0.3213), (0.2115, -0.5227, 0.3112))


def recolour(
    images: Any,
    augmentation: Augmentation,
    extra: RandAugment | None,
    draws: Draws,
    order: PixelOrder = PixelOrder.RGB,
) -> Any:
    """Return `images` (N, H, W, C), 0..255, in other colours; `order` is that of the channels.

    Brightness, contrast, saturation and hue are linear in a picture's pixels, so that one matrix
    (C, C) and one offset (C,) for each picture do them all.
    """
    ops = draws.ops
    grey_of, chroma, turned = _bases(order)
    means = ops.mean(images, axis=(1, 2))
    matrix, offset = _stretch(images, extra, draws)
    saturation = 1.0 + draws.signed(augmentation.saturation)
    contrast = 1.0 + draws.signed(augmentation.contrast)
    gain = ops.ones_like(contrast)
    added = draws.signed(augmentation.brightness) * WHITE
    angle = draws.signed(augmentation.hue * 2.0 * math.pi)
    if extra is not None:
        means = ops.squeeze(ops.matmul(means[:, None, :], matrix), axis=1) + offset
        saturation = saturation * (1.0 + extra.saturation)
        contrast = contrast * (1.0 + extra.contrast)
        gain = 1.0 + extra.brightness
    # The mean grey stays under turns of the hue and changes of saturation.
    grey = ops.sum(means * grey_of[:, 0], axis=1)
    mixed = ops.cos(angle)[:, None, None] * chroma + ops.sin(angle)[:, None, None] * turned
    mixed = grey_of + saturation[:, None, None] * mixed
    mixed = (gain * contrast)[:, None, None] * mixed
    added = added + gain * (1.0 - contrast) * grey
    offset = ops.squeeze(ops.matmul(offset[:, None, :], mixed), axis=1) + added[:, None]
    images = _linear(images, ops.matmul(matrix, mixed), offset, ops)
    return images if extra is None else _levels(images, extra, ops)


def _bases(order: PixelOrder) -> tuple[NDArray[np.float32], ...]:
    """Return matrices (C, C) for pixels as rows: their grey, their chroma, that a quarter turn on.

    The sum of the first two changes nothing; a pixel of one channel has no chroma.
    """
    if order is PixelOrder.GRAY:
        one = np.ones((1, 1), np.float32)
        return one, np.zeros_like(one), np.zeros_like(one)
    yiq = np.array(_YIQ)
    quarter = np.array([[0, 0, 0], [0, 0, -1], [0, 1, 0]])
    grey = np.tile(np.array(_LUMA)[:, None], (1, 3))
    turned = (np.linalg.inv(yiq) @ quarter @ yiq).T
    step = -1 if order is PixelOrder.BGR else 1
    bases = (grey, np.eye(3) - grey, turned)
    return tuple(basis[::step, ::step].astype(np.float32) for basis in bases)


def _stretch(images: Any, extra: RandAugment | None, draws: Draws) -> tuple[Any, Any]:
    """Return the matrices and offsets that stretch levels to 0..255 where autocontrast is drawn."""
    ops = draws.ops
    channels = images.shape[3]
    none = ops.zeros_like(draws.unit())
    identity = np.eye(channels, dtype=np.float32)
    if extra is None:
        return none[:, None, None] + identity, ops.repeat(none[:, None], channels, axis=1)
    low, high = ops.min(images, axis=(1, 2)), ops.max(images, axis=(1, 2))
    wanted = ops.logical_and(extra.autocontrast[:, None] > 0, high - low >= 1.0)
    scale = ops.where(wanted, WHITE / ops.maximum(high - low, 1.0), 1.0)
    return scale[:, :, None] * identity, ops.where(wanted, -low * scale, 0.0)


def _linear(images: Any, matrix: Any, offset: Any, ops: Any) -> Any:
    """Return each picture's pixels times its matrix, plus its offset, within 0..255."""
    shape = ops.shape(images)
    pixels = ops.reshape(images, (shape[0], -1, images.shape[3]))
    pixels = ops.clip(ops.matmul(pixels, matrix) + offset[:, None, :], 0.0, WHITE)
    return ops.reshape(pixels, shape)


def _levels(images: Any, extra: RandAugment, ops: Any) -> Any:
    """Return the pictures solarized and posterized where that is drawn."""
    threshold = WHITE * (1.0 - extra.solarize)[:, None, None, None]
    images = ops.where(images > threshold, WHITE - images, images)
    step = (2.0**extra.posterize)[:, None, None, None]
    return ops.where(step > 1.0, ops.floor(images / step) * step, images)

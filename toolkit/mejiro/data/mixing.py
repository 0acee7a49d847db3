"""Mix the pictures of a batch with each other, and their labels with them."""

from __future__ import annotations

from typing import Any

from mejiro.data.draws import Draws

WHITE = 255.0
# Area and shape of what is erased; Z. Zhong et al., Random Erasing Data Augmentation, 2020.
_ERASED = (0.02, 0.33)
_ERASED_SHAPE = 2.3  # from 1 / 3.3 to 3.3 times as high as wide


def mix(images: Any, labels: Any, mixup: float, cutmix: float, draws: Draws) -> tuple[Any, Any]:
    """Return `images` (N, H, W, C) mixed with their neighbours in the batch, `labels` likewise.

    `mixup` and `cutmix` are the parameters of the beta distributions that the shares come from,
    0 for what is not to be done; with both, each picture gets one or the other. Neighbours are
    no choice of their own: batches are expected to be shuffled.

    Sources: H. Zhang et al., mixup: Beyond Empirical Risk Minimization, 2018; S. Yun et al.,
    CutMix: Regularization Strategy to Train Strong Classifiers with Localizable Features, 2019.
    """
    ops = draws.ops
    weight: Any = None
    if mixup:
        share = draws.beta(mixup)
        weight = share[:, None, None, None]
    if cutmix:
        side = ops.sqrt(1.0 - draws.beta(cutmix))
        kept = 1.0 - _boxes(images, side, side, draws)
        kept_share = ops.mean(kept, axis=(1, 2, 3))
        if weight is None:
            share, weight = kept_share, kept
        else:
            cut = draws.unit() < 0.5
            share = ops.where(cut, kept_share, share)
            weight = ops.where(cut[:, None, None, None], kept, weight)
    others = ops.roll(images, 1, axis=0)
    other_labels = ops.roll(labels, 1, axis=0)
    share = share[:, None]
    return others + weight * (images - others), other_labels + share * (labels - other_labels)


def erase(images: Any, probability: float, draws: Draws) -> Any:
    """Return `images` with a rectangle of one random colour in some of them."""
    ops = draws.ops
    area = _ERASED[0] + draws.unit() * (_ERASED[1] - _ERASED[0])
    shape = draws.factor(_ERASED_SHAPE)
    happens = ops.cast(draws.unit() < probability, "float32")
    colours = ops.stack([draws.unit() * WHITE for _ in range(images.shape[3])], axis=1)
    box = _boxes(images, ops.sqrt(area * shape), ops.sqrt(area / shape), draws)
    box = box * happens[:, None, None, None]
    return images + box * (colours[:, None, None, :] - images)


def _boxes(images: Any, high: Any, wide: Any, draws: Draws) -> Any:
    """Return masks (N, H, W, 1) of 1 inside a box anywhere in each picture and 0 outside.

    `high` and `wide` (N,) are the boxes' sides as shares of the pictures'; what would lie beyond
    an edge is cut off.
    """
    ops = draws.ops
    rows = _inside(ops.shape(images)[1], high, draws)
    columns = _inside(ops.shape(images)[2], wide, draws)
    return rows[:, :, None, None] * columns[:, None, :, None]


def _inside(size: Any, share: Any, draws: Draws) -> Any:
    """Return (N, size): 1 for the places within `share` of the size about a random centre."""
    ops = draws.ops
    places = (ops.cast(ops.arange(size), "float32") + 0.5) / ops.cast(size, "float32")
    distance = ops.abs(places[None, :] - draws.unit()[:, None])
    return ops.cast(distance < share[:, None] / 2.0, "float32")

"""Compute the loss of a batch inside the training graph."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mejiro.tensorflow import load_keras
from mejiro.train.settings import Loss, LossKind

LossFunction = Callable[[Any, Any], Any]


def make_loss(loss: Loss, weights: NDArray[np.float32]) -> LossFunction:
    """Return a function of labels (N, C) and logits (N, C) that gives each picture's loss (N,).

    Labels are one-hot, or mixed from several; `weights` (C,) are the classes' weights. The focal
    loss is FL = -(1 - p)^gamma log p (arXiv:1708.02002, equation 4), of each class with its
    share in the label.
    """
    ops = load_keras().ops
    classes = len(weights)
    each = ops.convert_to_tensor(weights)

    def losses(labels: Any, logits: Any) -> Any:
        logits = ops.cast(logits, "float32")
        smooth = labels * (1.0 - loss.label_smoothing) + loss.label_smoothing / classes
        logs = ops.log_softmax(logits, axis=-1)
        terms = smooth * logs
        if loss.kind is LossKind.FOCAL:
            terms = terms * ops.power(1.0 - ops.exp(logs), loss.gamma)
        return -ops.sum(terms, axis=-1) * ops.sum(labels * each, axis=-1)

    return losses

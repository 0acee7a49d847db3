"""Read a classifier's output: probabilities first, then the best classes."""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING, Any

import numpy as np

from mejiro_runtime.card import OutputSpec, Scores
from mejiro_runtime.errors import ModelError
from mejiro_runtime.preprocess import Quantization
from mejiro_runtime.types import Classification, Label

if TYPE_CHECKING:
    from numpy.typing import NDArray


def read_scores(
    raw: NDArray[Any], spec: OutputSpec, quantization: Quantization | None
) -> NDArray[np.float32]:
    """Return float32 probabilities (classes,) from a raw output (1, classes) of any dtype.

    Integers are dequantized as the file says, logits go through a softmax. Raises ModelError
    for an integer output without quantization, or one that is not finite.
    """
    values = raw.reshape(-1)
    if values.dtype.kind in "iu":
        if quantization is None:
            raise ModelError(f"the model's {values.dtype} output states no scale; export it again")
        values = values.astype(np.float32)
        values -= np.float32(quantization.zero_point)
        values *= np.float32(quantization.scale)
    scores: NDArray[np.float32] = values.astype(np.float32, copy=False)
    # argmax and argmin stop at a NaN, so these two are finite only if all are.
    if not (isfinite(scores.item(scores.argmax())) and isfinite(scores.item(scores.argmin()))):
        raise ModelError("the model's output is not finite; its file or its engine is broken")
    if spec.scores is Scores.LOGITS:
        # Subtracting the maximum changes nothing but keeps exp from overflowing, and float64
        # holds the difference of any two float32.
        wide = scores.astype(np.float64)
        wide = np.exp(wide - wide.max())
        scores = (wide / wide.sum()).astype(np.float32)
    return scores


def top_classes(
    scores: NDArray[np.float32],
    labels: tuple[Label, ...],
    *,
    count: int = 5,
    background: int | None = None,
) -> tuple[Classification, ...]:
    """Return the `count` most probable classes, best first; of equals the lower index first.

    The class `background` is left out.
    """
    left = scores.copy()
    if background is not None:
        left[background] = -np.inf
    wanted = min(count, scores.size - (background is not None))
    best = []
    # A few passes of argmax take a fifth of the time of sorting, and it is the first of equals
    # that argmax gives.
    for _ in range(wanted):
        index = int(left.argmax())
        best.append(Classification(labels[index], left.item(index)))
        left[index] = -np.inf
    return tuple(best)

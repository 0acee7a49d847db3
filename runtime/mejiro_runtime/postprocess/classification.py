"""Read a classifier's output: probabilities first, then the best classes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mejiro_runtime.card import OutputSpec, Scores
from mejiro_runtime.errors import ModelError
from mejiro_runtime.preprocess import Quantization
from mejiro_runtime.types import Classification, Label


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
        values = (values.astype(np.float32) - quantization.zero_point) * np.float32(
            quantization.scale
        )
    scores: NDArray[np.float32] = values.astype(np.float32, copy=False)
    if spec.scores is Scores.LOGITS:
        # Subtracting the maximum changes nothing but keeps exp from overflowing.
        scores = np.exp(scores - scores.max())
        scores = scores / scores.sum()
    if not np.isfinite(scores).all():
        raise ModelError("the model's output is not finite; its file or its engine is broken")
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
    spare = 0 if background is None else 1
    wanted = min(count + spare, scores.size)
    threshold = np.partition(scores, scores.size - wanted)[scores.size - wanted]
    candidates = np.flatnonzero(scores >= threshold)
    order = candidates[np.argsort(-scores[candidates], kind="stable")]
    best = [index for index in order[: count + spare].tolist() if index != background]
    return tuple(Classification(labels[index], float(scores[index])) for index in best[:count])

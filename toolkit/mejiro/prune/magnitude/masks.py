"""Choose which weights become zero: the smallest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mejiro.prune.magnitude.pattern import Pattern
from mejiro.prune.magnitude.settings import Scope

Kernel = NDArray[np.float32]
Mask = NDArray[np.bool_]


def choose_masks(
    kernels: Sequence[Kernel], sparsity: float, scope: Scope, pattern: Pattern | None = None
) -> list[Mask]:
    """Return which weights of each kernel are kept, so that the share `sparsity` of them is not.

    The number of zeros is exact, rounded down, for each layer or for all together; of weights
    that are alike the first ones go. A `pattern` bounds which may go: on the way to it only
    those that it drops in the end, and at its own sparsity all of these. Of every layer at least
    one weight is kept.
    """
    scores = [np.abs(kernel) for kernel in kernels]
    if scope is Scope.GLOBAL:
        scores = [layer_adapted(kernel) for kernel in kernels]
    if pattern is not None:
        spared = [pattern.spared(kernel) for kernel in kernels]
        scores = [np.where(kept, np.inf, one) for kept, one in zip(spared, scores, strict=True)]
        # The channels of a layer need not divide by the group: what the pattern drops in the end
        # is what there is to drop, not a share of all weights.
        share = min(1.0, sparsity / pattern.sparsity)
        droppable = [int((~kept).sum()) for kept in spared]
        counts = [round(share * number) for number in droppable]
    else:
        counts = [int(sparsity * kernel.size) for kernel in kernels]
    if scope is Scope.LAYER:
        return [_largest(one, count) for one, count in zip(scores, counts, strict=True)]
    together = np.concatenate([one.ravel() for one in scores])
    total = sum(counts) if pattern is not None else int(sparsity * together.size)
    kept = _largest(together, total)
    ends = np.cumsum([one.size for one in scores])
    parts = np.split(kept, ends[:-1])
    return [part.reshape(one.shape) for part, one in zip(parts, scores, strict=True)]


def layer_adapted(kernel: Kernel) -> NDArray[Any]:
    """Return each weight's square over the sum of those squares in its layer that are no smaller.

    So layers can be compared whose weights differ in size and in number, and the largest weight
    of each has the score 1, which keeps every layer alive. Source: Lee et al., "Layer-adaptive
    sparsity for the Magnitude-based Pruning" (arXiv:2010.07611), equation 1.
    """
    squares = np.square(kernel.ravel().astype(np.float64))
    order = np.argsort(squares, kind="stable")
    ahead = np.cumsum(squares[order][::-1])[::-1]
    scores = np.empty_like(squares)
    scores[order] = squares[order] / np.maximum(ahead, np.finfo(np.float64).tiny)
    return scores.reshape(kernel.shape)


def _largest(scores: NDArray[Any], drop: int) -> Mask:
    """Return which scores remain when the `drop` smallest go; one always remains."""
    drop = min(drop, scores.size - 1)
    kept = np.ones(scores.size, dtype=bool)
    kept[np.argsort(scores, axis=None, kind="stable")[:drop]] = False
    return kept.reshape(scores.shape)

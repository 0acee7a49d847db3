"""Say how sparse a network is at each step of its training.

Source: Zhu and Gupta, "To prune, or not to prune: exploring the efficacy of pruning for model
compression" (arXiv:1710.01878), equation 1.
"""

from __future__ import annotations

import math

from mejiro.prune.magnitude.settings import MagnitudeSettings


def sparsity_at(settings: MagnitudeSettings, step: int, steps: int) -> float:
    """Return the sparsity after step `step` (from 1) of `steps`: fast at first, then ever slower.

    While much is left, what is taken is small; later the network needs time to make up for it.
    """
    begin, end = _window(settings, steps)
    if step >= end:
        return settings.sparsity
    along = max(0, step - begin) / (end - begin)
    return settings.sparsity + (settings.initial - settings.sparsity) * (1 - along) ** 3


def is_update(settings: MagnitudeSettings, step: int, steps: int) -> bool:
    """Say whether the masks change after step `step`; the last time is when the schedule ends."""
    begin, end = _window(settings, steps)
    stride = max(1, (end - begin) // settings.updates)
    return begin < step <= end and (step == end or (step - begin) % stride == 0)


def _window(settings: MagnitudeSettings, steps: int) -> tuple[int, int]:
    """Return the last step before the sparsity grows, and the one after which it is full."""
    # A share such as 0.55 times 20 lies a hair above 11; that hair is no step.
    end = max(1, math.ceil(settings.end * steps - 1e-9))
    return min(math.floor(settings.begin * steps), end - 1), end

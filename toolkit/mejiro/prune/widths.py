"""Choose how many channels of a group stay, and which.

Kernels of engines work on 8 or 16 channels at once, and a narrower map costs as much as the next
multiple; so counts are multiples of 8 unless told otherwise.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from mejiro.errors import UsageError
from mejiro.prune.graph import Group

MULTIPLE = 8


def kept_number(group: Group, share: float, *, multiple: int = MULTIPLE) -> int:
    """Return how many channels of `group` to keep for `share` of them, in 0..1.

    The widths of the layers that make the channels become the multiple nearest to it, one
    multiple at least; where the group has no such width below its own, it stays whole. A tie
    goes to the wider. Raises UsageError for a share or multiple out of range.
    """
    if not 0 < share <= 1:
        raise UsageError(f"the share of channels to keep must lie in (0, 1], found {share}")
    if multiple < 1:
        raise UsageError(f"channels come in multiples of 1 or more, found {multiple}")
    step = multiple // math.gcd(multiple, group.copies)
    wanted = math.floor(share * group.channels / step + 0.5) * step
    wanted = max(wanted, step)
    return min(group.channels, wanted)


def strongest(
    scores: NDArray[np.floating], share: float, group: Group, *, multiple: int = MULTIPLE
) -> NDArray[np.int64]:
    """Return the channels with the highest scores, `kept_number` of them, sorted.

    `scores` is (channels,). Of equals the first stay, so that the same scores give the same cut.
    """
    count = kept_number(group, share, multiple=multiple)
    order = np.argsort(-np.asarray(scores, np.float64), kind="stable")
    return np.sort(order[:count])

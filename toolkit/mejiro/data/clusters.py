"""Choose pictures that stand for many: one from the middle of each cluster of their features."""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import NDArray


def nearest_to_centres(features: NDArray[np.float32], count: int) -> list[int]:
    """Return the places, in order, of `count` rows of `features` (pictures, channels).

    The rows are gathered into `count` clusters by k-means (Lloyd 1982, begun by k-means++ from a
    fixed seed), and of each cluster the row nearest its centre is taken. Up to `count` rows are
    all taken.
    """
    if len(features) <= count:
        return list(range(len(features)))
    from sklearn.cluster import KMeans

    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore"
        )  # of rows that are alike it makes fewer clusters, and says so
        centres = KMeans(count, n_init=1, random_state=0).fit(features).cluster_centers_
    chosen: dict[int, None] = {}
    for centre in centres:
        distances = ((features - centre) ** 2).sum(axis=1)
        chosen[next(int(place) for place in np.argsort(distances) if place not in chosen)] = None
    return sorted(chosen)

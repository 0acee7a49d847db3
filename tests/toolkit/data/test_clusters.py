"""Choose rows that stand for many."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mejiro.data.clusters import nearest_to_centres


def test_each_of_three_clusters_gives_one_row():
    rng = np.random.default_rng(0)
    middles = np.repeat(np.eye(3) * 10, [50, 5, 2], axis=0)
    rows = (middles + rng.normal(scale=0.1, size=middles.shape)).astype(np.float32)
    chosen = nearest_to_centres(rows, 3)
    assert sorted(int(np.argmax(rows[place])) for place in chosen) == [0, 1, 2]


@given(st.integers(1, 8), st.integers(1, 8), st.booleans())
def test_the_places_are_in_order_and_none_comes_twice(rows, count, alike):
    rng = np.random.default_rng(rows)
    features = np.ones((rows, 4)) if alike else rng.normal(size=(rows, 4))
    chosen = nearest_to_centres(features.astype(np.float32), count)
    assert len(chosen) == min(rows, count)
    assert chosen == sorted(set(chosen))

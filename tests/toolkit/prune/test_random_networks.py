"""Cut networks of random structure: whatever the ties, the surgery holds."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mejiro.prune import cut, find_groups, silence
from mejiro.tensorflow import load_keras

KINDS = ("conv", "grouped", "depthwise", "norm", "add", "concatenate", "gate", "pad", "dense")
# What is appended, to which of the maps there are, and a number for its width or its partner.
moves = st.tuples(st.sampled_from(KINDS), st.integers(0, 9), st.integers(0, 9))


def append(maps: list[Any], kind: str, which: int, number: int) -> Any:
    """Return a map of the same height and width, made of those that there are."""
    layers = load_keras().layers
    x = maps[which % len(maps)]
    width = x.shape[-1]
    if kind == "conv":
        return layers.Conv2D(2 + number, 3, padding="same", activation="relu")(x)
    if kind == "grouped" and width % 2 == 0:
        return layers.Conv2D(4 * (1 + number % 2), 1, groups=2)(x)
    if kind == "depthwise":
        return layers.DepthwiseConv2D(3, padding="same", depth_multiplier=1 + number % 2)(x)
    if kind == "norm":
        return layers.Activation("silu")(layers.BatchNormalization()(x))
    if kind == "add":
        alike = [other for other in maps if other.shape[-1] in (1, width)]
        return layers.Add()([x, alike[number % len(alike)]])
    if kind == "concatenate":
        return layers.Concatenate()([x, maps[number % len(maps)]])
    if kind == "gate":
        gate = layers.GlobalAveragePooling2D(keepdims=True)(x)
        return x * layers.Conv2D(width, 1, activation="sigmoid")(gate)
    if kind == "dense":
        return layers.Dense(2 + number)(x)
    return layers.Cropping2D(1)(layers.ZeroPadding2D(1)(x))


def build(wanted: list[tuple[str, int, int]], flat: bool) -> Any:
    keras = load_keras()
    keras.utils.set_random_seed(1)
    inputs = keras.Input((3, 3, 2))
    maps = [keras.layers.Conv2D(6, 1)(inputs)]
    for kind, which, number in wanted:
        maps.append(append(maps, kind, which, number))
    x = keras.layers.Concatenate()(maps[-3:]) if len(maps) > 2 else maps[-1]
    x = keras.layers.Flatten()(x) if flat else keras.layers.GlobalMaxPooling2D()(x)
    return keras.Model(inputs, keras.layers.Dense(3)(x))


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(moves, min_size=1, max_size=8), st.booleans(), st.integers(0, 2**16))
def test_a_random_network_cut_at_random(
    stir: Any, wanted: list[tuple[str, int, int]], flat: bool, seed: int
) -> None:
    network = stir(build(wanted, flat))
    graph = find_groups(network)
    rng = np.random.default_rng(seed)
    keep = {
        name: rng.permutation(group.channels)[: rng.integers(1, group.channels + 1)]
        for name, group in graph.cuttable.items()
    }
    inputs = rng.normal(size=(2, 3, 3, 2)).astype(np.float32)

    small, quiet = cut(graph, keep), silence(graph, keep)

    answers = quiet(inputs).numpy()
    np.testing.assert_allclose(small(inputs), answers, atol=1e-4 * max(1, np.abs(answers).max()))
    for axis, kept in graph.kept_indices(keep).items():
        assert 0 < len(kept) < graph.lengths[axis]

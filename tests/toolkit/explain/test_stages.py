"""Early, middle and late layers are chosen, and the maps that tell most of where."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from mejiro.explain.stages import choose_stages, strongest
from mejiro.export.flat import flatten
from mejiro.tensorflow import load_keras


def chosen(shapes, build):
    keras = load_keras()
    pixels = keras.Input((64, 64, 3))
    features = build(keras.layers, pixels)
    scores = keras.layers.Dense(3, "softmax")(keras.layers.GlobalAveragePooling2D()(features))
    network = flatten(shapes.float_model(keras.Model(pixels, scores)))
    return [step.name for step in choose_stages(
        [step for step in network.steps.values() if len(step.output.shape) == 4]
    )]  # fmt: skip


def test_the_last_activation_of_each_stage_is_chosen(shapes):
    def build(k, x):
        for stage in range(5):
            x = k.ZeroPadding2D(1, name=f"pad{stage}")(x)
            x = k.Conv2D(4, 3, strides=2, name=f"conv{stage}")(x)
            x = k.ReLU(name=f"relu{stage}")(x)
            x = k.Conv2D(4, 1, name=f"project{stage}")(x)
        return x

    # Padding makes no stage, and the last map is the one that is classified.
    assert chosen(shapes, build) == ["relu0", "relu2", "project4"]


def test_branches_are_taken_together(shapes):
    def build(k, x):
        for stage in range(3):
            x = k.MaxPooling2D(2)(x)
            parts = [k.Conv2D(4, size, padding="same", activation="relu")(x) for size in (1, 3)]
            x = k.Concatenate(name=f"join{stage}")(parts)
        return x

    assert chosen(shapes, build) == ["join0", "join1", "join2"]


@pytest.mark.parametrize(("count", "expected"), [(1, 1), (2, 2), (3, 3)])
def test_a_network_of_few_stages_shows_them_all(shapes, count, expected):
    def build(k, x):
        for _ in range(count):
            x = k.Conv2D(4, 3, strides=2, padding="same")(x)
        return x

    assert len(chosen(shapes, build)) == expected


@given(
    hnp.arrays(np.float32, hnp.array_shapes(min_dims=3, max_dims=3, max_side=6),
               elements=st.floats(-9, 9, width=32)),
    st.integers(1, 9),
)  # fmt: skip
def test_the_strongest_maps_differ_most_by_place(features, count):
    found = strongest(features, count)
    deviation = features.astype(np.float64).std(axis=(0, 1))
    assert len(found) == min(count, features.shape[2])
    assert len(set(found.tolist())) == len(found)
    left = np.delete(deviation, found)
    assert left.size == 0 or deviation[found].min() >= left.max()

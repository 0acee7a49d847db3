"""The arithmetic of Grad-CAM and Grad-CAM++ is the papers'."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from mejiro.explain.methods import grad_cam, grad_cam_plus_plus

NUMBERS = st.floats(-50, 50, width=32)
SHAPES = hnp.array_shapes(min_dims=3, max_dims=3, max_side=5)
METHODS = pytest.mark.parametrize("method", [grad_cam, grad_cam_plus_plus])


def random_pair(seed=0, shape=(4, 5, 6)):
    rng = np.random.default_rng(seed)
    features = rng.random(shape, dtype=np.float32)
    return features, rng.normal(size=shape).astype(np.float32)


def test_grad_cam_weighs_channels_by_their_mean_gradient():
    features, gradients = random_pair()
    expected = np.zeros((4, 5))
    for channel in range(6):
        expected += gradients[..., channel].mean() * features[..., channel]
    assert grad_cam(features, gradients) == pytest.approx(np.maximum(expected, 0), abs=1e-6)


def test_grad_cam_plus_plus_is_equation_19():
    features, gradients = random_pair(1)
    expected = np.zeros((4, 5))
    for channel in range(6):
        a, g = features[..., channel].astype(float), gradients[..., channel].astype(float)
        alpha = g**2 / (2 * g**2 + a.sum() * g**3)
        expected += (alpha * np.maximum(g, 0)).sum() * a
    found = grad_cam_plus_plus(features, gradients)
    assert found == pytest.approx(np.maximum(expected, 0), rel=1e-4, abs=1e-6)


@METHODS
@given(hnp.arrays(np.float32, SHAPES, elements=NUMBERS), st.integers(0, 9))
def test_heat_is_finite_and_never_negative(method, features, seed):
    gradients = np.random.default_rng(seed).normal(size=features.shape).astype(np.float32)
    heat = method(features, gradients)
    assert heat.shape == features.shape[:2]
    assert heat.dtype == np.float32
    assert np.isfinite(heat).all()
    assert (heat >= 0).all()


@METHODS
def test_no_gradient_is_no_heat(method):
    features, gradients = random_pair()
    assert not method(features, np.zeros_like(gradients)).any()
    assert not method(np.zeros_like(features), gradients).any()


def test_small_and_large_objects_count_alike_in_grad_cam_plus_plus():
    # Two channels, each sees one object; the score's slope is shared by the places of each.
    features, gradients = np.zeros((6, 6, 2), np.float32), np.zeros((6, 6, 2), np.float32)
    for channel, place in enumerate((np.s_[0:1, 0:1], np.s_[2:6, 2:6])):
        features[(*place, channel)] = 1
        gradients[(*place, channel)] = 0.01
    plain, fair = grad_cam(features, gradients), grad_cam_plus_plus(features, gradients)
    assert plain[0, 0] / plain[3, 3] == pytest.approx(1 / 16)
    assert fair[0, 0] / fair[3, 3] > plain[0, 0] / plain[3, 3]

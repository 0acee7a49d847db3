"""Losses agree with their formulas, written out in numpy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mejiro.train.losses import make_loss
from mejiro.train.settings import Loss, LossKind

ONES = np.ones(3, np.float32)


def _probabilities(logits: np.ndarray) -> np.ndarray:
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    return shares / shares.sum(axis=1, keepdims=True)


@pytest.fixture
def logits() -> np.ndarray:
    return np.random.default_rng(2).normal(scale=2, size=(6, 3)).astype(np.float32)


@pytest.fixture
def labels() -> np.ndarray:
    """Two of them mixed, as MixUp makes them."""
    labels = np.eye(3, dtype=np.float32)[[0, 1, 2, 0, 1, 2]]
    labels[4:] = [[0.3, 0.7, 0.0], [0.5, 0.0, 0.5]]
    return labels


def test_cross_entropy_with_smoothing(keras: Any, logits: np.ndarray, labels: np.ndarray) -> None:
    found = make_loss(Loss(label_smoothing=0.2), ONES)(labels, logits)
    smooth = labels * 0.8 + 0.2 / 3
    expected = -(smooth * np.log(_probabilities(logits))).sum(axis=1)
    assert np.asarray(found) == pytest.approx(expected, rel=1e-5)
    theirs = keras.losses.CategoricalCrossentropy(
        from_logits=True, label_smoothing=0.2, reduction="none"
    )(labels, logits)
    assert np.asarray(found) == pytest.approx(np.asarray(theirs), rel=1e-5)


def test_focal_loss(keras: Any, logits: np.ndarray, labels: np.ndarray) -> None:
    loss = Loss(LossKind.FOCAL, label_smoothing=0.0, gamma=2.0)
    shares = _probabilities(logits)
    expected = -(labels * (1 - shares) ** 2 * np.log(shares)).sum(axis=1)
    assert np.asarray(make_loss(loss, ONES)(labels, logits)) == pytest.approx(expected, rel=1e-5)
    plain = Loss(LossKind.FOCAL, label_smoothing=0.0, gamma=0.0)
    entropy = Loss(label_smoothing=0.0)
    one, other = (make_loss(kind, ONES)(labels, logits) for kind in (plain, entropy))
    assert np.asarray(one) == pytest.approx(np.asarray(other), rel=1e-6)


def test_class_weights_are_shared_out_as_the_labels_are(
    keras: Any, logits: np.ndarray, labels: np.ndarray
) -> None:
    weights = np.array([1.0, 2.0, 4.0], np.float32)
    plain = np.asarray(make_loss(Loss(), ONES)(labels, logits))
    weighted = np.asarray(make_loss(Loss(), weights)(labels, logits))
    assert weighted == pytest.approx(plain * (labels @ weights), rel=1e-6)

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mejiro.errors import PruneError
from mejiro.prune import CRITERIA, Criterion, Evidence, Role, find_groups
from mejiro_runtime.card import Scores


@pytest.fixture
def pictures() -> NDArray[np.float32]:
    return np.random.default_rng(7).normal(size=(6, 6, 6, 3)).astype(np.float32)


@pytest.fixture
def network(build_network: Any) -> Any:
    """Two branches that are added, a norm, and a grouped convolution."""

    def body(layers: Any, x: Any) -> Any:
        one = layers.Conv2D(8, 1, name="one")(x)
        two = layers.Conv2D(8, 3, padding="same", name="two")(x)
        x = layers.Add()([one, two])
        x = layers.ReLU(name="relu")(layers.BatchNormalization(name="norm")(x))
        return layers.Conv2D(6, 1, groups=2, name="grouped")(x)

    return build_network(body)


def trunk(network: Any, criterion: Criterion, evidence: Evidence | None = None) -> Any:
    """The scores of the channels that both branches make: four, each one of each group."""
    scores = CRITERIA[criterion](find_groups(network), evidence or Evidence())
    return next(score for score in scores.values() if len(score) == 4)


@pytest.mark.parametrize(("criterion", "order"), [(Criterion.L1, 1), (Criterion.L2, 2)])
def test_norms_of_filters(network: Any, criterion: Criterion, order: int) -> None:
    expected = np.zeros(4)
    for name in ("one", "two"):
        kernel = np.abs(network.get_layer(name).get_weights()[0].reshape(-1, 2, 4)) ** order
        norms = kernel.sum(axis=(0, 1)) ** (1 / order)
        expected += norms / norms.sum()
    np.testing.assert_allclose(trunk(network, criterion), expected, rtol=1e-6)


def test_scales_of_batch_norms(network: Any) -> None:
    norm = network.get_layer("norm")
    gamma, *others = norm.get_weights()
    gamma[5] = -3
    norm.set_weights([gamma, *others])

    scores = CRITERIA[Criterion.BATCH_NORM](find_groups(network), Evidence())

    assert len(scores) == 1  # no norm follows the others
    (found,) = scores.values()
    np.testing.assert_allclose(found, np.abs(gamma).reshape(2, 4).sum(axis=0), rtol=1e-6)


def test_spread_times_outgoing_norm(
    keras: Any, network: Any, pictures: NDArray[np.float32]
) -> None:
    features = keras.Model(network.input, network.get_layer("relu").output)(pictures).numpy()
    kernel = network.get_layer("grouped").get_weights()[0][0, 0]  # (4, 6)
    # What each input of each group adds to the variance of the three outputs of its group.
    energy = np.array(
        [
            [
                np.var(features[..., 4 * group + i]) * (kernel[i, 3 * group :][:3] ** 2).sum()
                for i in range(4)
            ]
            for group in range(2)
        ]
    ).sum(axis=0)

    found = trunk(network, Criterion.ACTIVATION, Evidence(pictures, batch=4))

    np.testing.assert_allclose(found, energy / energy.sum(), rtol=1e-4)


def test_a_channel_that_never_changes_has_no_spread(
    network: Any, pictures: NDArray[np.float32]
) -> None:
    norm = network.get_layer("norm")
    gamma, *others = norm.get_weights()
    gamma[[2, 6]] = 0
    norm.set_weights([gamma, *others])

    found = trunk(network, Criterion.ACTIVATION, Evidence(pictures))

    assert found[2] < 1e-12
    assert np.delete(found, 2).min() > 1e-3


@pytest.mark.parametrize("frozen", [False, True])
def test_taylor_is_the_slope_of_the_loss(
    keras: Any, network: Any, pictures: NDArray[np.float32], frozen: bool
) -> None:
    network.trainable = not frozen
    labels = np.arange(6) % 5
    graph = find_groups(network)
    group = next(g for g in graph.cuttable.values() if g.channels == 4)
    (part,) = (part for part in group.slices if part.role is Role.CONSUMED)
    layer, step = network.get_layer("grouped"), 1e-2
    weights = layer.get_weights()

    def loss(channel: int, factor: float) -> float:
        kernel = weights[0].copy()
        kernel[:, :, part.indices[channel]] *= factor
        layer.set_weights([kernel, *weights[1:]])
        logits = network(pictures)
        layer.set_weights(weights)
        losses = keras.losses.sparse_categorical_crossentropy(labels, logits, from_logits=True)
        return float(keras.ops.sum(losses))

    slopes = [(loss(i, 1 + step) - loss(i, 1 - step)) / (2 * step) for i in range(4)]

    evidence = Evidence(pictures, labels, scores=Scores.LOGITS)
    found = trunk(network, Criterion.TAYLOR, evidence)
    np.testing.assert_allclose(found, np.square(slopes), rtol=2e-2, atol=1e-5)
    by_batches = trunk(
        network, Criterion.TAYLOR, Evidence(pictures, labels, scores=Scores.LOGITS, batch=4)
    )
    assert not np.allclose(by_batches, found)


def test_what_a_criterion_needs_is_asked_for(network: Any, pictures: NDArray[np.float32]) -> None:
    graph = find_groups(network)
    with pytest.raises(PruneError, match="'activation' needs pictures"):
        CRITERIA[Criterion.ACTIVATION](graph, Evidence())
    with pytest.raises(PruneError, match="'taylor' needs pictures"):
        CRITERIA[Criterion.TAYLOR](graph, Evidence())
    with pytest.raises(PruneError, match="a label for each picture"):
        CRITERIA[Criterion.TAYLOR](graph, Evidence(pictures, np.arange(5)))


@pytest.mark.parametrize("criterion", Criterion)
def test_every_criterion_takes_other_convolutions(
    build_network: Any, pictures: NDArray[np.float32], criterion: Criterion
) -> None:
    def body(layers: Any, x: Any) -> Any:
        x = layers.Conv2D(5, 3, name="before")(x)
        x = layers.SeparableConv2D(7, 3, depth_multiplier=2, name="separable")(x)
        x = layers.BatchNormalization()(x)
        x = layers.Conv2DTranspose(4, 3, strides=2, name="transposed")(x)
        return layers.Dense(6, activation="relu")(layers.Flatten()(x))

    graph = find_groups(build_network(body))
    evidence = Evidence(pictures, np.arange(6) % 5, scores=Scores.LOGITS)

    scores = CRITERIA[criterion](graph, evidence)

    assert set(scores) <= set(graph.cuttable)
    assert "separable" in scores
    for name, found in scores.items():
        assert found.shape == (graph.groups[name].channels,)
        assert np.isfinite(found).all()
        assert found.min() >= 0 < found.max()

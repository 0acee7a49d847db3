"""Weights decay that should, layers learn at their rates, and the rate rises and falls."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mejiro.train.freezing import Freeze
from mejiro.train.optimizers import layer_factors, make_optimizer, rate_at
from mejiro.train.settings import Optimizer, OptimizerKind, Phase

PHASE = Phase("fine-tuning", 4, 0.1, Freeze(), warmup=0.2)


def test_the_rate_rises_to_its_height_and_falls_to_nothing() -> None:
    rates = [rate_at(PHASE, step, 100) for step in range(100)]
    assert rates[0] == pytest.approx(0.1 / 21)
    assert rates.index(max(rates)) == 20
    assert rates[20] == pytest.approx(0.1)
    assert rates[60] == pytest.approx(0.05)
    assert 0 < rates[99] < 1e-4
    assert rates[:21] == sorted(rates[:21])
    assert rates[20:] == sorted(rates[20:], reverse=True)


def test_a_phase_of_one_step_learns() -> None:
    assert rate_at(PHASE, 0, 1) == pytest.approx(0.1)


@pytest.fixture
def layers(keras: Any) -> list[Any]:
    """Four layers, the second of which has no weights."""
    made = [
        keras.layers.Conv2D(2, 1, name="a"),
        keras.layers.ReLU(name="b"),
        keras.layers.Conv2D(2, 1, name="c"),
        keras.layers.BatchNormalization(name="d"),
    ]
    x = keras.Input((4, 4, 2))
    for layer in made:
        x = layer(x)
    return made


def test_layers_learn_the_faster_the_nearer_to_the_head(layers: list[Any]) -> None:
    phase = Phase("fine-tuning", 1, 0.1, depth_factor=0.01)
    assert layer_factors(layers, 0, phase) == pytest.approx([0.01, 1.0, 0.1, 1.0])
    assert layer_factors(layers, 1, phase) == pytest.approx([1.0, 1.0, 0.01, 1.0])
    assert layer_factors(layers, 3, phase) == pytest.approx([1.0] * 4)
    assert layer_factors(layers, 4, phase) == pytest.approx([1.0] * 4)


@pytest.mark.parametrize("kind", OptimizerKind)
def test_each_weight_moves_by_its_own_rate(layers: list[Any], kind: OptimizerKind) -> None:
    first, last = layers[0].kernel, layers[2].kernel
    optimizer = make_optimizer(
        Optimizer(kind, weight_decay=0.0, clip_norm=0.0), 0.1, [first, last], [0.25, 1.0], 10
    )
    before = first.numpy(), last.numpy()
    optimizer.apply([np.ones(v.shape, np.float32) for v in (first, last)], [first, last])
    moved = [old - new.numpy() for old, new in zip(before, (first, last), strict=True)]
    assert (moved[0] > 0).all()
    assert moved[1] == pytest.approx(4 * moved[0].reshape(moved[1].shape), rel=1e-4)


@pytest.mark.parametrize("kind", OptimizerKind)
def test_kernels_decay_and_biases_and_batch_norm_do_not(
    layers: list[Any], kind: OptimizerKind
) -> None:
    variables = [
        layers[0].kernel,
        layers[0].bias,
        layers[3].gamma,
        layers[3].beta,
    ]
    for variable in variables:
        variable.assign(np.full(variable.shape, 2.0, np.float32))
    optimizer = make_optimizer(
        Optimizer(kind, weight_decay=0.1, clip_norm=0.0), 0.5, variables, [1.0] * 4, 10
    )
    optimizer.apply([np.zeros(v.shape, np.float32) for v in variables], variables)
    assert variables[0].numpy() == pytest.approx(2.0 * (1 - 0.5 * 0.1))
    for variable in variables[1:]:
        assert (variable.numpy() == 2.0).all()


def test_the_norm_of_the_whole_gradient_is_bounded(layers: list[Any]) -> None:
    kernel = layers[0].kernel
    settings = Optimizer(OptimizerKind.SGD, weight_decay=0.0, momentum=0.0, clip_norm=1.0)
    optimizer = make_optimizer(settings, 1.0, [kernel], [1.0], 10)
    before = kernel.numpy()
    optimizer.apply([np.full(kernel.shape, 100.0, np.float32)], [kernel])
    assert np.linalg.norm(before - kernel.numpy()) == pytest.approx(1.0, rel=1e-4)


def test_averages_reach_back_over_their_share_of_the_steps(layers: list[Any]) -> None:
    kernel = layers[0].kernel
    optimizer = make_optimizer(Optimizer(average=0.1), 0.1, [kernel], [1.0], 500)
    assert optimizer.use_ema
    assert optimizer.ema_momentum == pytest.approx(1 - 1 / 50)
    # What averages there are belongs to the state that a checkpoint keeps.
    assert len(optimizer.variables) == 2 + 3

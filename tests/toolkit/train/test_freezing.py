"""What is frozen answers as it does after training, and is as it was afterwards."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mejiro.errors import UsageError
from mejiro.train.freezing import Freeze, FreezeKind, frozen, frozen_count, parse_freeze


@pytest.fixture
def network(keras: Any) -> Any:
    keras.utils.set_random_seed(1)
    layers = keras.layers
    inputs = keras.Input((8, 8, 3), name="pixels")
    x = layers.Conv2D(4, 3, name="stem")(inputs)
    x = layers.BatchNormalization(name="stem_bn")(x)
    x = layers.Dropout(0.5, name="drop")(x)
    x = layers.Conv2D(4, 3, name="top")(x)
    return keras.Model(inputs, layers.BatchNormalization(name="top_bn")(x))


@pytest.mark.parametrize(
    ("text", "freeze", "count"),
    [
        ("none", Freeze(), 0),
        ("backbone", Freeze(FreezeKind.BACKBONE), 6),
        ("all-but 2", Freeze(FreezeKind.ALL_BUT, count=2), 4),
        ("all-but-3", Freeze(FreezeKind.ALL_BUT, count=3), 2),
        ("all-but 0", Freeze(FreezeKind.BACKBONE), 6),
        ("stem_bn", Freeze(FreezeKind.THROUGH, layer="stem_bn"), 3),
    ],
)
def test_words_say_what_is_frozen(network: Any, text: str, freeze: Freeze, count: int) -> None:
    assert parse_freeze(text) == freeze
    assert frozen_count(freeze, network.layers) == count
    assert (
        Freeze.from_json({"kind": freeze.kind.value, "count": freeze.count, "layer": freeze.layer})
        == freeze
    )


def test_training_may_begin_at_a_layer(network: Any) -> None:
    assert frozen_count(Freeze(FreezeKind.BEFORE, layer="top"), network.layers) == 4


def test_what_is_not_there_cannot_be_frozen(network: Any) -> None:
    with pytest.raises(UsageError, match=r"no layer 'stem_bm'; did you mean 'stem_bn'\?"):
        frozen_count(parse_freeze("stem_bm"), network.layers)
    with pytest.raises(UsageError, match="has 4 layers with weights, so not all but 9"):
        frozen_count(parse_freeze("all-but 9"), network.layers)


def test_frozen_layers_keep_weights_and_statistics_and_drop_nothing(
    keras: Any, network: Any
) -> None:
    pixels = np.random.default_rng(0).normal(size=(16, 8, 8, 3)).astype(np.float32)
    part = keras.Model(network.inputs, network.get_layer("drop").output)
    before = network.get_layer("stem_bn").get_weights()
    top = network.get_layer("top_bn").get_weights()
    with frozen(network.layers, 4, batch_norm=False):
        answers = np.asarray(part(pixels, training=True))
        network(pixels, training=True)
        names = [variable.path for variable in network.trainable_variables]
    assert (answers == np.asarray(part(pixels, training=False))).all()
    for old, new in zip(before, network.get_layer("stem_bn").get_weights(), strict=True):
        assert (old == new).all()
    assert not (top[2] == network.get_layer("top_bn").get_weights()[2]).all()
    assert names == ["top/kernel", "top/bias", "top_bn/gamma", "top_bn/beta"]
    assert network.get_layer("drop").rate == 0.5
    assert len(network.trainable_variables) == 8


def test_batch_norm_is_held_in_trained_layers_too_if_asked(network: Any) -> None:
    with frozen(network.layers, 0, batch_norm=True):
        names = [variable.path for variable in network.trainable_variables]
        assert network.get_layer("drop").rate == 0.5
    assert names == ["stem/kernel", "stem/bias", "top/kernel", "top/bias"]

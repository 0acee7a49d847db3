from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from mejiro.errors import PruneError
from mejiro.model import FloatModel
from mejiro.prune.options import ChannelOptions, Target
from mejiro.prune.stepwise import Recovery, prune_channels
from mejiro.train.events import Events
from mejiro.train.finetune import FinetuneSettings
from mejiro.train.pictures import Pictures
from mejiro_runtime.card import Scores
from mejiro_runtime.preprocess import InputSpec
from mejiro_runtime.types import Label

SIDE, CLASSES = 8, 3
OPTIONS = ChannelOptions(multiple=4)
TRAINING = FinetuneSettings(epochs=4, rate=3e-3, batch_size=8)


@pytest.fixture
def model(keras: Any, stir: Callable[[Any], Any]) -> FloatModel:
    keras.utils.set_random_seed(4)
    layers = keras.layers
    inputs = x = keras.Input((SIDE, SIDE, 3), name="pixels")
    for name in ("one", "two"):
        x = layers.Conv2D(24, 3, padding="same", use_bias=False, name=name)(x)
        x = layers.BatchNormalization(name=f"{name}_bn")(x)
        x = layers.ReLU(name=f"{name}_relu")(x)
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    x = layers.Dense(CLASSES, name="classifier", activation="softmax")(x)
    labels = tuple(Label(place, f"class {place}") for place in range(CLASSES))
    spec = InputSpec(SIDE, SIDE, scale=(1 / 127.5,), offset=(-1.0,))
    return FloatModel("tiny", stir(keras.Model(inputs, x)), spec, labels, Scores.PROBABILITIES)


@pytest.fixture
def pictures() -> Pictures:
    rng = np.random.default_rng(1)
    rows = rng.integers(0, 256, (32, SIDE, SIDE, 3), dtype=np.uint8)
    truth = rng.integers(0, CLASSES, 32).astype(np.int32)
    return Pictures("tints", rows[:24], rows[24:], truth[:24], truth[24:])


def tensors_of(pictures: Pictures) -> np.ndarray:
    return (pictures.train / 127.5 - 1).astype(np.float32)


def widths(model: FloatModel) -> list[int]:
    return [int(model.keras_model.get_layer(name).kernel.shape[-1]) for name in ("one", "two")]


@pytest.mark.parametrize("labelled", [True, False])
def test_it_is_cut_a_little_trained_and_cut_again(
    model: FloatModel, pictures: Pictures, labelled: bool
) -> None:
    if not labelled:
        pictures = replace(pictures, train_truth=None, val_truth=None)
    before = model.keras_model.get_weights()
    recovery = Recovery(pictures, TRAINING, steps=3)
    told: list[str] = []
    epochs: list[int] = []
    events = Events(stage=told.append, epoch=lambda one: epochs.append(one.epoch))
    pruned, record = prune_channels(
        model, Target(0.4), tensors_of(pictures), OPTIONS, recovery=recovery, events=events
    )

    costs = [cut.cost.multiply_adds for cut in record.cuts]
    assert record.before.multiply_adds > costs[0] > costs[1] > costs[2]
    assert costs[2] == record.after.multiply_adds <= 0.4 * record.before.multiply_adds
    assert widths(pruned) == [record.groups[name].kept for name in ("one", "two")]
    assert all(cut.accuracy is not None for cut in record.cuts)
    assert epochs == [1, 1, 1, 2]
    history = pruned.lineage["finetuned"]
    assert [one["teacher"] for one in history] == ["tiny"] * 3
    assert [one["labels"] for one in history] == [labelled] * 3
    assert pruned.lineage["pruned"]["multiply_adds"][1] == costs[2]
    assert told[0] == "looking at what each layer sees"
    for one, other in zip(model.keras_model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(one, other)


def test_training_brings_the_answers_back(model: FloatModel, pictures: Pictures) -> None:
    pictures = replace(pictures, train_truth=None, val_truth=None)
    tensors = tensors_of(pictures)
    plain = ChannelOptions(multiple=4, reconstruct=False)
    cut, _ = prune_channels(model, Target(0.5), tensors, plain)
    recovery = Recovery(pictures, replace(TRAINING, epochs=12), steps=1)
    taught, _ = prune_channels(model, Target(0.5), tensors, plain, recovery=recovery)

    def away(other: FloatModel) -> float:
        given = [np.asarray(one.keras_model(tensors, training=False)) for one in (model, other)]
        return float(np.abs(given[0] - given[1]).mean())

    assert away(taught) < 0.6 * away(cut)


def test_the_epochs_add_up(pictures: Pictures) -> None:
    for epochs in range(3, 20):
        recovery = Recovery(pictures, replace(TRAINING, epochs=epochs), steps=3)
        shares = [recovery.epochs_of(step) for step in (1, 2, 3)]
        assert sum(shares) == epochs
        assert shares[2] >= shares[1] == shares[0] >= 1
    with pytest.raises(PruneError, match="found 3 steps and 2 epochs"):
        Recovery(pictures, replace(TRAINING, epochs=2), steps=3)

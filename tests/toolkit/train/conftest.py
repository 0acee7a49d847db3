"""Give the tests of training a network of a few hundred weights, and pictures it can learn."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from mejiro.data.augmentation import Augmentation, Flip
from mejiro.data.dataset import Dataset, read_dataset
from mejiro.model import FloatModel
from mejiro.tensorflow import load_keras
from mejiro.train import Conduct, train
from mejiro.train.freezing import Freeze, FreezeKind
from mejiro.train.settings import BatchNorm, Head, Optimizer, Phase, Settings
from mejiro.zoo import save_float_model
from mejiro_runtime.card import Scores
from mejiro_runtime.preprocess import InputSpec, TensorType
from mejiro_runtime.types import Label

SIDE = 16
COLOURS = {"blue": (200, 60, 60), "green": (60, 200, 60), "red": (60, 60, 200)}  # BGR

MakeSettings = Callable[..., Settings]


@pytest.fixture(scope="session")
def keras() -> Any:
    return load_keras()


@pytest.fixture(scope="session")
def base_folder(keras: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a model with all that training treats in its own way.

    Batch normalization, a depthwise convolution, stochastic depth on a residual branch, dropout.
    """
    keras.utils.set_random_seed(3)
    layers = keras.layers
    inputs = keras.Input((SIDE, SIDE, 3), name="pixels")
    x = layers.Conv2D(6, 3, strides=2, padding="same", use_bias=False, name="stem")(inputs)
    x = layers.BatchNormalization(name="stem_bn")(x)
    x = layers.ReLU(6.0, name="stem_relu")(x)
    y = layers.DepthwiseConv2D(3, padding="same", name="block_depthwise")(x)
    y = layers.BatchNormalization(name="block_bn")(y)
    y = layers.Dropout(0.3, noise_shape=(None, 1, 1, 1), name="block_drop")(y)
    x = layers.Add(name="block_add")([x, y])
    x = layers.Conv2D(8, 1, name="maps")(x)
    x = layers.ReLU(name="maps_relu")(x)
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    x = layers.Dense(4, name="classifier")(layers.Dropout(0.1, name="dropout")(x))
    model = FloatModel(
        name="tiny",
        keras_model=keras.Model(inputs, layers.Softmax(name="probabilities")(x)),
        input=InputSpec(
            SIDE, SIDE, scale=(1 / 128,), offset=(-127 / 128,), dtype=TensorType.FLOAT32
        ),
        labels=tuple(Label(index, f"old {index}") for index in range(4)),
        scores=Scores.PROBABILITIES,
        lineage={"model": "tiny"},
    )
    folder = tmp_path_factory.mktemp("models") / "tiny"
    save_float_model(model, folder)
    return folder


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return folders of 15 pictures each that differ by their tint, under much noise."""
    folder = tmp_path_factory.mktemp("data") / "tints"
    rng = np.random.default_rng(5)
    for colour, bgr in COLOURS.items():
        (folder / colour).mkdir(parents=True)
        for index in range(15):
            noise = rng.integers(-60, 60, (20, 24, 3))
            picture = np.clip(np.array(bgr) + noise, 0, 255).astype(np.uint8)
            assert cv2.imwrite(str(folder / colour / f"{index}.png"), picture)
    return folder


@pytest.fixture(scope="session")
def dataset(pictures: Path) -> Dataset:
    return read_dataset(str(pictures), val=0.3)


@pytest.fixture(scope="session")
def make_settings(base_folder: Path) -> MakeSettings:
    """Return a function that makes settings for a run of seconds: a head, then all layers."""

    def make(**changes: Any) -> Settings:
        phases = (
            Phase("head", 2, 0.05, Freeze(FreezeKind.BACKBONE), augment=False),
            Phase("fine-tuning", 2, 0.01, Freeze()),
        )
        given = {
            "model": str(base_folder),
            "phases": phases,
            "weights": None,
            "head": Head(dropout=0.2),
            "batch_size": 8,
            **changes,
        }
        return Settings(**given)

    return make


@pytest.fixture(scope="session")
def full_settings(make_settings: MakeSettings) -> Settings:
    """Return settings with all that has a state: dropout, augmentation, averages, batch norm."""
    return make_settings(
        augmentation=Augmentation(flip=Flip.HORIZONTAL, brightness=0.2),
        optimizer=Optimizer(average=0.5),
        batch_norm=BatchNorm.TRAINED,
    )


@pytest.fixture(scope="session")
def finished(
    full_settings: Settings, dataset: Dataset, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Return the folder of a run with `full_settings` that nothing disturbed; only to be read."""
    out = tmp_path_factory.mktemp("runs") / "finished"
    train(dataset, full_settings, out, conduct=Conduct(tensorboard=True))
    return out

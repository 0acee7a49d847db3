"""Give the tests of pruning a network of a few hundred weights, and pictures of three tints."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from mejiro.model import FloatModel
from mejiro.tensorflow import load_keras
from mejiro_runtime.card import Scores
from mejiro_runtime.preprocess import InputSpec, TensorType
from mejiro_runtime.types import Label

SIDE = 16
COLOURS = {"blue": (200, 60, 60), "green": (60, 200, 60), "red": (60, 60, 200)}  # BGR


@pytest.fixture(scope="session")
def keras() -> Any:
    return load_keras()


@pytest.fixture(scope="session")
def tiny(keras: Any) -> FloatModel:
    """Return a classifier with all that magnitude pruning treats in its own way; not to change.

    A first convolution, a depthwise one, two of 1x1, a dense layer, the classifier.
    """
    keras.utils.set_random_seed(3)
    layers = keras.layers
    inputs = keras.Input((SIDE, SIDE, 3), name="pixels")
    x = layers.Conv2D(8, 3, strides=2, padding="same", use_bias=False, name="stem")(inputs)
    x = layers.BatchNormalization(name="stem_bn")(x)
    x = layers.ReLU(6.0, name="stem_relu")(x)
    x = layers.Conv2D(20, 1, name="expand")(x)
    x = layers.ReLU(6.0, name="expand_relu")(x)
    x = layers.DepthwiseConv2D(3, padding="same", name="depthwise")(x)
    x = layers.Conv2D(10, 1, name="project")(x)
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    x = layers.Dense(12, activation="relu", name="hidden")(x)
    x = layers.Dense(3, activation="softmax", name="classifier")(x)
    return FloatModel(
        name="tiny",
        keras_model=keras.Model(inputs, x),
        input=InputSpec(
            SIDE, SIDE, scale=(1 / 128,), offset=(-127 / 128,), dtype=TensorType.FLOAT32
        ),
        labels=tuple(Label(index, name) for index, name in enumerate(COLOURS)),
        scores=Scores.PROBABILITIES,
        lineage={"model": "tiny"},
    )


@pytest.fixture(scope="session")
def tints(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return folders of 12 pictures each that differ by their tint, under much noise."""
    folder = tmp_path_factory.mktemp("data") / "tints"
    rng = np.random.default_rng(5)
    for colour, bgr in COLOURS.items():
        (folder / colour).mkdir(parents=True)
        for index in range(12):
            noise = rng.integers(-60, 60, (20, 24, 3))
            picture = np.clip(np.array(bgr) + noise, 0, 255).astype(np.uint8)
            assert cv2.imwrite(str(folder / colour / f"{index}.png"), picture)
    return folder

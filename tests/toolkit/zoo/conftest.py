"""Give the zoo's tests tiny seeded networks and the files that hold them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mejiro.tensorflow import load_keras
from mejiro_runtime.preprocess import InputSpec, TensorType
from mejiro_runtime.types import Label


@pytest.fixture(scope="session")
def keras() -> Any:
    return load_keras()


@pytest.fixture(scope="session")
def settle_norms(keras: Any) -> Callable[[Any, NDArray[np.float32]], None]:
    """Return a function that sets a random network's norms to the statistics of some inputs.

    Without that a deep network at random answers nearly the same to every picture, and so tells
    nothing of whether two files of it agree.
    """

    def settle(network: Any, inputs: NDArray[np.float32]) -> None:
        norms = [x for x in network.layers if isinstance(x, keras.layers.BatchNormalization)]
        before = [norm.momentum for norm in norms]
        for norm in norms:
            norm.momentum = 0.0
        network(inputs, training=True)
        for norm, momentum in zip(norms, before, strict=True):
            norm.momentum = momentum

    return settle


@pytest.fixture
def tiny(keras: Any) -> Any:
    """A classifier of 3 classes for 12 x 16 pictures, ending in softmax."""
    keras.utils.set_random_seed(5)
    inputs = keras.Input((12, 16, 3), name="pixels")
    x = keras.layers.Conv2D(4, 3, strides=2, activation="relu", name="conv")(inputs)
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    x = keras.layers.Dense(3, name="classifier")(x)
    return keras.Model(inputs, keras.layers.Softmax(name="probabilities")(x))


@pytest.fixture
def tiny_spec() -> InputSpec:
    return InputSpec(12, 16, scale=(1 / 128,), offset=(-1.0,), dtype=TensorType.FLOAT32)


@pytest.fixture
def tiny_labels() -> tuple[Label, ...]:
    return (Label(0, "ant"), Label(1, "bee"), Label(2, "cat", "n02121808"))


@pytest.fixture
def pictures() -> NDArray[np.float32]:
    """Five inputs for `tiny`."""
    return np.random.default_rng(7).normal(size=(5, 12, 16, 3)).astype(np.float32)

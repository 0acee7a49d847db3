"""Check the MobileNets' rows against the networks that keras.applications makes of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mejiro.zoo import MODELS, BuildOptions, Weights, build
from mejiro_runtime.card import Scores

# Parameters at width 1.0 with 1000 classes, as Keras counts them.
PARAMETERS = {
    "mobilenet-v1": 4_253_864,
    "mobilenet-v2": 3_538_984,
    "mobilenet-v3-small": 2_554_968,
    "mobilenet-v3-large": 5_507_432,
}


@pytest.mark.parametrize("name", PARAMETERS)
def test_the_network_is_the_one_of_the_row(name: str) -> None:
    model = build(name, weights=Weights.NONE)
    network = model.keras_model
    assert network.count_params() == PARAMETERS[name]
    assert network.input_shape == (None, 224, 224, 3)
    assert network.output_shape == (None, 1000)
    assert network.get_layer(MODELS[name].classifier).weights
    assert model.scores is Scores.PROBABILITIES
    # Pixels enter as -1..1 for all of them: the networks hold no scaling of their own.
    np.testing.assert_allclose(model.input.table()[[0, 255], 0], [-1, 1], atol=1e-7)
    assert not any(type(layer).__name__ == "Rescaling" for layer in network.layers)


def test_a_narrow_network_is_narrower() -> None:
    narrow = build("mobilenet-v1", weights=Weights.NONE, options=BuildOptions(alpha=0.25))
    assert narrow.keras_model.count_params() < PARAMETERS["mobilenet-v1"] / 5
    assert narrow.lineage["alpha"] == 0.25


@pytest.mark.parametrize("name", ["mobilenet-v1", "mobilenet-v3-small"])
def test_dropout_reaches_the_network(name: str) -> None:
    options = BuildOptions(dropout=0.5, image_size=32)
    network: Any = build(name, weights=Weights.NONE, options=options).keras_model
    rates = [layer.rate for layer in network.layers if type(layer).__name__ == "Dropout"]
    assert rates == [0.5]

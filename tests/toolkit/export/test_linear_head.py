"""The linear head of a network is found, or what stands in its way is named."""

from __future__ import annotations

import numpy as np
import pytest

from mejiro.errors import ExportError
from mejiro.export.flat import flatten
from mejiro.export.linear_head import find_linear_head
from mejiro.model import FloatModel
from mejiro.tensorflow import load_keras
from mejiro_runtime.card import Scores
from mejiro_runtime.preprocess import InputSpec, TensorType
from mejiro_runtime.types import Label

SPEC = InputSpec(12, 12, dtype=TensorType.FLOAT32)


def model_of(network, scores=Scores.PROBABILITIES):
    labels = tuple(Label(index, f"class {index}") for index in range(4))
    return FloatModel("headed", network, SPEC, labels, scores)


def with_head(head):
    """Return a network whose convolution is followed by what `head` makes of its output."""
    keras = load_keras()
    keras.utils.set_random_seed(4)
    pixels = keras.Input((12, 12, 3))
    x = keras.layers.Conv2D(5, 3, strides=2, padding="same", activation="relu", name="look")(pixels)
    return keras.Model(pixels, head(keras.layers, x))


LINEAR = {
    "plain": lambda k, x: k.Dense(4, "softmax")(k.GlobalAveragePooling2D()(x)),
    "apart": lambda k, x: k.Softmax()(k.Dense(4)(k.Dropout(0.3)(k.GlobalAveragePooling2D()(x)))),
    "sigmoid": lambda k, x: k.Dense(4, "sigmoid")(k.GlobalAveragePooling2D()(x)),
    "idle": lambda k, x: k.Activation("softmax")(
        k.Dense(4)(k.GaussianNoise(0.1)(k.GlobalAveragePooling2D()(k.SpatialDropout2D(0.1)(x))))
    ),
    "convolution": lambda k, x: k.Activation("softmax")(
        k.Reshape((4,))(k.Conv2D(4, 1)(k.GlobalAveragePooling2D(keepdims=True)(x)))
    ),
    "average of all": lambda k, x: k.Dense(4, "softmax")(k.Flatten()(k.AveragePooling2D(6)(x))),
}
OTHER = {
    "hidden layer": (
        lambda k, x: k.Dense(4, "softmax")(
            k.Dense(6, "relu", name="between")(k.GlobalAveragePooling2D()(x))
        ),
        "Dense \\('between'\\)",
    ),
    "activation": (
        lambda k, x: k.Dense(4, "softmax")(k.ReLU()(k.GlobalAveragePooling2D()(x))),
        "ReLU",
    ),
    "maximum": (
        lambda k, x: k.Dense(4, "softmax")(k.GlobalMaxPooling2D(name="most")(x)),
        "GlobalMaxPooling2D \\('most'\\)",
    ),
    "flatten": (lambda k, x: k.Dense(4, "softmax")(k.Flatten()(x)), "Flatten"),
    "part of all": (
        lambda k, x: k.Dense(4, "softmax")(k.Flatten()(k.AveragePooling2D(3)(x))),
        "Flatten",
    ),
    "no classifier": (lambda k, x: k.Softmax()(k.GlobalAveragePooling2D()(x)), "GlobalAverage"),
}


@pytest.mark.parametrize("name", LINEAR)
def test_a_linear_head_is_found(name):
    network = with_head(LINEAR[name])
    head = find_linear_head(model_of(network))
    assert head.shape == (6, 6, 5)
    assert head.weights.shape == (4, 5)
    assert head.weights.dtype == np.float32
    # Its promise: the scores are the mean of the features, times the weights.
    pixels = np.random.default_rng(0).normal(size=(3, 12, 12, 3)).astype(np.float32)
    scores, features = (np.asarray(value) for value in head.run(pixels))
    assert scores == pytest.approx(network.predict(pixels, verbose=0), abs=1e-5)
    raw = features.mean(axis=(1, 2)) @ head.weights.T
    expected = np.log(scores) if name != "sigmoid" else np.log(scores / (1 - scores))
    # Biases are 0 here, and a softmax takes no notice of what all scores share.
    difference = raw - expected
    if name != "sigmoid":
        difference -= difference.mean(axis=1, keepdims=True)
    assert np.abs(difference).max() < 1e-4


@pytest.mark.parametrize("name", OTHER)
def test_any_other_is_refused_in_one_line(name):
    head, culprit = OTHER[name]
    with pytest.raises(ExportError, match=rf"but there is {culprit}.*--with-features") as caught:
        find_linear_head(model_of(with_head(head)))
    assert "\n" not in str(caught.value)


def test_scores_without_softmax_are_fine():
    network = with_head(lambda k, x: k.Dense(4, name="last")(k.GlobalAveragePooling2D()(x)))
    head = find_linear_head(model_of(network, Scores.LOGITS))
    assert head.layer == "look"
    assert head.weights == pytest.approx(network.get_layer("last").get_weights()[0].T)


def test_nested_networks_are_unfolded_and_share_their_weights():
    keras = load_keras()
    inner = with_head(lambda k, x: k.GlobalAveragePooling2D(name="look2")(x))
    pixels = keras.Input((12, 12, 3))
    twice = keras.layers.Add()([inner(pixels), inner(keras.layers.ReLU(name="look")(pixels))])
    outer = keras.Model(pixels, keras.layers.Dense(4, "softmax")(twice))
    network = flatten(model_of(outer))
    names = list(network.steps)
    assert names.count("look") == 1
    assert sum("look" in name for name in names) == 5  # two convolutions, two means, one ReLU
    data = np.random.default_rng(1).normal(size=(2, 12, 12, 3)).astype(np.float32)
    assert np.asarray(network.on(data).output) == pytest.approx(outer.predict(data, verbose=0))
    assert list(network.on(data).steps) == names
    weights = outer.layers[-1].get_weights()
    outer.layers[-1].set_weights([weights[0] * 0, weights[1]])
    assert np.asarray(network.on(data).output) == pytest.approx(0.25)

"""A Keras network is looked into whatever its head, and however it is nested."""

from __future__ import annotations

import numpy as np
import pytest

from mejiro.errors import UsageError
from mejiro.explain.network import NetworkSubject
from mejiro.tensorflow import load_keras, load_tensorflow
from mejiro.zoo import BuildOptions, Weights, build, find_model
from mejiro_runtime.card import Scores
from mejiro_runtime.errors import ModelError


def slopes_of(model, tensor, index=1, layer=None):
    with NetworkSubject(model) as subject:
        return subject.slopes(tensor, index, layer)


@pytest.mark.parametrize("head", ["gap", "hidden", "max", "flatten"])
def test_gradients_are_those_of_the_score_before_the_softmax(shapes, head):
    network = shapes.build(head)
    tensor = shapes.tensors(shapes.scenes(1, seed=3))
    found = slopes_of(shapes.float_model(network), tensor)
    tf, keras = load_tensorflow(), load_keras()
    last = network.get_layer("relu2") if head != "flatten" else network.layers[-5]
    part = keras.Model(network.input, [last.output, network.get_layer("classifier").output])
    with tf.GradientTape() as tape:
        features, scores = part(tensor, training=False)
        score = scores[0, 1]
    expected = np.asarray(tape.gradient(score, features))[0]
    assert found.layer == last.name
    assert found.features == pytest.approx(np.asarray(features)[0], abs=1e-5)
    assert found.gradients == pytest.approx(expected, abs=1e-6)
    assert found.computed == ""


def test_a_linear_head_has_its_weights_for_gradients(shapes):
    network = shapes.build("gap")
    found = slopes_of(shapes.float_model(network), shapes.tensors(shapes.scenes(1, seed=3)))
    weights = network.get_layer("classifier").get_weights()[0][:, 1]
    places = found.features.shape[0] * found.features.shape[1]
    assert found.gradients == pytest.approx(np.broadcast_to(weights / places, (16, 16, 32)))


def same_network(shapes, form):
    """Return the network of shapes written in another way, with the same weights."""
    keras = load_keras()
    plain = shapes.build("gap", logits=form == "logits")
    if form == "logits":
        return plain, Scores.LOGITS
    if form in ("fused", "sigmoid"):
        x = plain.get_layer("classifier").input
        activation = "softmax" if form == "fused" else "sigmoid"
        dense = keras.layers.Dense(3, activation=activation, name="fused")
        network = keras.Model(plain.input, dense(x))
        dense.set_weights(plain.get_layer("classifier").get_weights())
        return network, Scores.PROBABILITIES
    if form == "activation":
        answer = keras.layers.Activation("softmax")(plain.get_layer("classifier").output)
        return keras.Model(plain.input, answer), Scores.PROBABILITIES
    backbone = keras.Model(plain.input, plain.get_layer("relu2").output, name="backbone")
    layers = [backbone, *plain.layers[-4:]]
    if form == "sequential":
        return keras.Sequential([keras.Input((64, 64, 3)), *layers]), Scores.PROBABILITIES
    if form == "convolution":
        x = keras.layers.GlobalAveragePooling2D(keepdims=True)(plain.get_layer("relu2").output)
        conv = keras.layers.Conv2D(3, 1, activation="softmax", name="as_conv")
        network = keras.Model(plain.input, keras.layers.Flatten()(conv(x)))
        kernel, bias = plain.get_layer("classifier").get_weights()
        conv.set_weights([kernel[None, None], bias])
        return network, Scores.PROBABILITIES
    x = pixels = keras.Input((None, None, 3) if form == "open" else (64, 64, 3))
    for layer in layers:
        x = layer(x)
    return keras.Model(pixels, x), Scores.PROBABILITIES


@pytest.mark.parametrize(
    "form",
    ["nested", "sequential", "open", "fused", "activation", "logits", "sigmoid", "convolution"],
)
def test_however_it_is_written_the_explanation_is_the_same(shapes, form):
    tensor = shapes.tensors(shapes.scenes(1, seed=3))
    network, scores = same_network(shapes, form)
    expected = slopes_of(shapes.float_model(shapes.build("gap")), tensor)
    with NetworkSubject(shapes.float_model(network, scores=scores)) as subject:
        found = subject.slopes(tensor, 1, None)
        stages = subject.stages(tensor, None)
        probabilities = subject.scores(tensor)
    assert found.layer == "relu2"
    assert found.features == pytest.approx(expected.features, abs=1e-5)
    assert found.gradients == pytest.approx(expected.gradients, abs=1e-6)
    assert [seen.layer for seen in stages] == ["relu0", "relu2"]
    if form != "sigmoid":
        assert probabilities.sum() == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("name", ["efficientnet-lite0", "mobilenet-v1", "mobilenet-v3-small"])
def test_the_last_map_is_what_the_zoo_calls_features(name):
    options = BuildOptions(image_size=64)
    model = build(name, weights=Weights.NONE, options=options)
    tensor = np.zeros(model.input.shape, np.float32)
    with NetworkSubject(model) as subject:
        assert subject.slopes(tensor, 3, None).layer == find_model(name).features
        stages = subject.stages(tensor, None)
    sides = [seen.features.shape[0] for seen in stages]
    assert len(stages) == 3
    assert sides == sorted(sides, reverse=True)


def test_frozen_layers_are_explained_too(shapes):
    tensor = shapes.tensors(shapes.scenes(1, seed=3))
    network = shapes.build("gap")
    free = slopes_of(shapes.float_model(network), tensor)
    network.trainable = False
    frozen = slopes_of(shapes.float_model(network), tensor)
    assert frozen.gradients == pytest.approx(free.gradients)
    assert frozen.gradients.any()


def test_a_layer_is_chosen_by_name(shapes):
    tensor = shapes.tensors(shapes.scenes(1, seed=3))
    with NetworkSubject(shapes.float_model(shapes.build("gap"))) as subject:
        early = subject.slopes(tensor, 0, "relu0")
        assert early.features.shape == early.gradients.shape == (32, 32, 12)
        (only,) = subject.stages(tensor, "relu1")
        assert only.features.shape == (16, 16, 24)
        with pytest.raises(UsageError, match=r"no layer 'relu9'; the last of \d+ .* relu2"):
            subject.slopes(tensor, 0, "relu9")
        with pytest.raises(UsageError, match=r"'pool' .*has no places; .*'relu2'"):
            subject.stages(tensor, "pool")


def test_a_network_without_maps_is_refused(shapes):
    keras = load_keras()
    pixels = keras.Input((64, 64, 3))
    flat = keras.layers.Flatten()(pixels)
    model = shapes.float_model(keras.Model(pixels, keras.layers.Dense(3, "softmax")(flat)))
    tensor = shapes.tensors(shapes.scenes(1, seed=3))
    with pytest.raises(ModelError, match="--method occlusion"):
        slopes_of(model, tensor)
    assert NetworkSubject(model).scores(tensor).shape == (1, 3)


def test_a_network_written_as_a_class_is_refused(shapes):
    keras = load_keras()

    class Own(keras.Model):
        def __init__(self):
            super().__init__(name="own")
            self.inner = shapes.build("gap")

        def call(self, inputs):
            return self.inner(inputs)

    tensor = shapes.tensors(shapes.scenes(1, seed=3))
    with pytest.raises(ModelError, match=r"own is a network written as a class.*occlusion"):
        slopes_of(shapes.float_model(Own()), tensor)


def test_a_layer_that_scores_do_not_depend_on_is_refused(shapes):
    keras = load_keras()
    network = shapes.build("gap")
    blind = keras.ops.zeros_like(network.get_layer("pool").output)
    answer = keras.layers.Dense(3, "softmax")(blind)
    with pytest.raises(UsageError, match="do not depend on layer"):
        slopes_of(
            shapes.float_model(keras.Model(network.input, answer)),
            shapes.tensors(shapes.scenes(1, seed=3)),
        )

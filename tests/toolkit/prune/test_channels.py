from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from mejiro.errors import PruneError
from mejiro.model import FloatModel
from mejiro.prune.channels import ChannelPruner
from mejiro.prune.consumers import find_consumers
from mejiro.prune.count import Measure
from mejiro.prune.graph import find_groups
from mejiro.prune.importance import Criterion
from mejiro.prune.options import ChannelOptions, Target
from mejiro.prune.stepwise import prune_channels
from mejiro.prune.surgery import silence
from mejiro.zoo.count import count_multiply_adds, count_parameters
from mejiro_runtime.card import Scores
from mejiro_runtime.preprocess import InputSpec

SIDE = 12
SMALL = ChannelOptions(multiple=4, ridge=1e-3)

MakeModel = Callable[..., FloatModel]


def inverted(layers: Any, x: Any, name: str, width: int) -> Any:
    """Append a mobile block as the zoo's: expand, filter each channel, project, add."""
    y = layers.Conv2D(width, 1, use_bias=False, name=f"{name}_expand")(x)
    y = layers.BatchNormalization(name=f"{name}_expand_bn")(y)
    y = layers.ReLU(6.0, name=f"{name}_expand_relu")(y)
    y = layers.DepthwiseConv2D(3, padding="same", use_bias=False, name=f"{name}_depthwise")(y)
    y = layers.BatchNormalization(name=f"{name}_depthwise_bn")(y)
    y = layers.ReLU(6.0, name=f"{name}_relu")(y)
    y = layers.Conv2D(x.shape[-1], 1, use_bias=False, name=f"{name}_project")(y)
    y = layers.BatchNormalization(name=f"{name}_project_bn")(y)
    return layers.Add(name=f"{name}_add")([x, y])


@pytest.fixture
def make_model(keras: Any, stir: Callable[[Any], Any]) -> MakeModel:
    """Return a function that makes a classifier of four groups that may be cut."""

    def make(scores: Scores = Scores.LOGITS) -> FloatModel:
        keras.utils.set_random_seed(4)
        layers = keras.layers
        inputs = keras.Input((SIDE, SIDE, 3), name="pixels")
        x = layers.Conv2D(8, 3, padding="same", name="stem")(inputs)
        x = inverted(layers, x, "one", 24)
        x = inverted(layers, x, "two", 24)
        x = layers.Conv2D(16, 3, strides=2, activation="relu", name="wide")(x)
        x = layers.Conv2D(32, 1, use_bias=False, name="head")(x)
        x = layers.BatchNormalization(name="head_bn")(x)
        x = layers.ReLU(name="head_relu")(x)
        x = layers.GlobalAveragePooling2D(name="pool")(x)
        x = layers.Dense(4, name="classifier")(x)
        if scores is Scores.PROBABILITIES:
            x = layers.Softmax(name="probabilities")(x)
        network = stir(keras.Model(inputs, x))
        return FloatModel("tiny", network, InputSpec(height=SIDE, width=SIDE), (), scores)

    return make


@pytest.fixture(scope="module")
def tensors() -> np.ndarray:
    return np.random.default_rng(2).normal(size=(16, SIDE, SIDE, 3)).astype(np.float32)


def answers(model: FloatModel, tensors: np.ndarray) -> np.ndarray:
    return np.asarray(model.keras_model(tensors, training=False))


@pytest.mark.parametrize("measure", [Measure.MACS, Measure.PARAMS])
@pytest.mark.parametrize("scores", list(Scores))
def test_the_target_is_met_within_a_step(
    make_model: MakeModel, tensors: np.ndarray, measure: Measure, scores: Scores
) -> None:
    model = make_model(scores)
    before = answers(model, tensors)
    pruned, record = prune_channels(model, Target(0.7, measure), tensors, SMALL)

    share = record.after.share_of(record.before, measure)
    assert 0.6 < share <= 0.7
    assert record.after.multiply_adds == count_multiply_adds(pruned.keras_model)
    assert record.after.parameters == count_parameters(pruned.keras_model)
    assert all(group.kept % 4 == 0 for group in record.groups.values())
    assert "stem" in record.whole
    assert "sum" in record.whole["stem"]
    assert pruned.lineage["pruned"]["multiply_adds"][1] == record.after.multiply_adds
    np.testing.assert_array_equal(answers(model, tensors), before)


def test_the_same_seed_gives_the_same_network(make_model: MakeModel, tensors: np.ndarray) -> None:
    options = ChannelOptions(multiple=4)
    results = [
        answers(prune_channels(make_model(), Target(0.6), tensors, options)[0], tensors)
        for _ in range(2)
    ]

    np.testing.assert_array_equal(results[0], results[1])


def test_channels_that_say_what_others_say_cost_nothing(
    make_model: MakeModel, tensors: np.ndarray
) -> None:
    model = make_model()
    for layer in ("one_expand", "one_expand_bn", "one_depthwise", "one_depthwise_bn"):
        weights = model.keras_model.get_layer(layer).get_weights()
        for weight in weights:
            channels = weight.swapaxes(-1, 2) if layer == "one_depthwise" else weight
            channels[..., 12:] = channels[..., :12]  # a view: the second half repeats the first
        model.keras_model.get_layer(layer).set_weights(weights)
    pruner = ChannelPruner(model, tensors, ChannelOptions(multiple=4, ridge=0.0))
    solved = pruner.cut({"one_expand": 12})
    pruner.options = ChannelOptions(multiple=4, reconstruct=False)
    plain = pruner.cut({"one_expand": 12})

    before = answers(model, tensors)
    np.testing.assert_allclose(answers(solved.model, tensors), before, atol=1e-3)
    assert np.abs(answers(plain.model, tensors) - before).max() > 0.03
    assert solved.divergence < 1e-5 < plain.divergence
    assert pruner.group_records({"one_expand": 12})["one_expand"].kept == 12


def test_a_group_that_matters_ranks_above_one_that_does_not(
    make_model: MakeModel, tensors: np.ndarray
) -> None:
    model = make_model()
    project = model.keras_model.get_layer("two_project")
    project.set_weights([weight * 1e-3 for weight in project.get_weights()])
    found = ChannelPruner(model, tensors, SMALL).sensitivities

    assert found["two_expand"].at(12) < 0.01 * found["one_expand"].at(12)
    assert found["one_expand"].at(24) == 0


def test_solving_anew_changes_answers_less_than_cutting_alone(
    make_model: MakeModel, tensors: np.ndarray
) -> None:
    pruner = ChannelPruner(make_model(), tensors, SMALL)
    widths, timing = pruner.plan(Target(0.6))
    solved = pruner.cut(widths)
    pruner.options = ChannelOptions(multiple=4, reconstruct=False)
    plain = pruner.cut(widths)

    assert timing is None
    assert solved.divergence < 0.5 * plain.divergence
    assert solved.cost == plain.cost


@pytest.mark.parametrize("criterion", list(Criterion))
def test_a_criterion_chooses_the_channels(
    make_model: MakeModel, tensors: np.ndarray, criterion: Criterion
) -> None:
    model = make_model()
    # Whatever is asked, channels that are nothing and go nowhere are the first to go.
    for layer in ("one_expand_bn", "one_depthwise_bn"):
        gamma, beta, *rest = model.keras_model.get_layer(layer).get_weights()
        gamma[5:13], beta[5:13] = 1e-4, 0
        model.keras_model.get_layer(layer).set_weights([gamma, beta, *rest])
    for layer, axis in (("one_expand", 3), ("one_depthwise", 2)):
        (kernel,) = model.keras_model.get_layer(layer).get_weights()
        np.moveaxis(kernel, axis, 0)[5:13] *= 1e-4
        model.keras_model.get_layer(layer).set_weights([kernel])
    labels = np.arange(len(tensors)) % 4
    options = ChannelOptions(multiple=4, criterion=criterion)
    cut = ChannelPruner(model, tensors, options, labels=labels).cut({"one_expand": 16})

    before = answers(model, tensors)
    np.testing.assert_allclose(answers(cut.model, tensors), before, atol=1e-2)
    first = silence(find_groups(model), {"one_expand": np.arange(8, 24)})
    assert np.abs(np.asarray(first(tensors, training=False)) - before).max() > 0.05


def test_squeeze_and_excitation_has_two_consumers(keras: Any, stir: Any) -> None:
    layers = keras.layers
    keras.utils.set_random_seed(2)
    inputs = keras.Input((SIDE, SIDE, 3))
    x = layers.Conv2D(16, 3, name="expand")(inputs)
    y = layers.GlobalAveragePooling2D(keepdims=True)(x)
    y = layers.Conv2D(4, 1, activation="relu", name="squeeze")(y)
    y = layers.Conv2D(16, 1, activation="sigmoid", name="excite")(y)
    x = layers.Multiply()([x, y])
    x = layers.Conv2D(8, 3, strides=2, name="project")(x)
    x = layers.Flatten()(x)
    network = stir(keras.Model(inputs, layers.Dense(3, name="classifier")(x)))
    graph = find_groups(network)
    consumers, _ = find_consumers(graph)

    assert [one.name for one in consumers["expand"]] == ["squeeze", "project"]
    assert consumers["project"][0].rows.shape == (8, 16)
    model = FloatModel("se", network, InputSpec(height=SIDE, width=SIDE), (), Scores.LOGITS)
    pixels = np.random.default_rng(2).normal(size=(8, SIDE, SIDE, 3)).astype(np.float32)
    _, record = prune_channels(model, Target(0.7), pixels, SMALL)
    assert record.after.share_of(record.before, Measure.MACS) <= 0.7


def test_what_cannot_be_is_refused(make_model: MakeModel, tensors: np.ndarray) -> None:
    with pytest.raises(PruneError, match=r"in \(0, 1\], found 1.5"):
        Target(1.5)
    with pytest.raises(PruneError, match="2 calibration pictures or more, found 1"):
        prune_channels(make_model(), Target(0.7), tensors[:1])
    pruner = ChannelPruner(make_model(), tensors, SMALL)
    with pytest.raises(PruneError, match=r"cannot be brought to 0.05 .* they reach 0\.\d+"):
        pruner.plan(Target(0.05))
    with pytest.raises(PruneError, match="without a clock; ask for macs"):
        pruner.plan(Target(0.5, Measure.LATENCY))
    with pytest.raises(PruneError, match="latency is measured"):
        pruner.cost.of(Measure.LATENCY)

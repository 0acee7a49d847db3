"""Check each kind of tie by itself: what goes together, and that a cut along it is right."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mejiro.prune import Axis, ChannelGraph, Group, Role


def sizes(graph: ChannelGraph) -> dict[str, int]:
    return {name: group.channels for name, group in graph.cuttable.items()}


def parts(group: Group, role: Role) -> set[tuple[str, int | str]]:
    return {(part.axis.layer, part.axis.weight) for part in group.slices if part.role is role}


def test_a_plain_chain(build_network: Any, cut_and_compare: Any) -> None:
    def body(layers: Any, x: Any) -> Any:
        x = layers.Conv2D(8, 3, name="first")(x)
        x = layers.BatchNormalization(name="norm")(x)
        x = layers.ReLU()(x)
        return layers.Conv2D(6, 1, activation="relu", name="second")(x)

    graph = cut_and_compare(build_network(body))

    assert sizes(graph) == {"first": 8, "second": 6}
    first = graph.groups["first"]
    assert first.producers == ("first",)
    assert first.consumers == ("second",)
    assert parts(first, Role.PRODUCED) == {("first", 0), ("first", 1), ("first", "filters")}
    assert parts(first, Role.CARRIED) == {("norm", 0), ("norm", 1), ("norm", 2), ("norm", 3)}
    assert all((part.indices == np.arange(8)[:, None]).all() for part in first.slices)
    assert graph.groups["input of first"].reason == "they are the model's input"
    assert graph.groups["classifier"].reason == "they are the model's output"


def test_an_addition_ties_both_branches(build_network: Any, cut_and_compare: Any) -> None:
    def body(layers: Any, x: Any) -> Any:
        x = layers.Conv2D(8, 3, padding="same", name="trunk")(x)
        y = layers.Conv2D(5, 1, activation="relu", name="inner")(x)
        y = layers.Conv2D(8, 1, name="branch")(y)
        return layers.ReLU()(layers.Add()([y, x]))

    graph = cut_and_compare(build_network(body))

    assert sizes(graph) == {"trunk": 8, "inner": 5}
    assert graph.groups["trunk"].producers == ("trunk", "branch")
    assert graph.groups["trunk"].consumers == ("inner", "classifier")


def test_a_concatenation_keeps_offsets(build_network: Any, cut_and_compare: Any) -> None:
    def body(layers: Any, x: Any) -> Any:
        one = layers.Conv2D(4, 3, padding="same", name="one")(x)
        two = layers.Conv2D(7, 1, name="two")(x)
        x = layers.Concatenate()([one, two, one])
        return layers.Conv2D(6, 1, name="after")(layers.BatchNormalization(name="norm")(x))

    graph = cut_and_compare(build_network(body))

    assert sizes(graph) == {"one": 4, "two": 7, "after": 6}
    entering = {
        name: part.indices.tolist()
        for name in ("one", "two")
        for part in graph.groups[name].slices
        if part.axis == Axis("after", 0, 2)
    }
    assert entering["one"] == [[i, 11 + i] for i in range(4)]  # it stands there twice
    assert entering["two"] == [[4 + i] for i in range(7)]


def test_a_sum_of_concatenations_is_tied_channel_by_channel(
    build_network: Any, cut_and_compare: Any
) -> None:
    def body(layers: Any, x: Any) -> Any:
        one = layers.Conv2D(4, 1, name="one")(x)
        two = layers.Conv2D(6, 1, name="two")(x)
        wide = layers.Conv2D(10, 1, name="wide")(x)
        return layers.Add()([layers.Concatenate()([one, two]), wide])

    graph = cut_and_compare(build_network(body))

    assert sizes(graph) == {"one": 4, "two": 6}
    assert graph.groups["two"].producers == ("two", "wide")
    wide = [part.indices for part in graph.groups["two"].slices if part.axis.layer == "wide"]
    assert all((rows == np.arange(4, 10)[:, None]).all() for rows in wide)


@pytest.mark.parametrize("spelling", ["convolutions", "dense", "operations"])
def test_squeeze_and_excitation_ties_the_gate_to_its_map(
    build_network: Any, cut_and_compare: Any, spelling: str
) -> None:
    def body(layers: Any, x: Any) -> Any:
        x = layers.Conv2D(8, 3, activation="relu", name="map")(x)
        if spelling == "dense":
            gate = layers.GlobalAveragePooling2D()(x)
            gate = layers.Dense(4, activation="relu", name="reduce")(gate)
            gate = layers.Dense(8, activation="sigmoid", name="expand")(gate)
            gate = layers.Reshape((1, 1, 8))(gate)
        else:
            gate = layers.GlobalAveragePooling2D(keepdims=True)(x)
            gate = layers.Conv2D(4, 1, activation="relu", name="reduce")(gate)
            if spelling == "convolutions":
                gate = layers.Conv2D(8, 1, activation="sigmoid", name="expand")(gate)
            else:  # a hard sigmoid, as MobileNetV3 has it
                gate = layers.Conv2D(8, 1, name="expand")(gate)
                gate = layers.ReLU(6.0)(gate + 3.0) * (1 / 6)
        return layers.Multiply()([x, gate])

    graph = cut_and_compare(build_network(body))

    assert sizes(graph) == {"map": 8, "reduce": 4}
    assert graph.groups["map"].producers == ("map", "expand")
    assert graph.groups["map"].consumers == ("reduce", "classifier")


@pytest.mark.parametrize("multiplier", [1, 3])
def test_channels_pass_a_depthwise_convolution(
    build_network: Any, cut_and_compare: Any, multiplier: int
) -> None:
    def body(layers: Any, x: Any) -> Any:
        x = layers.Conv2D(6, 1, name="before")(x)
        x = layers.ZeroPadding2D(1)(x)
        x = layers.DepthwiseConv2D(3, depth_multiplier=multiplier, name="depthwise")(x)
        x = layers.BatchNormalization(name="norm")(x)
        return layers.Conv2D(5, 1, name="after")(x)

    graph = cut_and_compare(build_network(body))

    assert sizes(graph) == {"before": 6, "after": 5}
    norm = next(part for part in graph.groups["before"].slices if part.axis.layer == "norm")
    assert norm.indices.tolist() == np.arange(6 * multiplier).reshape(6, multiplier).tolist()


@pytest.mark.parametrize("reshape", [False, True])
def test_a_flattened_map_takes_all_places_of_a_channel(
    build_network: Any, cut_and_compare: Any, reshape: bool
) -> None:
    def body(layers: Any, x: Any) -> Any:
        x = layers.Conv2D(5, 3, name="map")(x)
        x = layers.MaxPooling2D(2)(x)
        x = layers.Reshape((20,))(x) if reshape else layers.Flatten()(x)
        return layers.Dense(7, activation="relu", name="hidden")(x)

    graph = cut_and_compare(build_network(body))

    assert sizes(graph) == {"map": 5, "hidden": 7}
    rows = next(
        part.indices for part in graph.groups["map"].slices if part.axis == Axis("hidden", 0, 0)
    )
    assert rows.tolist() == [[i, 5 + i, 10 + i, 15 + i] for i in range(5)]


def test_groups_of_a_convolution_stay_alike(build_network: Any, cut_and_compare: Any) -> None:
    def body(layers: Any, x: Any) -> Any:
        x = layers.Conv2D(8, 1, name="before")(x)
        x = layers.Conv2D(12, 3, groups=2, name="grouped")(x)
        return layers.ReLU()(x)

    graph = cut_and_compare(build_network(body))

    # A channel stands for one of each group.
    assert sizes(graph) == {"before": 4, "grouped": 6}
    assert graph.groups["before"].copies == 2
    made = next(p for p in graph.groups["before"].slices if p.axis == Axis("before", 0, 3))
    assert made.indices.tolist() == [[i, 4 + i] for i in range(4)]
    entering = next(p for p in graph.groups["before"].slices if p.axis.layer == "grouped")
    assert entering.indices.tolist() == [[i] for i in range(4)]


def test_a_depthwise_convolution_by_the_name_of_groups(
    build_network: Any, cut_and_compare: Any
) -> None:
    def body(layers: Any, x: Any) -> Any:
        x = layers.Conv2D(6, 1, name="before")(x)
        return layers.Conv2D(12, 3, groups=6, name="grouped")(x)

    graph = cut_and_compare(build_network(body))

    assert sizes(graph) == {"before": 6}


def test_other_convolutions_and_activations(build_network: Any, cut_and_compare: Any) -> None:
    def body(layers: Any, x: Any) -> Any:
        x = layers.Conv2D(6, 3, name="before")(layers.Rescaling(2.0)(x))
        x = layers.PReLU(shared_axes=(1, 2))(x)
        x = layers.SeparableConv2D(7, 3, depth_multiplier=2, padding="same", name="separable")(x)
        x = layers.LeakyReLU()(layers.UpSampling2D()(x))
        x = layers.Conv2DTranspose(5, 3, strides=2, name="transposed")(x)
        return layers.Dropout(0.5, noise_shape=(None, 1, 1, 1))(x)

    graph = cut_and_compare(build_network(body))

    assert sizes(graph) == {"before": 6, "separable": 7, "transposed": 5}


def test_a_layer_that_is_used_twice_has_one_set_of_channels(
    build_network: Any, cut_and_compare: Any
) -> None:
    def body(layers: Any, x: Any) -> Any:
        shared = layers.Conv2D(6, 1, name="shared")
        one = layers.Conv2D(4, 1, name="one")(x)
        two = layers.Conv2D(4, 1, name="two")(x)
        return layers.Concatenate()([shared(one), shared(two)])

    graph = cut_and_compare(build_network(body))

    tied, shared = graph.cuttable.values()
    assert (tied.channels, shared.channels) == (4, 6)
    assert sorted(tied.producers) == ["one", "two"]
    assert shared.producers == tied.consumers == ("shared",)


def test_a_nested_model(keras: Any, build_network: Any, cut_and_compare: Any) -> None:
    def body(layers: Any, x: Any) -> Any:
        inner_input = keras.Input((None, None, 8))
        inner = layers.Conv2D(6, 1, name="conv")(inner_input)
        inner = layers.Add()([layers.Conv2D(8, 1, name="back")(inner), inner_input])
        x = layers.Conv2D(8, 1, name="conv")(x)
        x = keras.Model(inner_input, inner, name="inner")(x)
        return keras.Sequential([layers.Conv2D(4, 1, name="last")], name="tail")(x)

    graph = cut_and_compare(build_network(body))

    assert sizes(graph) == {"conv": 8, "inner/conv": 6, "last": 4}
    assert graph.groups["conv"].producers == ("conv", "back")


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("LayerNormalization", "is a LayerNormalization, which is not understood"),
        ("Permute", "is a Permute, which is not understood"),
        ("Softmax", "compares them with each other"),
        ("Activation", "the activation softmax of 'strange' may mix them"),
        ("Dropout", "has the number of channels in its noise_shape"),
        ("Rescaling", "has a scale for each channel in its configuration"),
        ("Reshape", "mixes channels with places"),
        ("multiply", "holds a constant for each channel"),
        ("Lambda", "is a Lambda, which is not understood"),
        ("own", "is a Conv2D, which is not understood"),
    ],
)
def test_what_is_not_understood_stays_whole_and_says_why(
    keras: Any, build_network: Any, cut_and_compare: Any, kind: str, said: str
) -> None:
    class Conv2D(keras.layers.Layer):  # type: ignore[misc]
        def call(self, x: Any) -> Any:
            return keras.ops.flip(x, axis=-1)

    def body(layers: Any, x: Any) -> Any:
        x = layers.Conv2D(6, 1, name="before")(x)
        strange = {
            "LayerNormalization": lambda: layers.LayerNormalization(name="strange"),
            "Permute": lambda: layers.Permute((1, 3, 2), name="strange"),
            "Softmax": lambda: layers.Softmax(name="strange"),
            "Activation": lambda: layers.Activation("softmax", name="strange"),
            "Dropout": lambda: layers.Dropout(0.1, noise_shape=(None, 1, 1, 6), name="strange"),
            "Rescaling": lambda: layers.Rescaling([1.0] * 5 + [2.0], name="strange"),
            "Reshape": lambda: layers.Reshape((9, 6, 4), name="strange"),
            "multiply": lambda: lambda y: y * np.arange(6, dtype=np.float32),
            "Lambda": lambda: layers.Lambda(lambda y: y, name="strange"),
            "own": lambda: Conv2D(name="strange"),
        }[kind]()
        return layers.Conv2D(8, 1, name="after")(strange(x))

    graph = cut_and_compare(build_network(body))

    assert sizes(graph) == {"after": 8}
    assert graph.groups["before"].reason is not None
    assert said in graph.groups["before"].reason

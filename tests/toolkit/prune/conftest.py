from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mejiro.prune import ChannelGraph, Counter, Keep, cut, find_groups, silence
from mejiro.tensorflow import load_keras
from mejiro.zoo.count import count_multiply_adds, count_parameters

SIDE = 6

Stir = Callable[[Any], Any]
CutSome = Callable[[ChannelGraph], dict[str, NDArray[np.int64]]]
Body = Callable[[Any, Any], Any]
BuildNetwork = Callable[[Body], Any]
CutAndCompare = Callable[[Any], ChannelGraph]


@pytest.fixture(scope="session")
def keras() -> Any:
    return load_keras()


@pytest.fixture(scope="session")
def stir() -> Stir:
    """Return a function that tells channels apart where layers begin with zeros or ones."""

    def stirred(network: Any) -> Any:
        rng = np.random.default_rng(3)
        for layer in network.layers:
            if hasattr(layer, "layers"):
                stirred(layer)
                continue
            weights = [
                rng.uniform(0.5, 1.5, weight.shape) if weight.ndim == 1 else weight
                for weight in layer.get_weights()
            ]
            if weights:
                layer.set_weights(weights)
        return network

    return stirred


@pytest.fixture(scope="session")
def keep_some() -> CutSome:
    """Return a function that keeps seven tenths of every group that may be cut, at random."""

    def keep(graph: ChannelGraph) -> dict[str, NDArray[np.int64]]:
        rng = np.random.default_rng(5)
        kept = {}
        for name, group in graph.cuttable.items():
            count = max(1, round(0.7 * group.channels))
            kept[name] = np.sort(rng.permutation(group.channels)[:count])
        return kept

    return keep


@pytest.fixture
def build_network(keras: Any, stir: Stir) -> BuildNetwork:
    """Return a function that makes a small network of 5 scores around a body."""

    def build(body: Body) -> Any:
        keras.utils.set_random_seed(1)
        inputs = keras.Input((SIDE, SIDE, 3), name="pixels")
        x = body(keras.layers, inputs)
        if len(x.shape) == 4:
            x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
        outputs = keras.layers.Dense(5, name="classifier")(x)
        return stir(keras.Model(inputs, outputs))

    return build


def compare(graph: ChannelGraph, keep: Keep) -> None:
    """Check that the cut network answers as the silenced one does, and not as the whole."""
    whole = graph.network.keras_model
    inputs = np.random.default_rng(9).normal(size=(3, *whole.input_shape[1:])).astype(np.float32)
    small, quiet = cut(graph, keep), silence(graph, keep)
    answers = np.asarray(small(inputs, training=False))
    np.testing.assert_allclose(answers, quiet(inputs, training=False), atol=1e-4)
    assert [layer.name for layer in small.layers] == [layer.name for layer in whole.layers]
    cost = Counter(graph).cost(keep)
    assert cost.parameters == count_parameters(small)
    if len(graph.network.steps) + 1 == len(whole.layers):  # no nested model, none used twice
        assert cost.multiply_adds == count_multiply_adds(small)
    if keep:
        assert np.abs(answers - whole(inputs, training=False)).max() > 1e-3
        assert count_parameters(small) < count_parameters(whole)


@pytest.fixture
def cut_and_compare(keep_some: CutSome) -> CutAndCompare:
    """Return a function that cuts a network, checks the answers, and returns its graph."""

    def check(network: Any) -> ChannelGraph:
        graph = find_groups(network)
        compare(graph, keep_some(graph))
        return graph

    return check

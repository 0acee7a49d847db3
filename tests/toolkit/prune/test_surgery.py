from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mejiro.errors import ExportError, PruneError, UsageError
from mejiro.model import FloatModel
from mejiro.prune import cut, find_groups, kept_number, silence, silenced, strongest
from mejiro_runtime.card import Scores
from mejiro_runtime.preprocess import InputSpec, TensorType
from mejiro_runtime.types import Label


def two_layers(layers: Any, x: Any) -> Any:
    x = layers.Conv2D(16, 1, activation="sigmoid", name="one")(x)
    return layers.Conv2D(9, 1, name="two")(x)


@pytest.fixture
def network(build_network: Any) -> Any:
    return build_network(two_layers)


def test_a_cut_network_is_saved_and_opened_again(keras: Any, network: Any, tmp_path: Any) -> None:
    small = cut(find_groups(network), {"one": [0, 3, 15], "two": [8]})
    small.save(tmp_path / "small.keras")
    inputs = np.ones((2, 6, 6, 3), np.float32)

    again = keras.models.load_model(tmp_path / "small.keras")

    assert again.get_layer("one").filters == 3
    assert again.get_layer("two").get_weights()[0].shape == (1, 1, 3, 1)
    np.testing.assert_allclose(again(inputs), small(inputs))


def test_the_weights_that_stay_are_those_that_were_kept(network: Any) -> None:
    before = network.get_layer("two").get_weights()

    small = cut(find_groups(network), {"one": np.array([5, 2]), "two": [0, 7]})

    kernel, bias = small.get_layer("two").get_weights()
    np.testing.assert_array_equal(kernel, before[0][:, :, [2, 5]][..., [0, 7]])
    np.testing.assert_array_equal(bias, before[1][[0, 7]])


def test_an_empty_cut_is_a_copy(network: Any) -> None:
    inputs = np.ones((2, 6, 6, 3), np.float32)
    graph = find_groups(network)

    for copy in (cut(graph, {}), cut(graph, {"one": range(16)}), silence(graph, {})):
        np.testing.assert_array_equal(copy(inputs), network(inputs))
        assert copy.get_layer("one") is not network.get_layer("one")


def test_silencing_in_place_is_undone(network: Any) -> None:
    inputs = np.ones((2, 6, 6, 3), np.float32)
    graph, keep = find_groups(network), {"one": [1], "two": [0, 1, 2]}
    before = network(inputs).numpy()

    def fail_while_silent() -> None:
        with silenced(graph, keep):
            np.testing.assert_array_equal(network(inputs), silence(graph, keep)(inputs))
            assert np.abs(network(inputs) - before).max() > 1e-3
            raise RuntimeError("while silent")

    with pytest.raises(RuntimeError, match="while silent"):
        fail_while_silent()
    np.testing.assert_array_equal(network(inputs), before)


def test_a_float_model_is_looked_at_in_its_own_size(keras: Any) -> None:
    inputs = keras.Input((None, None, 3))
    x = keras.layers.Conv2D(4, 3, name="conv")(inputs)
    outputs = keras.layers.Dense(2)(keras.layers.GlobalAveragePooling2D()(x))
    model = FloatModel(
        name="free",
        keras_model=keras.Model(inputs, outputs),
        input=InputSpec(8, 8, dtype=TensorType.FLOAT32),
        labels=(Label(0, "a"), Label(1, "b")),
        scores=Scores.LOGITS,
    )

    graph = find_groups(model)

    assert graph.network.input.shape == (None, 8, 8, 3)
    assert cut(graph, {"conv": [0]}).get_layer("conv").filters == 1


def test_a_network_written_as_a_class_is_refused(keras: Any) -> None:
    class Written(keras.Model):  # type: ignore[misc]
        def call(self, x: Any) -> Any:
            return x

    with pytest.raises(ExportError, match="written as a class"):
        find_groups(Written(), (4, 4, 3))


@pytest.mark.parametrize(
    ("keep", "said"),
    [
        ({"none": [0]}, "there is no group of channels 'none'; those to cut begin one, two"),
        ({"one": []}, "nothing is kept of 'one'"),
        ({"one": [16]}, "'one' has 16 channels, counted from 0; found 16..16"),
        ({"two": [-1, 2]}, "'two' has 9 channels, counted from 0; found -1..2"),
        ({"classifier": [0]}, "the channels of 'classifier' have to stay: they are the model's"),
    ],
)
def test_a_cut_that_cannot_be_made_is_refused(network: Any, keep: Any, said: str) -> None:
    graph = find_groups(network)
    for use in (cut, silence):
        with pytest.raises(PruneError, match=said):
            use(graph, keep)


@pytest.mark.parametrize(
    ("share", "multiple", "kept"),
    [
        (0.7, 8, 8),
        (0.76, 8, 16),
        (0.75, 8, 16),  # a tie goes to the wider
        (0.01, 8, 8),
        (1.0, 8, 16),
        (0.7, 1, 11),
        (0.01, 1, 1),
        (0.5, 32, 16),  # no such multiple below its own width
    ],
)
def test_the_number_that_stays(network: Any, share: float, multiple: int, kept: int) -> None:
    assert kept_number(find_groups(network).groups["one"], share, multiple=multiple) == kept


def test_the_number_counts_all_outputs_that_go_with_a_channel(build_network: Any) -> None:
    def body(layers: Any, x: Any) -> Any:
        x = layers.Conv2D(32, 1, name="before")(x)
        return layers.Conv2D(8, 1, groups=2, name="grouped")(x)

    before = find_groups(build_network(body)).groups["before"]

    assert (before.channels, before.copies) == (16, 2)
    assert kept_number(before, 0.7) == 12  # 24 outputs


def test_a_share_out_of_range_is_refused(network: Any) -> None:
    group = find_groups(network).groups["one"]
    with pytest.raises(UsageError, match=r"must lie in \(0, 1\], found 0"):
        kept_number(group, 0)
    with pytest.raises(UsageError, match="multiples of 1 or more, found 0"):
        kept_number(group, 0.5, multiple=0)


def test_the_strongest_stay_and_the_first_of_equals(network: Any) -> None:
    group = find_groups(network).groups["two"]
    scores = np.array([0, 3, 1, 3, 1, 0, 9, 1, 0])
    assert strongest(scores, 0.5, group, multiple=1).tolist() == [1, 2, 3, 4, 6]

"""Check EfficientNet-Lite against its specification, and the mapping of published tensors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mejiro.errors import WeightsError
from mejiro.zoo import MODELS
from mejiro.zoo.efficientnet_lite import EfficientNetLite
from mejiro.zoo.spec import Architecture

# The README of the specification: millions of parameters, of Lite0 to Lite4.
PUBLISHED_MILLIONS = (4.7, 5.4, 6.1, 8.2, 13.0)


def small(classes: int = 5) -> Any:
    """A network of the family that is narrow and shallow enough for a test."""
    return EfficientNetLite(0.25, 0.3)(Architecture(32, classes, alpha=1.0, dropout=0.2))


@pytest.fixture(scope="module")
def network() -> Any:
    return small()


def published(network: Any) -> dict[str, NDArray[Any]]:
    """Tensors as the port names and lays them out, for `network`'s shapes, all different."""
    rng = np.random.default_rng(3)
    tensors: dict[str, NDArray[Any]] = {}
    for layer, source in EfficientNetLite(0.25, 0.3)._sources():
        shapes = [w.shape for w in network.get_layer(layer).get_weights()]
        if layer.endswith("_bn"):
            for part in ("weight", "bias", "running_mean", "running_var"):
                tensors[f"{source}.{part}"] = rng.uniform(0.5, 1.5, shapes[0])
            tensors[f"{source}.num_batches_tracked"] = np.array(9)
        elif layer == "classifier":
            tensors[f"{source}.weight"] = rng.normal(size=shapes[0][::-1])
            tensors[f"{source}.bias"] = rng.normal(size=shapes[1])
        else:
            height, width, inward, outward = shapes[0]
            pair = (inward, outward) if layer.endswith("_depthwise") else (outward, inward)
            tensors[f"{source}.weight"] = rng.normal(size=(*pair, height, width))
    return {name: np.asarray(value, np.float32) for name, value in tensors.items()}


@pytest.mark.parametrize("number", range(5))
def test_sizes_are_the_published_ones(number: int) -> None:
    spec = MODELS[f"efficientnet-lite{number}"]
    architecture = Architecture(spec.image_size, 1000, alpha=1.0, dropout=spec.dropout or 0.0)
    model = spec.builder(architecture)
    assert model.count_params() / 1e6 == pytest.approx(PUBLISHED_MILLIONS[number], abs=0.13)
    assert model.output_shape == (None, 1000)


def test_rows_state_the_published_input() -> None:
    sizes = [MODELS[f"efficientnet-lite{number}"].image_size for number in range(5)]
    assert sizes == [224, 240, 260, 280, 300]
    spec = MODELS["efficientnet-lite0"].input_spec()
    assert spec.crop_fraction == 0.875
    np.testing.assert_allclose(spec.table()[[0, 127, 255], 0], [-127 / 128, 0.0, 1.0])


def test_layers_have_readable_names(network: Any) -> None:
    names = {layer.name for layer in network.layers}
    assert {"stem_conv", "block2a_expand", "block6a_depthwise_bn", "head_conv"} <= names
    assert "block1a_expand" not in names


def test_every_tensor_lands_in_its_layer(network: Any) -> None:
    tensors = published(network)
    EfficientNetLite(0.25, 0.3).assign(network, tensors)
    stem = network.get_layer("stem_conv").get_weights()[0]
    assert stem[1, 2, 0, 5] == tensors["_conv_stem.weight"][5, 0, 1, 2]
    depthwise = network.get_layer("block2a_depthwise").get_weights()[0]
    assert depthwise[0, 2, 7, 0] == tensors["_blocks.1._depthwise_conv.weight"][7, 0, 0, 2]
    gamma, beta, mean, variance = network.get_layer("block7a_project_bn").get_weights()
    last = max(int(n.split(".")[1]) for n in tensors if n.startswith("_blocks."))
    parts = (("weight", gamma), ("bias", beta), ("running_mean", mean), ("running_var", variance))
    for part, found in parts:
        np.testing.assert_array_equal(found, tensors[f"_blocks.{last}._bn2.{part}"])
    np.testing.assert_array_equal(
        network.get_layer("classifier").get_weights()[0], tensors["_fc.weight"].T
    )


def test_tensors_that_do_not_fit_are_refused(network: Any) -> None:
    family = EfficientNetLite(0.25, 0.3)
    tensors = published(network)
    with pytest.raises(WeightsError, match=r"no tensor '_bn1\.bias'"):
        family.assign(network, {k: v for k, v in tensors.items() if k != "_bn1.bias"})
    with pytest.raises(WeightsError, match=r"a tensor too many: _extra\.weight"):
        family.assign(network, {**tensors, "_extra.weight": np.zeros(1)})
    with pytest.raises(WeightsError, match="_conv_stem does not fit stem_conv"):
        family.assign(network, {**tensors, "_conv_stem.weight": np.zeros((9, 3, 3, 3))})


def test_stochastic_depth_acts_while_training_alone(network: Any) -> None:
    pictures = np.random.default_rng(1).normal(size=(4, 32, 32, 3)).astype(np.float32)
    still = network(pictures, training=False).numpy()
    np.testing.assert_array_equal(still, network(pictures, training=False).numpy())
    drawn = [network(pictures, training=True).numpy() for _ in range(2)]
    assert np.abs(drawn[0] - drawn[1]).max() > 0

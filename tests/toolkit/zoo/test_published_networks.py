"""Check that networks built here are those of keras.applications, so that its weights fit."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from mejiro.data.normalize import IMAGENET_MEAN, IMAGENET_STD
from mejiro.errors import WeightsError
from mejiro.zoo import MODELS
from mejiro.zoo.rewrite import name_layers
from mejiro.zoo.spec import Architecture, Normalization
from mejiro.zoo.weights import KerasDownload, copy_weights

SIZE, CLASSES = 48, 4
# One of each builder; the others differ in the numbers of a table, which parameters tell.
BUILT_HERE = ("resnet50", "resnet50-v2", "efficientnet-b0", "efficientnetv2-b1")


def _architecture(name: str) -> Architecture:
    return Architecture(SIZE, CLASSES, alpha=1.0, dropout=MODELS[name].dropout or 0.0)


def _published(keras: Any, name: str) -> Any:
    """Keras's network with weights at random, and the normalization that its weights come with."""
    pretrained: Any = MODELS[name].pretrained
    keras.utils.set_random_seed(3)
    network = pretrained.application(_architecture(name))
    for layer in network.layers:
        if isinstance(layer, keras.layers.Normalization) and layer.weights:
            variance = np.square(IMAGENET_STD).astype(np.float32)
            layer.set_weights([np.array(IMAGENET_MEAN, np.float32), variance, np.array(0)])
            layer.finalize_state()
    return network


def _pooled(keras: Any, network: Any, pictures: Any) -> Any:
    """The last features, pooled: random classifiers answer 0 or 1 to any of them."""
    return keras.Model(network.inputs, network.get_layer("avg_pool").output)(pictures).numpy()


@pytest.mark.parametrize("name", BUILT_HERE)
def test_networks_built_here_are_those_of_keras(keras: Any, settle_norms: Any, name: str) -> None:
    theirs = name_layers(_published(keras, name))
    ours = MODELS[name].builder(_architecture(name))
    # Keras pairs the layers of its old files with a network's by their order.
    kind = keras.layers.Normalization
    order = [layer.name for layer in theirs.layers if layer.weights and not isinstance(layer, kind)]
    assert [layer.name for layer in ours.layers if layer.weights] == order
    pixels = np.random.default_rng(5).integers(0, 256, (8, SIZE, SIZE, 3)).astype(np.float32)
    spec = MODELS[name].input_spec(SIZE)
    normalized = (pixels * spec.scale + spec.offset).astype(np.float32)
    own = any(isinstance(layer, keras.layers.Rescaling) for layer in theirs.layers)
    entering = pixels if own else normalized
    settle_norms(theirs, entering)
    copy_weights(theirs, ours)
    expected, found = _pooled(keras, theirs, entering), _pooled(keras, ours, normalized)
    np.testing.assert_allclose(found, expected, atol=1e-3 * np.abs(expected).max())
    assert np.ptp(expected, axis=0).mean() > 0.1 * np.abs(expected).mean()


def test_a_download_that_normalizes_otherwise_is_refused(keras: Any) -> None:
    name = "efficientnet-b0"
    download: Any = MODELS[name].pretrained
    theirs = _published(keras, name)
    fake = replace(download, application=lambda architecture, weights: theirs)
    ours = MODELS[name].builder(_architecture(name))
    record = fake.fill(ours, _architecture(name))
    assert "ImageNet" in record["summary"]
    other = replace(fake, normalization=Normalization((1 / 127.5,), (-1.0,)))
    with pytest.raises(WeightsError, match="normalizes pixels to -2.12..2.25"):
        other.fill(ours, _architecture(name))


def test_weights_of_another_network_are_refused(keras: Any) -> None:
    first, second = (
        MODELS[name].builder(_architecture(name)) for name in ("resnet50", "resnet101")
    )
    with pytest.raises(WeightsError, match="only one of the two has the layer conv4_block10"):
        copy_weights(first, second)
    wide = MODELS["resnet50"].builder(replace(_architecture("resnet50"), alpha=2.0))
    with pytest.raises(WeightsError, match="do not fit the layer conv1_conv"):
        copy_weights(first, wide)


@pytest.mark.parametrize("name", ["inception-v3", "mobilenet-v3-small-minimalistic"])
def test_layers_that_keras_numbers_find_their_weights(keras: Any, name: str) -> None:
    architecture = replace(_architecture(name), image_size=75)
    download: Any = MODELS[name].pretrained
    theirs = download.application(architecture)
    fake = KerasDownload(lambda architecture, weights: theirs)
    ours = name_layers(MODELS[name].builder(architecture))
    fake.fill(ours, architecture)
    for one, two in zip(theirs.get_weights(), ours.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)

"""A new head is put where the feature map ends, and everything before it is as it was."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mejiro.errors import UsageError
from mejiro.train.network import Network, input_of, open_network
from mejiro.train.settings import Head, Phase, Pooling, Settings
from mejiro.zoo import BuildOptions, Weights, build, open_model, save_float_model
from mejiro_runtime.preprocess import InputSpec, ResizeMode

PIXELS = np.random.default_rng(0).normal(size=(3, 16, 16, 3)).astype(np.float32)


def test_the_parts_are_one_network(make_settings: Any) -> None:
    network = open_network(make_settings(), 3)
    pooled = network.pooled(PIXELS)
    logits = np.asarray(network.logits(PIXELS))
    assert np.asarray(network.head(pooled)) == pytest.approx(logits, abs=1e-6)
    shares = np.asarray(network.whole(PIXELS))
    assert shares == pytest.approx(np.exp(logits) / np.exp(logits).sum(1, keepdims=True), rel=1e-5)
    assert shares.shape == (3, 3)
    assert [layer.name for layer in network.backbone][-1] == "maps_relu"
    assert {id(v) for v in network.head.weights} < {id(v) for v in network.whole.weights}


def test_the_backbone_keeps_its_weights_and_names(make_settings: Any, base_folder: Path) -> None:
    base = open_model(str(base_folder)).keras_model
    network = open_network(make_settings(), 3)
    for layer in network.backbone:
        for old, new in zip(
            base.get_layer(layer.name).get_weights(), layer.get_weights(), strict=True
        ):
            assert (old == new).all()
    names = [layer.name for layer in network.whole.layers]
    assert names[: len(network.backbone)] == [layer.name for layer in network.backbone]
    assert names[-2:] == ["classifier", "probabilities"]


def test_the_head_is_as_it_was_asked_for(make_settings: Any) -> None:
    head = Head(Pooling.MAX, hidden=5, dropout=0.5)
    network = open_network(make_settings(head=head), 7)
    maps = network.backbone[-1].output
    added = [type(layer).__name__ for layer in network.whole.layers[len(network.backbone) :]]
    assert added == ["GlobalMaxPooling2D", "Dense", "ReLU", "Dropout", "Dense", "Softmax"]
    assert network.head.count_params() == maps.shape[-1] * 5 + 5 + 5 * 7 + 7
    assert network.whole.get_layer("classifier").output.shape == (None, 7)


def test_the_seed_decides_the_hidden_layer_and_the_classifier_begins_at_zero(
    make_settings: Any,
) -> None:
    heads = [
        open_network(make_settings(seed=seed, head=Head(hidden=4)), 3).whole for seed in (1, 1, 2)
    ]
    kernels = [head.get_layer("new_hidden").get_weights()[0] for head in heads]
    assert (kernels[0] == kernels[1]).all()
    assert not (kernels[0] == kernels[2]).all()
    assert all((head.get_layer("classifier").get_weights()[0] == 0).all() for head in heads)


def test_a_network_of_the_zoo_is_cut_at_its_features() -> None:
    settings = Settings(
        "lite0",
        (Phase("training", 1, 0.1),),
        weights="none",
        build=BuildOptions(image_size=64, seed=4),
    )
    network: Network = open_network(settings, 5)
    assert not network.pretrained
    assert network.input == input_of(settings)
    assert network.input.height == 64
    assert network.name == "efficientnet-lite0"
    published = build("lite0", weights=Weights.NONE, options=settings.build).keras_model
    kernel = network.whole.get_layer("block3a_expand").get_weights()[0]
    assert (kernel == published.get_layer("block3a_expand").get_weights()[0]).all()
    assert network.backbone[-1].output.shape == (None, 2, 2, 1280)


def test_a_network_without_a_map_takes_no_head(
    keras: Any, tmp_path: Path, base_folder: Path, make_settings: Any
) -> None:
    inputs = keras.Input((16, 16, 3))
    x = keras.layers.Dense(4, activation="softmax")(keras.layers.Flatten()(inputs))
    plain = replace(open_model(str(base_folder)), keras_model=keras.Model(inputs, x))
    save_float_model(plain, tmp_path / "plain")
    with pytest.raises(UsageError, match="has no layer that gives a feature map"):
        open_network(make_settings(model=str(tmp_path / "plain")), 3)


def test_the_crop_is_as_it_was_asked_for(make_settings: Any) -> None:
    usual, whole = make_settings(), make_settings(crop=1.0)
    assert usual.crop is None
    assert open_network(usual, 3).input == input_of(usual)
    for spec in (open_network(whole, 3).input, input_of(whole)):
        assert spec == replace(input_of(usual), crop_fraction=1.0)
    lite0 = replace(whole, model="efficientnet-lite0", weights="none", crop=0.5)
    assert input_of(lite0).crop_fraction == 0.5
    assert Settings.from_json(whole.to_json()) == whole


@pytest.mark.parametrize("crop", [0.0, 1.1, -1.0])
def test_a_crop_is_a_share(make_settings: Any, crop: float) -> None:
    with pytest.raises(UsageError, match="the crop must lie in"):
        make_settings(crop=crop)


def test_what_is_stretched_is_not_cropped(
    make_settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = make_settings(crop=0.5)
    stretched = replace(
        open_model(settings.model), input=InputSpec(16, 16, resize=ResizeMode.STRETCH)
    )
    monkeypatch.setattr("mejiro.train.network.open_model", lambda name: stretched)
    with pytest.raises(UsageError, match="by stretch, which crops nothing; leave --crop out"):
        input_of(settings)

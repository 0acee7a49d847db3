"""A card says the same after JSON, and belongs to one file."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mejiro_runtime.card import (
    CARD_SCHEMA,
    ArtifactCard,
    Format,
    OutputSpec,
    Precision,
    Scores,
    card_path,
    head_path,
    read_card,
)
from mejiro_runtime.errors import MejiroError, ModelError, SpecError
from mejiro_runtime.files import sha256_of, write_json
from mejiro_runtime.preprocess import InputSpec
from mejiro_runtime.types import Label

# Lone surrogates fit no file, and control characters are refused on purpose.
WORDS = st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=12)
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3)
    ),
    max_leaves=6,
)


FEATURES = st.fixed_dictionaries(
    {
        "features": st.tuples(*[st.integers(1, 2000)] * 3),
        "head_sha256": st.from_regex(r"[0-9a-f]{64}", fullmatch=True),
    }
)


@st.composite
def cards(draw: st.DrawFn) -> ArtifactCard:
    names = draw(st.lists(st.tuples(WORDS, st.just("") | WORDS), max_size=5))
    labels = tuple(Label(i, name, synset) for i, (name, synset) in enumerate(names))
    background = draw(st.none() | st.integers(0, len(labels) - 1)) if labels else None
    return ArtifactCard(
        file=draw(st.from_regex(r"[a-z][a-z0-9.-]{0,9}\.(tflite|onnx)", fullmatch=True)),
        format=draw(st.sampled_from(Format)),
        precision=draw(st.sampled_from(Precision)),
        input=InputSpec(draw(st.integers(1, 500)), draw(st.integers(1, 500))),
        output=OutputSpec(scores=draw(st.sampled_from(Scores)), background=background),
        size_bytes=draw(st.integers(0, 2**40)),
        sha256=draw(st.from_regex(r"[0-9a-f]{64}", fullmatch=True)),
        labels=labels,
        lineage=draw(st.dictionaries(WORDS, st.integers() | WORDS, max_size=3)),
        evaluation=draw(st.none() | st.dictionaries(WORDS, st.floats(0, 1), max_size=3)),
        **draw(st.just({}) | FEATURES),
    )


@given(cards())
def test_a_card_survives_json(card: ArtifactCard) -> None:
    assert ArtifactCard.from_json(json.loads(json.dumps(card.to_json()))) == card


@given(cards())
def test_a_bundle_keeps_the_labels_elsewhere(card: ArtifactCard) -> None:
    value = card.to_json(labels=False)
    assert "labels" not in value
    assert ArtifactCard.from_json(value).with_labels(card.labels) == card


@given(ANYTHING)
def test_what_is_no_card_is_refused(value: Any) -> None:
    with pytest.raises(MejiroError):
        ArtifactCard.from_json(value)
    with pytest.raises(MejiroError):
        OutputSpec.from_json(value)


@given(cards(), st.data())
def test_a_damaged_card_is_refused_or_a_card(card: ArtifactCard, data: st.DataObject) -> None:
    value = json.loads(json.dumps(card.to_json()))
    where = data.draw(st.sampled_from([value, value["input"], value["output"]]))
    field = data.draw(st.sampled_from(sorted(where)))
    if data.draw(st.booleans()):
        del where[field]
    else:
        where[field] = data.draw(ANYTHING)
    try:
        read = ArtifactCard.from_json(value)
    except MejiroError:
        return
    assert ArtifactCard.from_json(read.to_json()) == read


def test_a_newer_schema_asks_for_an_upgrade(handmade) -> None:
    value = {**handmade.card().to_json(), "schema": CARD_SCHEMA + 1}
    with pytest.raises(SpecError, match="upgrade mejiro"):
        ArtifactCard.from_json(value)


@pytest.mark.parametrize("name", ["", ".", "..", "a/b.tflite", "/a.tflite", "a/", "../a.tflite"])
def test_a_card_names_a_file_beside_it(handmade, name: str) -> None:
    with pytest.raises(SpecError, match="names a file beside it"):
        ArtifactCard.from_json({**handmade.card().to_json(), "file": name})


def test_a_card_without_features_is_one_that_older_runtimes_read(handmade) -> None:
    value = handmade.card().to_json()
    assert value["schema"] == 1
    assert not {"features", "head_sha256"} & set(value)
    with_features = replace(handmade.card(), features=(2, 2, 5), head_sha256="0" * 64).to_json()
    assert with_features["schema"] == 2
    # Such a runtime asks for an upgrade; one of today takes no field that the schema lacks.
    with pytest.raises(SpecError, match="unknown fields: 'features', 'head_sha256'"):
        ArtifactCard.from_json({**with_features, "schema": 1})


@pytest.mark.parametrize("features", [[7], [7, 7, 7, 7], [7, 7, "9"], [7.0, 7, 9], [True, 1, 1]])
def test_features_are_height_width_and_channels(handmade, features: Any) -> None:
    card = replace(handmade.card(), features=(7, 7, 9), head_sha256="0" * 64)
    with pytest.raises(SpecError, match="height, width and channels"):
        ArtifactCard.from_json({**card.to_json(), "features": features})


@pytest.mark.parametrize("change", [{"features": []}, {"head_sha256": ""}])
def test_features_and_their_weights_go_together(handmade, change: dict[str, Any]) -> None:
    card = replace(handmade.card(), features=(7, 7, 9), head_sha256="0" * 64)
    with pytest.raises(SpecError, match="go together; give both or neither"):
        ArtifactCard.from_json({**card.to_json(), **change})


def test_the_weights_of_features_belong_to_one_file(handmade, tmp_path) -> None:
    artifact = tmp_path / "colours.tflite"
    artifact.write_bytes(b"simulated")
    head = head_path(artifact)
    assert head.name == "colours.tflite.head.npy"
    head.write_bytes(b"weights")
    card = replace(handmade.card(), features=(2, 2, 5), head_sha256=sha256_of(head))
    write_json(card_path(artifact), card.to_json())
    assert read_card(artifact) == card
    head.write_bytes(b"other weights")
    with pytest.raises(ModelError, match=r"head\.npy has changed since"):
        read_card(artifact)
    assert read_card(artifact, check_hash=False) == card
    head.unlink()
    with pytest.raises(ModelError, match=r"has no colours\.tflite\.head\.npy beside it"):
        read_card(artifact)


@pytest.mark.parametrize("background", [-1, 3, True, 0.5, "0"])
def test_a_background_is_one_of_the_classes(handmade, background: Any) -> None:
    value = handmade.card().to_json()
    value["output"]["background"] = background
    with pytest.raises(SpecError, match="background"):
        ArtifactCard.from_json(value)


def test_the_name_is_the_file_without_its_ending(handmade) -> None:
    card = handmade.card("lite0-int8.v2.onnx")
    assert card.name == "lite0-int8.v2"
    assert card.format is Format.ONNX


def test_a_card_lies_beside_its_file(handmade, tmp_path) -> None:
    artifact = tmp_path / "colours.tflite"
    with pytest.raises(ModelError, match="is not a file"):
        read_card(artifact)
    artifact.write_bytes(b"simulated")
    with pytest.raises(ModelError, match="has no card colours.tflite.json beside it"):
        read_card(artifact)
    card = handmade.card()
    write_json(card_path(artifact), card.to_json())
    assert read_card(artifact) == card


def test_a_card_belongs_to_one_file(handmade, tmp_path) -> None:
    artifact = tmp_path / "renamed.tflite"
    artifact.write_bytes(b"simulated")
    write_json(card_path(artifact), handmade.card().to_json())
    with pytest.raises(ModelError, match="describes 'colours.tflite'"):
        read_card(artifact)
    altered = tmp_path / "colours.tflite"
    altered.write_bytes(b"simulatec")
    write_json(card_path(altered), handmade.card().to_json())
    with pytest.raises(ModelError, match="has changed since"):
        read_card(altered)
    assert read_card(altered, check_hash=False) == handmade.card()


def test_the_toolkit_writes_cards_that_are_read_here(model_fixtures) -> None:
    for path in sorted((model_fixtures / "models").glob("*.json")):
        card = read_card(path.with_suffix(""))
        assert card.precision in (Precision.INT8, Precision.FP32)
        assert card.input.dtype.value == "uint8"
        assert len(card.labels) == 5

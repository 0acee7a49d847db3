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
    Task,
    card_path,
    head_path,
    read_card,
)
from mejiro_runtime.errors import MejiroError, ModelError, SpecError
from mejiro_runtime.files import sha256_of, write_json
from mejiro_runtime.heads import ROLES, AnchorGrid, DetectionSpec, Head
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


SIZES = st.lists(st.tuples(*[st.floats(0.01, 1)] * 2), min_size=1, max_size=3).map(tuple)
GRIDS = st.lists(st.builds(AnchorGrid, st.integers(1, 9), st.integers(1, 9), SIZES), min_size=1)


@st.composite
def detections(draw: st.DrawFn) -> DetectionSpec:
    head = draw(st.sampled_from(Head))
    more: dict[str, Any] = {}
    if head is Head.SSD:
        rows = st.lists(st.tuples(*[st.floats(0.01, 1)] * 4), min_size=1, max_size=4).map(tuple)
        ways = [{"grids": GRIDS.map(tuple)}, {"anchors": rows}]
        more = draw(st.one_of(*map(st.fixed_dictionaries, ways)))
        more |= {
            "scales": draw(st.tuples(*[st.floats(0.1, 20)] * 4)),
            "x_first": draw(st.booleans()),
        }
    places = st.permutations(range(6)).map(lambda order: tuple(order[: len(ROLES[head])]))
    return DetectionSpec(
        head,
        threshold=draw(st.floats(0, 1)),
        iou=draw(st.floats(0, 1)),
        most=draw(st.integers(1, 1000)),
        roles=draw(st.just(()) | places),
        sigmoid=draw(st.booleans()),
        pixels=draw(st.booleans()),
        **more,
    )


@st.composite
def outputs(draw: st.DrawFn, background: int | None) -> OutputSpec:
    """Return how any task's outputs are read."""
    task = draw(st.sampled_from(Task))
    return OutputSpec(
        task,
        draw(st.sampled_from(Scores)),
        background,
        detection=draw(detections()) if task is Task.DETECTION else None,
        indices=draw(st.booleans()) if task is Task.SEGMENTATION else False,
    )


STATES = st.lists(st.tuples(WORDS, WORDS), max_size=3, unique_by=(lambda x: x[0], lambda x: x[1]))


@st.composite
def cards(draw: st.DrawFn) -> ArtifactCard:
    names = draw(st.lists(st.tuples(WORDS, st.just("") | WORDS), max_size=5))
    labels = tuple(Label(i, name, synset) for i, (name, synset) in enumerate(names))
    background = draw(st.none() | st.integers(0, len(labels) - 1)) if labels else None
    output = draw(outputs(background))
    features = output.task is Task.CLASSIFICATION
    return ArtifactCard(
        file=draw(st.from_regex(r"[a-z][a-z0-9.-]{0,9}\.(tflite|onnx)", fullmatch=True)),
        format=draw(st.sampled_from(Format)),
        precision=draw(st.sampled_from(Precision)),
        input=InputSpec(draw(st.integers(1, 500)), draw(st.integers(1, 500))),
        output=output,
        size_bytes=draw(st.integers(0, 2**40)),
        sha256=draw(st.from_regex(r"[0-9a-f]{64}", fullmatch=True)),
        labels=labels,
        lineage=draw(st.dictionaries(WORDS, st.integers() | WORDS, max_size=3)),
        evaluation=draw(st.none() | st.dictionaries(WORDS, st.floats(0, 1), max_size=3)),
        state=tuple(draw(STATES)),
        **draw(st.just({}) | FEATURES if features else st.just({})),
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


def test_a_classifiers_card_is_what_older_runtimes_read(handmade) -> None:
    value = handmade.card().to_json()
    assert value["schema"] == 1
    assert value["output"] == {
        "task": "classification",
        "scores": "probabilities",
        "background": None,
    }
    assert "state" not in value
    featured = replace(handmade.card(), features=(2, 2, 5), head_sha256="0" * 64).to_json()
    assert featured["schema"] == 2
    # What schema 2 demands stays demanded of a card that says it is one.
    for name in ("features", "head_sha256"):
        with pytest.raises(SpecError, match=name):
            ArtifactCard.from_json({k: v for k, v in featured.items() if k != name})


def test_another_task_and_state_are_of_a_newer_schema(handmade) -> None:
    card = handmade.card()
    for newer in (
        replace(card, output=OutputSpec(Task.SEGMENTATION)),
        replace(card, output=OutputSpec(Task.DETECTION, detection=DetectionSpec(Head.YOLO))),
        replace(card, state=(("a", "b"),)),
    ):
        value = newer.to_json()
        assert value["schema"] == CARD_SCHEMA == 3
        if newer.state:
            with pytest.raises(SpecError, match="unknown fields: 'state'"):
                ArtifactCard.from_json({**value, "schema": 1})


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"output": OutputSpec(Task.DETECTION)}, "how its boxes are read"),
        ({"output": OutputSpec(detection=DetectionSpec(Head.YOLO))}, "how its boxes are read"),
        ({"state": (("a", "b"), ("a", "c"))}, "twice: a, a"),
        ({"state": (("a", "b"), ("c", "b"))}, "twice: b, b"),
        (
            {
                "output": OutputSpec(Task.SEGMENTATION),
                "features": (1, 1, 1),
                "head_sha256": "0" * 64,
            },
            "only a classifier has features",
        ),
    ],
)
def test_a_card_that_contradicts_itself_is_refused(handmade, changes: Any, said: str) -> None:
    with pytest.raises(SpecError, match=said):
        replace(handmade.card(), **changes)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"threshold": 1.2}, "threshold must lie in 0..1"),
        ({"iou": -0.1}, "iou must lie in 0..1"),
        ({"most": 0}, "1 to 1000 boxes"),
        ({"roles": (0, 1)}, "has the outputs boxes, each with"),
        ({"roles": (-1,)}, "has the outputs boxes, each with"),
        ({"grids": (AnchorGrid(1, 1, ((1.0, 1.0),)),)}, "an ssd detector has anchors"),
        ({"head": Head.SSD}, "an ssd detector has anchors"),
        (
            {"head": Head.SSD, "grids": (AnchorGrid(0, 1, ((1.0, 1.0),)),)},
            "rows, columns and sizes",
        ),
        ({"head": Head.SSD, "grids": (AnchorGrid(1, 1, ((0.0, 1.0),)),)}, "widths above 0"),
        ({"head": Head.SSD, "grids": (AnchorGrid(999, 999, ((1.0, 1.0),)),)}, "at most 200000"),
        ({"head": Head.SSD, "anchors": ((0.5, 0.5, 1.0, 0.0),)}, "widths above 0"),
        (
            {
                "head": Head.SSD,
                "anchors": ((0.5, 0.5, 1.0, 1.0),),
                "grids": (AnchorGrid(1, 1, ((1.0, 1.0),)),),
            },
            "either grids",
        ),
        ({"scales": (1.0, 1.0, 1.0)}, "scales are 4 numbers"),
        ({"scales": (1.0, 1.0, 1.0, 0.0)}, "scales are 4 numbers"),
    ],
)
def test_a_head_that_contradicts_itself_is_refused(changes: Any, said: str) -> None:
    with pytest.raises(SpecError, match=said):
        DetectionSpec(**{"head": Head.YOLO, **changes})

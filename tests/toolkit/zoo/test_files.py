"""Check that model folders survive a round trip, and that users' files are read or refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mejiro.errors import UsageError
from mejiro.model import FloatModel
from mejiro.zoo import load_float_model, open_model, save_float_model
from mejiro_runtime.card import Scores
from mejiro_runtime.errors import ModelError, SpecError
from mejiro_runtime.preprocess import InputSpec, Layout, TensorType
from mejiro_runtime.types import Label, PixelOrder

Labels = tuple[Label, ...]
NORMALIZE = {"scale": [1 / 255], "offset": [0.0]}


@pytest.fixture
def model(tiny: Any, tiny_spec: InputSpec, tiny_labels: Labels) -> FloatModel:
    lineage = {"model": "tiny", "weights": {"kind": "none", "seed": 5}}
    return FloatModel("tiny", tiny, tiny_spec, tiny_labels, Scores.PROBABILITIES, lineage)


def test_a_folder_gives_back_what_was_saved(
    model: FloatModel, tmp_path: Path, pictures: NDArray[np.float32]
) -> None:
    save_float_model(model, tmp_path / "deep" / "flowers")
    found = load_float_model(tmp_path / "deep" / "flowers")
    assert replace(found, keras_model=None) == replace(model, keras_model=None)
    np.testing.assert_array_equal(
        found.keras_model.predict(pictures, verbose=0),
        model.keras_model.predict(pictures, verbose=0),
    )
    assert sorted(p.name for p in (tmp_path / "deep" / "flowers").iterdir()) == [
        "model.json",
        "model.keras",
    ]
    assert [p.name for p in (tmp_path / "deep").iterdir()] == ["flowers"]
    assert open_model(str(tmp_path / "deep" / "flowers")).labels == model.labels


def test_saving_again_replaces_the_folder(model: FloatModel, tmp_path: Path) -> None:
    save_float_model(model, tmp_path / "flowers")
    save_float_model(replace(model, name="second"), tmp_path / "flowers")
    assert load_float_model(tmp_path / "flowers").name == "second"
    assert [p.name for p in tmp_path.iterdir()] == ["flowers"]


def test_a_folder_of_something_else_is_left_alone(model: FloatModel, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "holiday.jpg").write_bytes(b"irreplaceable")
    with pytest.raises(UsageError, match="is no model folder"):
        save_float_model(model, tmp_path / "photos")
    assert (tmp_path / "photos" / "holiday.jpg").read_bytes() == b"irreplaceable"


@pytest.mark.parametrize("earlier", [True, False])
def test_a_failed_save_leaves_what_was_there(
    model: FloatModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, earlier: bool
) -> None:
    if earlier:
        save_float_model(model, tmp_path / "flowers")
    before = sorted(tmp_path.rglob("*"))
    broken = replace(model, lineage={"nan": float("nan")})
    with pytest.raises(ValueError, match="JSON"):
        save_float_model(broken, tmp_path / "flowers")
    assert sorted(tmp_path.rglob("*")) == before

    rename = Path.rename

    def fail(self: Path, target: Path) -> Path:
        if self.name == "new":
            raise OSError("disk failure")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", fail)
    with pytest.raises(OSError, match="disk failure"):
        save_float_model(model, tmp_path / "flowers")
    assert sorted(tmp_path.rglob("*")) == before


def test_an_altered_network_is_refused(model: FloatModel, tmp_path: Path) -> None:
    save_float_model(model, tmp_path / "flowers")
    file = tmp_path / "flowers" / "model.keras"
    file.write_bytes(file.read_bytes() + b"\0")
    with pytest.raises(ModelError, match="has changed since model.json was written"):
        load_float_model(tmp_path / "flowers")


def change(key: str, value: Any) -> Callable[[dict[str, Any]], None]:
    def apply(card: dict[str, Any]) -> None:
        card[key] = value

    return apply


@pytest.mark.parametrize(
    ("alter", "error", "message"),
    [
        (change("schema", 2), ModelError, "has schema 2"),
        (change("surprise", 1), SpecError, "unknown fields: 'surprise'"),
        (change("scores", "votes"), SpecError, "must be one of"),
        (change("labels", [{"name": "ant"}, {"name": "bee"}]), UsageError, "2 labels are given"),
        (change("labels", [1, 2, 3]), SpecError, "label 0 must be a JSON object"),
        (lambda card: card.pop("input"), SpecError, "has no 'input'"),
        (lambda card: card["input"].update(height=13), UsageError, "specification makes"),
    ],
)
def test_a_card_that_is_wrong_is_refused(
    model: FloatModel, tmp_path: Path, alter: Any, error: type[Exception], message: str
) -> None:
    save_float_model(model, tmp_path / "flowers")
    path = tmp_path / "flowers" / "model.json"
    card = json.loads(path.read_text())
    alter(card)
    path.write_text(json.dumps(card))
    with pytest.raises(error, match=message):
        load_float_model(tmp_path / "flowers")


def test_half_a_folder_is_refused(model: FloatModel, tmp_path: Path) -> None:
    save_float_model(model, tmp_path / "flowers")
    (tmp_path / "flowers" / "model.keras").unlink()
    with pytest.raises(ModelError, match=r"has no model\.keras"):
        load_float_model(tmp_path / "flowers")


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_a_file_is_completed_from_what_it_fixes(
    tiny: Any,
    tiny_labels: Labels,
    tmp_path: Path,
    pictures: NDArray[np.float32],
    suffix: str,
) -> None:
    path = tmp_path / f"flower{suffix}"
    tiny.save(path)
    found = open_model(str(path), input_spec=NORMALIZE, labels=tiny_labels)
    assert found.name == "flower"
    assert found.input == InputSpec(
        12, 16, scale=(1 / 255,), offset=(0.0,), dtype=TensorType.FLOAT32
    )
    assert found.scores is Scores.PROBABILITIES
    assert found.lineage["weights"]["file"] == path.name
    assert str(tmp_path) not in json.dumps(found.lineage)
    np.testing.assert_array_equal(
        found.keras_model.predict(pictures, verbose=0), tiny.predict(pictures, verbose=0)
    )


def test_a_full_specification_is_taken_as_it_is(
    tiny: Any, tiny_spec: InputSpec, tiny_labels: Labels, tmp_path: Path
) -> None:
    tiny.save(tmp_path / "a.keras")
    found = open_model(str(tmp_path / "a.keras"), input_spec=tiny_spec, labels=tiny_labels)
    assert found.input == tiny_spec


def test_a_grey_network_of_any_size(keras: Any, tmp_path: Path, tiny_labels: Labels) -> None:
    inputs = keras.Input((None, None, 1))
    x = keras.layers.GlobalMaxPooling2D()(inputs)
    keras.Model(inputs, keras.layers.Dense(3)(x)).save(tmp_path / "grey.keras")
    path = str(tmp_path / "grey.keras")
    with pytest.raises(UsageError, match="does not say its height, width;"):
        open_model(path, input_spec=NORMALIZE, labels=tiny_labels)
    sized = {**NORMALIZE, "height": 20, "width": 24}
    found = open_model(path, input_spec=sized, labels=tiny_labels)
    assert (found.input.height, found.input.width) == (20, 24)
    assert found.input.order is PixelOrder.GRAY
    assert found.scores is Scores.LOGITS


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"labels": True}, "does not say how pixels become that; give .*--input-spec"),
        ({"input_spec": NORMALIZE}, "does not name its 3 classes; give the labels with --labels"),
        ({"input_spec": {"scale": [1.0]}, "labels": True}, "does not say its offset"),
        ({"input_spec": {}, "labels": True}, "does not say its scale, offset"),
        (
            {"input_spec": {**NORMALIZE, "height": 9}, "labels": True},
            r"takes \(any, 12, 16, 3\), the input specification makes \(9, 16, 3\)",
        ),
        (
            {"input_spec": {**NORMALIZE, "order": "gray"}, "labels": True},
            r"makes \(12, 16, 1\)",
        ),
        (
            {"input_spec": InputSpec(12, 16), "labels": True},
            "takes float32 in the order nhwc, the input specification says uint8",
        ),
        (
            {
                "input_spec": InputSpec(12, 16, dtype=TensorType.FLOAT32, layout=Layout.NCHW),
                "labels": True,
            },
            "says float32 and nchw",
        ),
        (
            {"input_spec": NORMALIZE, "labels": True, "scores": Scores.LOGITS},
            "ends in a softmax",
        ),
        (
            {"input_spec": NORMALIZE, "labels": (Label(0, "a"), Label(1, "b"))},
            "answers with 3 classes and 2 labels",
        ),
    ],
)
def test_what_is_missing_or_contradicts_is_said(
    tiny: Any, tiny_labels: Labels, tmp_path: Path, arguments: dict[str, Any], message: str
) -> None:
    tiny.save(tmp_path / "a.keras")
    if arguments.get("labels") is True:
        arguments = {**arguments, "labels": tiny_labels}
    with pytest.raises(UsageError, match=message) as caught:
        open_model(str(tmp_path / "a.keras"), **arguments)
    assert "\n" not in str(caught.value)


def test_scores_that_cannot_be_read_are_asked_for(
    keras: Any, tmp_path: Path, tiny_labels: Labels
) -> None:
    inputs = keras.Input((12, 16, 3))
    x = keras.layers.GlobalMaxPooling2D()(inputs)
    keras.Model(inputs, keras.layers.Dense(3, "sigmoid")(x)).save(tmp_path / "a.keras")
    given: dict[str, Any] = {"input_spec": NORMALIZE, "labels": tiny_labels}
    with pytest.raises(UsageError, match="probabilities or logits; say which with --scores"):
        open_model(str(tmp_path / "a.keras"), **given)
    found = open_model(str(tmp_path / "a.keras"), scores=Scores.PROBABILITIES, **given)
    assert found.scores is Scores.PROBABILITIES


def network(keras: Any, kind: str) -> Any:
    """Networks that are no classifiers of one picture."""
    layers = keras.layers
    picture = keras.Input((8, 8, 3), name="picture")
    pooled = layers.GlobalMaxPooling2D()(picture)
    if kind == "two inputs":
        other = keras.Input((3,), name="other")
        return keras.Model([picture, other], layers.Dense(3)(layers.Add()([pooled, other])))
    if kind == "two outputs":
        return keras.Model(picture, [layers.Dense(3)(pooled), layers.Dense(2)(pooled)])
    if kind == "a map":
        return keras.Model(picture, layers.Conv2D(3, 1)(picture))
    if kind == "a vector":
        row = keras.Input((5,))
        return keras.Model(row, layers.Dense(3)(row))
    if kind == "fixed batch":
        fixed = keras.Input(batch_shape=(4, 8, 8, 3))
        return keras.Model(fixed, layers.Dense(3)(layers.GlobalMaxPooling2D()(fixed)))
    if kind == "float16":
        return keras.Model(picture, layers.Dense(3, dtype="float16")(pooled))
    whole = keras.Input((8, 8, 3), dtype="uint8")
    pooled = layers.GlobalMaxPooling2D()(layers.Rescaling(1 / 255)(whole))
    return keras.Model(whole, layers.Dense(3)(pooled))


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("two inputs", "has 2 inputs and 1 outputs"),
        ("two outputs", "has 1 inputs and 2 outputs"),
        ("a map", r"answers with \(any, 8, 8, 3\)"),
        ("a vector", r"takes the shape \(any, 5\)"),
        ("fixed batch", "takes batches of 4 only"),
        ("float16", "works with float16 at its ends"),
        ("whole numbers", "works with uint8 at its ends"),
    ],
)
def test_other_networks_are_refused(
    keras: Any, tmp_path: Path, tiny_labels: Labels, kind: str, message: str
) -> None:
    network(keras, kind).save(tmp_path / "a.keras")
    with pytest.raises(ModelError, match=message):
        open_model(str(tmp_path / "a.keras"), input_spec=NORMALIZE, labels=tiny_labels)


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model.pt").write_bytes(b"\0")
    with pytest.raises(UsageError, match="is no model that can be opened"):
        open_model(str(tmp_path / "model.pt"))
    with pytest.raises(UsageError, match="there is no model or file"):
        open_model(str(tmp_path / "absent.keras"))


def test_a_folder_that_states_itself_takes_no_statements(model: FloatModel, tmp_path: Path) -> None:
    save_float_model(model, tmp_path / "flowers")
    with pytest.raises(UsageError, match="states its own input"):
        open_model(str(tmp_path / "flowers"), labels=model.labels)

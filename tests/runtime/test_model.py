"""A model is its card's file and nothing else, and every frame's cost is told by stage."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from mejiro_runtime.backends import TensorInfo
from mejiro_runtime.card import OutputSpec, read_card
from mejiro_runtime.errors import ModelError
from mejiro_runtime.model import Model, open_model
from mejiro_runtime.preprocess import covered
from mejiro_runtime.types import Frame, PixelOrder


@pytest.fixture
def model(handmade) -> Model:
    return Model(handmade.card(), handmade.backend(), top=2)


@pytest.mark.parametrize(("colour", "label"), [("red", 0), ("green", 1), ("blue", 2)])
def test_a_frame_gets_its_label(model: Model, handmade, colour: str, label: int) -> None:
    result = model(handmade.frame(colour))
    assert result.top[0].label == handmade.labels[label]
    assert len(result.top) == 2
    assert result.top[0].score > result.top[1].score
    assert result.name == colour


def test_every_stage_is_timed(model: Model, handmade) -> None:
    frame = handmade.frame("red")._replace(captured_ns=0, capture_ns=123)
    timing = model(frame).timing
    assert timing.capture_ns == 123
    stages = (timing.preprocess_ns, timing.infer_ns, timing.postprocess_ns)
    assert all(value > 0 for value in stages)
    assert timing.frame_to_label_ns == sum(stages)
    assert timing.age_ns > sum(stages)  # captured at the clock's zero


def test_a_swapped_frame_gets_another_label(model: Model, handmade) -> None:
    frame = handmade.frame("red")
    swapped = Frame(frame.pixels, PixelOrder.RGB, 0, captured_ns=0, capture_ns=0)
    assert model(swapped).top[0].label.index == 2


def test_stages_can_be_taken_one_by_one(model: Model, handmade) -> None:
    frame = handmade.frame("green")
    tensor = model.preprocess(frame)
    assert tensor.shape == handmade.spec.shape
    raw = model.infer(tensor)
    assert raw.shape == (1, 3)
    np.testing.assert_array_equal(model.probabilities(raw), model.scores(frame))


def test_a_background_is_never_the_answer(handmade) -> None:
    card = replace(handmade.card(), output=OutputSpec(background=0))
    result = Model(card, handmade.backend())(handmade.frame("red"))
    assert [answer.label.index for answer in result.top] == [1, 2]


def test_a_result_is_one_json_object(model: Model, handmade) -> None:
    value = model(handmade.frame("blue", index=4)).to_json()
    assert value["frame"] == 4
    assert value["label"] == "目白"
    assert value["score"] == value["top"][0]["score"]
    assert {key for key in value if key.endswith("_ns")} == {
        "capture_ns",
        "preprocess_ns",
        "infer_ns",
        "postprocess_ns",
        "age_ns",
    }


def _with(backend: Any, **changes: Any) -> Any:
    for name, value in changes.items():
        setattr(backend, name, value)
    return backend


def test_a_file_has_the_input_that_its_card_promises(handmade) -> None:
    card, good = handmade.card(), handmade.backend().inputs[0]
    for wrong in (
        good._replace(shape=(1, 9, 8, 3)),
        good._replace(shape=(1, 3, 8, 8)),
        good._replace(shape=(-1, 8, 8, 3)),
        good._replace(dtype="float32"),
    ):
        with pytest.raises(ModelError, match=r"its card says uint8 \[1, 8, 8, 3\]"):
            Model(card, _with(handmade.backend(), inputs=(wrong,)))
    with pytest.raises(ModelError, match="has 2 inputs .*one is expected"):
        Model(card, _with(handmade.backend(), inputs=(good, good)))


@pytest.mark.parametrize("shape", [(1, 4), (2, 3), (), (3, 1, 0), (-1, 3), (1, 2)])
def test_a_file_has_a_score_for_each_label(handmade, shape: tuple[int, ...]) -> None:
    backend = _with(handmade.backend(), outputs=(TensorInfo("scores", shape, "float32"),))
    with pytest.raises(ModelError, match="scores for 3 labels"):
        Model(handmade.card(), backend)


def test_a_file_without_outputs_is_refused(handmade) -> None:
    with pytest.raises(ModelError, match="no outputs"):
        Model(handmade.card(), _with(handmade.backend(), outputs=()))


def with_features(handmade, tmp_path, weights: Any, *, shape: Any = (1, 2, 2, 5)) -> Model:
    """Return a model whose simulated engine gives features as well: 0, 1, 2 and so on."""
    backend = handmade.backend()
    backend.outputs = (*backend.outputs, TensorInfo("features", shape, "float32"))
    run = backend.run
    features = np.arange(20, dtype=np.float32).reshape(1, 2, 2, 5)
    backend.run = lambda count=1: (*run(), features)[:count]
    np.save(tmp_path / "head.npy", np.asarray(weights, dtype=np.float16))
    card = replace(handmade.card(), features=(2, 2, 5), head_sha256="0" * 64)
    return Model(card, backend, head=tmp_path / "head.npy")


def test_features_are_weighed_for_one_class(handmade, tmp_path) -> None:
    weights = np.arange(15).reshape(3, 5) / 4 - 1
    model = with_features(handmade, tmp_path, weights)
    model(handmade.frame("red"))
    with pytest.raises(ModelError, match="kept no features; convert it --with-features"):
        model.activation_map(0)
    model.keep_features = True
    result = model(handmade.frame("red"))
    heat = model.activation_map(2)
    assert heat.dtype == np.float32
    assert heat == pytest.approx(np.arange(20).reshape(2, 2, 5) @ weights[2], rel=1e-3)
    model.keep_features = False
    assert model(handmade.frame("red")).top == result.top
    with pytest.raises(ModelError, match="kept no features"):
        model.activation_map(0)


def test_a_result_brings_the_map_of_its_best_class_while_asked(handmade, tmp_path) -> None:
    weights = np.arange(15).reshape(3, 5) / 4 - 1
    model = with_features(handmade, tmp_path, weights)
    frame = handmade.frame("green", size=(30, 40))
    assert model(frame).heat is None
    model.explain_best = True
    assert model(frame).heat is None  # nothing was kept yet
    model.keep_features = True
    result = model(frame)
    assert result.heat is not None
    assert result.heat.label == result.top[0].label
    assert result.heat.values == pytest.approx(model.activation_map(result.top[0].label.index))
    # The crop's nine tenths of the shorter side, in the middle.
    assert result.heat.box == covered(model.card.input, 30, 40)
    assert 0 < result.heat.cost_ns <= result.timing.postprocess_ns
    assert "heat" not in result.to_json()
    model.explain_best = False
    assert model(frame).heat is None


def test_a_file_has_the_features_that_its_card_promises(handmade, tmp_path) -> None:
    with pytest.raises(ModelError, match="lacks the features of its card"):
        with_features(handmade, tmp_path, np.zeros((3, 5)), shape=(1, 5, 2, 2))
    card = replace(handmade.card(), features=(2, 2, 5), head_sha256="0" * 64)
    with pytest.raises(ModelError, match="lacks the features of its card"):
        Model(card, handmade.backend())


def test_a_file_without_features_has_no_map(model: Model, handmade) -> None:
    model.keep_features = True
    model(handmade.frame("red"))
    with pytest.raises(ModelError, match="kept no features"):
        model.activation_map(0)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: path.unlink(), "cannot be read"),
        (lambda path: path.write_bytes(b"no weights"), "cannot be read"),
        (lambda path: np.save(path, np.array([{}], dtype=object)), "cannot be read"),
        (lambda path: np.save(path, np.zeros((4, 5))), "weights of another head"),
    ],
)
def test_damaged_weights_are_refused(handmade, tmp_path, damage, message: str) -> None:
    model = with_features(handmade, tmp_path, np.zeros((3, 5)))
    model.keep_features = True
    model(handmade.frame("red"))
    damage(tmp_path / "head.npy")
    with pytest.raises(ModelError, match=message):
        model.activation_map(0)


def test_a_real_file_shows_where_a_colour_is(model_fixtures, real_format) -> None:
    path = model_fixtures / "features" / f"colours-int8.{real_format.value}"
    plain = model_fixtures / "models" / path.name
    pixels = np.full((60, 60, 3), (20, 20, 220), np.uint8)
    pixels[:, 30:] = (230, 60, 20)
    frame = Frame(pixels, PixelOrder.BGR, 0, captured_ns=0, capture_ns=0)
    with (
        open_model(path, read_card(path), threads=1) as model,
        open_model(plain, read_card(plain), threads=1) as other,
    ):
        model.keep_features = True
        np.testing.assert_allclose(model(frame).top[0].score, other(frame).top[0].score, atol=0.02)
        index = {label.short: label.index for label in model.card.labels}
        red, blue = (model.activation_map(index[name]) for name in ("red", "bleu céleste"))
        assert red.shape == model.card.features[:2]
        half = red.shape[1] // 2
        assert red[:, : half - 1].mean() > red[:, half + 1 :].mean()
        assert blue[:, : half - 1].mean() < blue[:, half + 1 :].mean()


def test_labels_are_needed(handmade) -> None:
    backend = handmade.backend(classes=0)
    with pytest.raises(ModelError, match="0 labels"):
        Model(handmade.card().with_labels(()), backend)


def test_an_engine_is_closed_when_its_file_is_refused(handmade, simulated_engine, tmp_path) -> None:
    card = handmade.card().with_labels(handmade.labels[:2])
    with pytest.raises(ModelError, match="scores for 2 labels"):
        open_model(tmp_path / "colours.tflite", card)
    assert [backend.closed for backend in simulated_engine] == [1]


def test_leaving_closes_the_engine(handmade, simulated_engine, tmp_path) -> None:
    with open_model(tmp_path / "colours.tflite", handmade.card(), threads=3) as model:
        assert model.info.threads == 3
        assert model.info.fallback is None
    assert [backend.closed for backend in simulated_engine] == [1]


@pytest.mark.parametrize("precision", ["int8", "fp32"])
def test_real_files_answer_as_their_names_promise(model_fixtures, real_format, precision) -> None:
    path = model_fixtures / "models" / f"colours-{precision}.{real_format.value}"
    with open_model(path, read_card(path), threads=1) as model:
        pixels = np.full((50, 60, 3), (20, 20, 220), np.uint8)
        pixels[::7, ::5] = (40, 60, 180)
        best = model(Frame(pixels, PixelOrder.BGR, 0, captured_ns=0, capture_ns=0)).top[0]
        assert best.label.short == "red"
        assert best.score > 0.5
        swapped = model(Frame(pixels, PixelOrder.RGB, 0, captured_ns=0, capture_ns=0)).top[0]
        assert swapped.label.short == "bleu céleste"


def test_an_integer_output_is_read_through_the_files_own_scale(model_fixtures) -> None:
    path = model_fixtures / "full-integer" / "colours-int8.tflite"
    card = read_card(path)
    from mejiro_runtime.backends import BACKENDS

    if not BACKENDS["litert"].load().installed():
        pytest.skip("no engine for .tflite files is installed here")
    plain = model_fixtures / "models" / "colours-int8.tflite"
    pixels = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    frame = Frame(pixels, PixelOrder.BGR, 0, captured_ns=0, capture_ns=0)
    with (
        open_model(path, card, threads=1) as integer,
        open_model(plain, read_card(plain), threads=1) as real,
    ):
        assert integer.backend.outputs[0].dtype == "uint8"
        np.testing.assert_allclose(integer.scores(frame), real.scores(frame), atol=1.5 / 256)

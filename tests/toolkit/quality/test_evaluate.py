"""Scores are counts of what the runtime answered, and say what they are counts of."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mejiro.data.folders import labelled_pictures
from mejiro.errors import DataError, QualityError
from mejiro.model import Artifact, Evaluation
from mejiro.quality.evaluate import EngineOptions, evaluate
from mejiro.tensorflow import load_keras
from mejiro_runtime.card import Scores
from mejiro_runtime.errors import BackendError, ModelError


def test_a_right_model_scores_all_and_a_swapped_one_only_what_stays(colour_model, colour_pictures):
    right, swapped = colour_model("right"), colour_model("swapped", order="bgr")
    pictures = labelled_pictures(colour_pictures(each=3), right.card.labels)
    good, bad = evaluate([right, swapped], pictures, data="colours", against=right)
    assert (good.top1, good.top5, good.agreement, good.pictures) == (1.0, 1.0, 1.0, 9)
    assert bad.top1 == pytest.approx(1 / 3)  # green is green either way
    assert bad.agreement == pytest.approx(1 / 3)
    assert bad.per_class == {0: (3, 0), 1: (3, 3), 2: (3, 0)}
    assert good.backend["engine"] == "onnxruntime"
    assert good.against == "right.onnx"


def test_unreadable_pictures_are_named_and_not_counted(colour_model, colour_pictures):
    folder = colour_pictures(each=2)
    (folder / "red" / "note.jpg").write_text("not a picture")
    (folder / "blue" / "empty.png").write_bytes(b"")
    artifact = colour_model()
    result = evaluate([artifact], labelled_pictures(folder, artifact.card.labels), data="c")[0]
    assert result.pictures == 6
    assert result.top1 == 1.0
    assert sorted(name.rsplit("/", 1)[1] for name in result.unreadable) == [
        "empty.png",
        "note.jpg",
    ]


def test_nothing_readable_is_an_error(colour_model, tmp_path):
    (tmp_path / "data" / "red").mkdir(parents=True)
    (tmp_path / "data" / "red" / "a.jpg").write_text("words")
    artifact = colour_model()
    pictures = labelled_pictures(tmp_path / "data", artifact.card.labels)
    with pytest.raises(DataError, match="none of the 1 pictures"):
        evaluate([artifact], pictures, data="data")
    with pytest.raises(DataError, match="holds no pictures"):
        evaluate([artifact], [], data="data")


def test_models_with_other_labels_are_not_compared(colour_model, colour_pictures):
    one, two = colour_model("one"), colour_model("two", labels=("a", "b", "c"))
    pictures = labelled_pictures(colour_pictures(each=1), one.card.labels)
    with pytest.raises(QualityError, match="different labels"):
        evaluate([one, two], pictures, data="c")
    with pytest.raises(QualityError, match="different labels"):
        evaluate([one], pictures, data="c", against=two)


def test_the_engine_asked_for_is_the_one_that_scores(colour_model, colour_pictures):
    artifact = colour_model()
    pictures = labelled_pictures(colour_pictures(each=1), artifact.card.labels)
    engine = EngineOptions(backend="onnxruntime:cuda")
    with pytest.raises(BackendError, match="CUDAExecutionProvider"):
        evaluate([artifact], pictures, data="c", engine=engine)
    engine = EngineOptions(backend="onnxruntime:cuda", allow_fallback=True, threads=1)
    result = evaluate([artifact], pictures, data="c", engine=engine)[0]
    assert "CUDAExecutionProvider" in result.backend["fallback"]
    assert result.backend["threads"] == 1


def test_progress_counts_every_picture(colour_model, colour_pictures):
    artifact = colour_model()
    pictures = labelled_pictures(colour_pictures(each=2), artifact.card.labels)
    seen: list[tuple[int, int]] = []
    evaluate([artifact], pictures, data="c", on_progress=lambda *at: seen.append(at))
    assert seen == [(n, 6) for n in range(1, 7)]


def test_an_evaluation_survives_its_card(colour_model, colour_pictures):
    artifact = colour_model()
    pictures = labelled_pictures(colour_pictures(each=1), artifact.card.labels)
    result = evaluate([artifact], pictures, data="c", against=artifact)[0]
    artifact.with_evaluation(result)
    kept = Artifact.open(artifact.path).card.evaluation
    assert Evaluation.from_json(kept) == result


def test_a_network_answers_as_its_export_does_whatever_the_number_of_pictures(
    colours, colour_pictures, colour_model
):
    artifact = colour_model("swapped", order="bgr")
    # 36 pictures: one whole batch, and a part of another.
    pictures = labelled_pictures(colour_pictures(each=12), colours.labels)
    network, swapped = evaluate([colours, artifact], pictures, data="c", against=colours)
    assert (network.pictures, network.top1, network.agreement) == (36, 1.0, 1.0)
    assert network.per_class == {0: (12, 12), 1: (12, 12), 2: (12, 12)}
    assert network.against == "model.keras"
    assert network.backend["name"] == "keras"
    assert swapped.agreement == pytest.approx(1 / 3)
    assert Evaluation.from_json(network.to_json()) == network


def test_a_network_with_logits_gives_the_same_answers(colours, colour_pictures):
    keras = load_keras()
    whole = colours.keras_model
    logits = keras.Model(whole.inputs, keras.ops.log(whole.outputs[0]))
    other = replace(colours, keras_model=logits, scores=Scores.LOGITS)
    pictures = labelled_pictures(colour_pictures(each=1), colours.labels)
    (result,) = evaluate([other], pictures, data="c", against=colours)
    assert (result.top1, result.agreement) == (1.0, 1.0)


def test_a_network_that_answers_with_no_number_is_an_error(colours, colour_pictures):
    keras = load_keras()
    whole = colours.keras_model
    broken = keras.Model(whole.inputs, whole.outputs[0] * float("nan"))
    pictures = labelled_pictures(colour_pictures(each=1), colours.labels)
    with pytest.raises(ModelError, match="not finite"):
        evaluate([replace(colours, keras_model=broken)], pictures, data="c")

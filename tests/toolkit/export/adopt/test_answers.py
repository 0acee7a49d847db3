from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mejiro.errors import DataError, UsageError
from mejiro.export.adopt.answers import fit_labels, scores_for
from mejiro.export.adopt.facts import ModelFacts, TensorFacts
from mejiro.export.adopt.hints import Background, Hints
from mejiro.export.adopt.trial import Trial
from mejiro_runtime.card import Format, Precision, Scores
from mejiro_runtime.errors import MejiroError, ModelError
from mejiro_runtime.preprocess import Quantization
from mejiro_runtime.types import Label


def make(*names: str) -> tuple[Label, ...]:
    return tuple(Label(index, name, f"s{index}") for index, name in enumerate(names))


def many(count: int, *first: str) -> tuple[Label, ...]:
    return make(*first, *(f"thing {index}" for index in range(count - len(first))))


def fit(
    labels: tuple[Label, ...], classes: int, hint: Background | None = None
) -> tuple[tuple[Label, ...], int | None]:
    fitted, background, _ = fit_labels(labels, classes, hint=hint, name="m.tflite")
    return fitted, background


def test_as_many_labels_as_classes_stay_as_they_are() -> None:
    assert fit(make("cat", "dog"), 2) == (make("cat", "dog"), None)


@pytest.mark.parametrize("name", ["background", "Background ", "__background__"])
def test_a_first_label_named_background_is_the_background(name: str) -> None:
    labels = make(name, "cat", "dog")
    assert fit(labels, 3) == (labels, 0)
    assert fit(labels, 3, Background.NONE) == (labels, None)


def test_a_background_of_another_name_can_be_given() -> None:
    assert fit(make("nothing", "cat"), 2, Background.FIRST) == (make("nothing", "cat"), 0)


def test_1000_labels_for_1001_classes_start_after_the_background() -> None:
    labels, background = fit(many(1000), 1001)
    assert background == 0
    assert [label.index for label in labels] == list(range(1001))
    assert [label.name for label in labels[:2]] == ["background", "thing 0"]
    assert labels[1].synset == "s0"


def test_one_label_too_few_otherwise_is_asked_about() -> None:
    with pytest.raises(UsageError, match="gives 4 scores, found 3 labels; give --background first"):
        fit(many(3), 4)
    labels, background = fit(many(3), 4, Background.FIRST)
    assert (len(labels), background, labels[0].name) == (4, 0, "background")


def test_a_background_label_without_a_class_is_dropped() -> None:
    labels, background = fit(many(1001, "background"), 1000)
    assert background is None
    assert [label.index for label in labels] == list(range(1000))
    assert labels[0].name == "thing 0"


@pytest.mark.parametrize(
    ("labels", "classes", "hint"),
    [
        (many(10), 1001, None),
        (many(1002), 1001, None),
        (many(1000), 1001, Background.NONE),
        (many(1000, "background"), 1001, None),
        (many(1001, "background"), 1000, Background.FIRST),
    ],
)
def test_labels_of_another_number_are_refused_with_both_numbers(
    labels: tuple[Label, ...], classes: int, hint: Background | None
) -> None:
    with pytest.raises(DataError, match=f"gives {classes} scores, found {len(labels)} labels"):
        fit(labels, classes, hint)


@given(
    st.integers(2, 12),
    st.lists(st.sampled_from(["background", "cat", "dog"]), min_size=1, max_size=14),
    st.sampled_from([None, *Background]),
)
def test_every_class_has_one_label_in_order_or_there_is_an_error(
    classes: int, names: list[str], hint: Background | None
) -> None:
    try:
        labels, background = fit(make(*names), classes, hint)
    except MejiroError:
        return
    assert [label.index for label in labels] == list(range(classes))
    assert background in {None, 0}
    assert (background == 0) <= (hint is not Background.NONE)


def facts(scores: Scores | None, last: str, quantization: Quantization | None = None) -> ModelFacts:
    return ModelFacts(
        name="m.onnx",
        format=Format.ONNX,
        data=b"",
        precision=Precision.FP32,
        inputs=(),
        outputs=(TensorFacts("scores", (1, 3), "float32", quantization),),
        operators=frozenset(),
        last_operator=last,
        scores=scores,
    )


def tried(*sums: float, lowest: float = 0.0, dtype: str = "float32") -> Trial:
    return Trial(shape=(1, 3), dtype=dtype, sums=sums, lowest=lowest, engine="test")


def test_the_last_operator_tells_what_scores_are() -> None:
    found = scores_for(facts(Scores.PROBABILITIES, "Softmax"), tried(1.0), Hints())
    assert found == (Scores.PROBABILITIES, "scores: probabilities, since the graph ends in Softmax")
    assert scores_for(facts(Scores.LOGITS, "Gemm"), tried(-3.0), Hints())[0] is Scores.LOGITS


def test_what_is_given_holds() -> None:
    hints = Hints(scores=Scores.LOGITS)
    assert scores_for(facts(Scores.PROBABILITIES, "Softmax"), tried(1.0), hints)[0] is Scores.LOGITS


def test_a_softmax_over_another_axis_is_found_out() -> None:
    with pytest.raises(ModelError, match="add up to 3 instead of 1"):
        scores_for(facts(Scores.PROBABILITIES, "Softmax"), tried(3.0, 3.0), Hints())


def test_few_integers_need_not_add_up_to_one() -> None:
    trial = tried(0.9, dtype="uint8")
    found = scores_for(facts(Scores.PROBABILITIES, "SOFTMAX"), trial, Hints())
    assert found[0] is Scores.PROBABILITIES


def test_scores_that_always_add_up_to_one_are_probabilities() -> None:
    assert scores_for(facts(None, "Div"), tried(1.0, 1.001), Hints())[0] is Scores.PROBABILITIES


def test_integers_that_cover_0_to_1_are_probabilities() -> None:
    given_scale = facts(None, "CUSTOM", Quantization(1 / 256, -128))
    found = scores_for(given_scale, tried(0.8, dtype="int8"), Hints())
    assert found[0] is Scores.PROBABILITIES


@pytest.mark.parametrize("trial", [tried(1.0, 1.5), tried(1.0, lowest=-0.5), tried(-3.0)])
def test_what_nothing_tells_is_asked(trial: Trial) -> None:
    with pytest.raises(UsageError, match="ends in Relu.*give --scores probabilities or --scores"):
        scores_for(facts(None, "Relu"), trial, Hints())

"""Outputs of any kind become probabilities, and the best classes come out first."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mejiro_runtime.card import ArtifactCard, Format, OutputSpec, Precision, Scores
from mejiro_runtime.errors import ModelError, UsageError
from mejiro_runtime.postprocess import ReadOptions, make_reader
from mejiro_runtime.postprocess.classification import read_scores, top_classes
from mejiro_runtime.preprocess import InputSpec, Quantization, TensorInfo
from mejiro_runtime.types import Label

PROBABILITIES = OutputSpec()
LOGITS = OutputSpec(scores=Scores.LOGITS)


def labels_for(scores: Any) -> tuple[Label, ...]:
    return tuple(Label(i, f"class {i}") for i in range(len(scores)))


# Few distinct values, so that equals are common.
SCORES = st.lists(
    st.sampled_from([0.0, 0.125, 0.25, 0.5, 1.0, -1.0]) | st.floats(-1e6, 1e6, width=32),
    min_size=1,
    max_size=40,
).map(lambda values: np.array(values, dtype=np.float32))


@given(scores=SCORES, count=st.integers(1, 50), data=st.data())
def test_the_best_are_those_of_a_plain_sort(scores, count, data) -> None:
    background = data.draw(st.none() | st.integers(0, len(scores) - 1))
    order = sorted(range(len(scores)), key=lambda index: (-scores[index], index))
    wanted = [index for index in order if index != background][:count]
    labels = labels_for(scores)
    before = scores.copy()
    top = top_classes(scores, labels, count=count, background=background)
    assert [answer.label.index for answer in top] == wanted
    assert [answer.score for answer in top] == [float(scores[index]) for index in wanted]
    assert all(type(answer.score) is float for answer in top)
    np.testing.assert_array_equal(scores, before)


def test_a_background_alone_leaves_no_answer() -> None:
    assert top_classes(np.ones(1, np.float32), labels_for([0]), background=0) == ()


@given(
    dtype=st.sampled_from(["uint8", "int8", "int16", "int32"]),
    values=st.lists(st.integers(0, 127), min_size=1, max_size=20),
    scale=st.floats(1e-6, 10),
    zero_point=st.integers(-128, 255),
)
def test_integers_are_read_through_their_scale(dtype, values, scale, zero_point) -> None:
    raw = np.array([values], dtype=dtype)
    before = raw.copy()
    scores = read_scores(raw, PROBABILITIES, Quantization(scale, zero_point))
    assert scores.dtype == np.float32
    assert scores.shape == (len(values),)
    wanted = (raw[0].astype(np.float32) - np.float32(zero_point)) * np.float32(scale)
    np.testing.assert_array_equal(scores, wanted)
    np.testing.assert_array_equal(raw, before)


def test_256_steps_are_all_told_apart() -> None:
    raw = np.arange(256, dtype=np.uint8)[None]
    scores = read_scores(raw, PROBABILITIES, Quantization(1 / 256, 0))
    np.testing.assert_array_equal(scores * 256, np.arange(256))
    signed = np.arange(-128, 128, dtype=np.int8)[None]
    np.testing.assert_array_equal(
        read_scores(signed, PROBABILITIES, Quantization(1 / 256, -128)), scores
    )


def test_an_integer_output_needs_its_scale() -> None:
    with pytest.raises(ModelError, match="uint8 output states no scale"):
        read_scores(np.zeros((1, 3), np.uint8), PROBABILITIES, None)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("shape", [(1, 4), (4,), (1, 4, 1, 1)])
def test_floats_pass_as_they_are(dtype: str, shape: tuple[int, ...]) -> None:
    raw = np.array([0.125, 0.5, 0.25, 0.125], dtype=dtype).reshape(shape)
    scores = read_scores(raw, PROBABILITIES, None)
    assert scores.dtype == np.float32
    np.testing.assert_array_equal(scores, [0.125, 0.5, 0.25, 0.125])


@given(st.lists(st.floats(-1e4, 1e4, width=32), min_size=1, max_size=30))
def test_logits_become_probabilities(values: list[float]) -> None:
    raw = np.array([values], dtype=np.float32)
    scores = read_scores(raw, LOGITS, None)
    assert scores.dtype == np.float32
    assert abs(float(scores.sum()) - 1) < 1e-5
    assert (scores >= 0).all()
    real = np.exp(np.array(values) - max(values))
    np.testing.assert_allclose(scores, real / real.sum(), atol=2e-5)


def test_large_logits_do_not_overflow() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scores = read_scores(np.array([[3e38, -3e38, 3e38]], np.float32), LOGITS, None)
    np.testing.assert_array_equal(scores, [0.5, 0.0, 0.5])


@pytest.mark.parametrize("spec", [PROBABILITIES, LOGITS], ids=["probabilities", "logits"])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", [0, 7, 999])
def test_what_is_not_finite_is_refused_without_a_warning(spec, bad, place) -> None:
    raw = np.full((1, 1000), 0.001, np.float32)
    raw[0, place] = bad
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ModelError, match="not finite"):
            read_scores(raw, spec, None)


def reader(**options: Any) -> Any:
    """Return a reader of three classes, and options of its answers."""
    card = ArtifactCard(
        file="m.tflite",
        format=Format.TFLITE,
        precision=Precision.FP32,
        input=InputSpec(8, 8),
        output=PROBABILITIES,
        size_bytes=1,
        sha256="0",
        labels=labels_for(range(3)),
    )
    return make_reader(card, (TensorInfo("scores", (1, 3), "float32"),), ReadOptions(**options))


def seen(one: Any, *scores: float) -> list[tuple[int, float]]:
    top, boxes, mask = one.read((np.array([scores], np.float32),), 10, 10)
    assert boxes is None
    assert mask is None
    return [(answer.label.index, round(answer.score, 6)) for answer in top]


def test_what_scores_below_the_threshold_is_left_out() -> None:
    assert seen(reader(threshold=0.25), 0.25, 0.6, 0.15) == [(1, 0.6), (0, 0.25)]
    assert seen(reader(threshold=0.7), 0.25, 0.6, 0.15) == []
    assert len(seen(reader(), 0.25, 0.6, 0.15)) == 3


def test_smoothing_forgets_half_in_its_half_life() -> None:
    one = reader(smooth=2)
    assert one.remembers
    assert dict(seen(one, 1, 0, 0))[0] == 1
    assert dict(seen(one, 0, 1, 0))[0] == pytest.approx(0.5**0.5, abs=1e-6)
    assert dict(seen(one, 0, 1, 0)) == pytest.approx({0: 0.5, 1: 0.5, 2: 0}, abs=1e-6)
    one.reset()
    assert dict(seen(one, 0, 0, 1))[2] == 1
    assert not reader().remembers


@given(st.lists(st.tuples(*[st.floats(0, 1, width=32)] * 3), min_size=1, max_size=12))
def test_smoothed_scores_stay_among_those_that_were(rows: list[tuple[float, ...]]) -> None:
    one = reader(smooth=3.5)
    for row in rows:
        found = dict(seen(one, *row))
    for index in range(3):
        column = [row[index] for row in rows]
        assert min(column) - 1e-5 <= found[index] <= max(column) + 1e-5


@pytest.mark.parametrize("smooth", [0, -1, float("nan"), 1e9])
def test_a_half_life_is_a_number_of_frames(smooth: float) -> None:
    with pytest.raises(UsageError, match="--smooth must be a number of frames"):
        reader(smooth=smooth)

"""Check the metrics against counts by hand, scikit-learn, and what has to hold for any answers."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest
from sklearn import metrics as sk

from mejiro.errors import DataError
from mejiro.train.metrics import (
    BINS,
    ClassMetrics,
    calibration_error,
    classification_metrics,
    confidence_bins,
    wilson_interval,
)
from mejiro_runtime.types import Label

Array = np.ndarray[Any, Any]


def labels(count: int) -> tuple[Label, ...]:
    return tuple(Label(index, f"class {index}") for index in range(count))


def answers(seed: int, pictures: int, classes: int) -> tuple[Array, Array]:
    """Return probabilities that are often right, and truths among which a class may be absent."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, classes, pictures).astype(np.int32)
    logits = rng.normal(0, 1.5, (pictures, classes))
    logits[np.arange(pictures), truth] += rng.normal(1.5, 1, pictures)
    wide = np.exp(logits - logits.max(axis=1, keepdims=True))
    return (wide / wide.sum(axis=1, keepdims=True)).astype(np.float32), truth


def test_a_case_counted_by_hand() -> None:
    shares = np.array([[0.9, 0.1, 0], [0.6, 0.4, 0], [0.2, 0.8, 0], [0.3, 0.7, 0]], np.float32)
    found = classification_metrics(shares, np.array([0, 1, 1, 1]), labels(3))
    assert (found.pictures, found.right, found.accuracy) == (4, 3, 0.75)
    assert found.confusion.tolist() == [[1, 0, 0], [1, 2, 0], [0, 0, 0]]
    assert found.per_class[0] == ClassMetrics(Label(0, "class 0"), pictures=1, answered=2, right=1)
    assert [one.precision for one in found.per_class] == [0.5, 1.0, None]
    assert [one.recall for one in found.per_class] == [1.0, pytest.approx(2 / 3), None]
    assert [one.f1 for one in found.per_class] == [pytest.approx(2 / 3), pytest.approx(0.8), None]
    # The class without pictures has no part in the averages.
    assert found.macro_precision == pytest.approx(0.75)
    assert found.macro_recall == pytest.approx(5 / 6)
    assert found.loss == pytest.approx(-np.log([0.9, 0.4, 0.8, 0.7]).mean(), rel=1e-6)
    assert found.top5 is None
    assert [(pair.truth, pair.answer, pair.pictures) for pair in found.confused()] == [(1, 0, 1)]


@settings(max_examples=25)
@given(st.integers(0, 2**32 - 1), st.integers(1, 60), st.integers(2, 9))
def test_scikit_learn_finds_the_same(seed: int, pictures: int, classes: int) -> None:
    shares, truth = answers(seed, pictures, classes)
    found = classification_metrics(shares, truth, labels(classes))
    named, every = shares.argmax(axis=1), list(range(classes))
    assert found.accuracy == pytest.approx(sk.accuracy_score(truth, named))
    assert (found.confusion == sk.confusion_matrix(truth, named, labels=every)).all()
    assert found.loss == pytest.approx(sk.log_loss(truth, shares, labels=every), rel=1e-4)
    precision, recall, f1, support = sk.precision_recall_fscore_support(
        truth, named, labels=every, zero_division=0
    )
    assert [one.precision or 0 for one in found.per_class] == pytest.approx(precision.tolist())
    assert [one.recall or 0 for one in found.per_class] == pytest.approx(recall.tolist())
    assert [one.f1 or 0 for one in found.per_class] == pytest.approx(f1.tolist())
    seen = support > 0
    assert found.macro_precision == pytest.approx(precision[seen].mean())
    assert found.macro_recall == pytest.approx(recall[seen].mean())
    assert found.macro_f1 == pytest.approx(f1[seen].mean())
    if classes > 5:
        top = sk.top_k_accuracy_score(truth, shares, k=5, labels=every)
        assert found.top5 == pytest.approx(top)


def test_of_equals_the_lower_index_is_the_answer() -> None:
    found = classification_metrics(np.full((7, 7), 1 / 7), np.arange(7), labels(7))
    assert found.accuracy == pytest.approx(1 / 7)
    assert found.top5 == pytest.approx(5 / 7)


def test_the_calibration_error_is_that_of_guo_et_al() -> None:
    # Eight answers at 0.75 of which six are right, two at 0.95 of which one is.
    confidence = np.array([0.75] * 8 + [0.95] * 2)
    right = np.array([True] * 6 + [False] * 2 + [True, False])
    bins = confidence_bins(confidence, right, count=10)
    assert calibration_error(bins) == pytest.approx((8 * 0 + 2 * 0.45) / 10)
    assert [(one.low, one.pictures) for one in bins if one.pictures] == [(0.7, 8), (0.9, 2)]


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=80))
def test_bins_hold_every_picture_once_between_their_edges(pairs: list[tuple[float, bool]]) -> None:
    confidence, right = (np.array(values) for values in zip(*pairs, strict=True))
    bins = confidence_bins(confidence, right)
    assert len(bins) == BINS
    assert sum(one.pictures for one in bins) == len(pairs)
    for one in bins:
        if one.confidence is not None:
            assert one.low - 1e-9 <= one.confidence <= one.high + 1e-9
    assert 0 <= calibration_error(bins) <= 1
    gap = abs(confidence.mean() - right.mean())
    assert calibration_error(bins) >= gap - 1e-9


def test_an_edge_belongs_to_the_bin_below_it() -> None:
    bins = confidence_bins(np.array([0.0, 0.5, 1.0]), np.array([True] * 3), count=2)
    assert [one.pictures for one in bins] == [2, 1]


@given(st.integers(1, 5000), st.data())
def test_intervals_are_wilson_s(pictures: int, data: st.DataObject) -> None:
    right = data.draw(st.integers(0, pictures))
    expected = binomtest(right, pictures).proportion_ci(0.95, method="wilson")
    assert wilson_interval(right, pictures) == pytest.approx(tuple(expected), abs=1e-12)


@given(st.integers(0, 2**32 - 1), st.integers(1, 40), st.integers(2, 8))
def test_the_json_is_plain_and_counts_every_picture(seed: int, pictures: int, classes: int) -> None:
    shares, truth = answers(seed, pictures, classes)
    found = classification_metrics(shares, truth, labels(classes))
    value = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert len(value["per_class"]) == classes
    assert sum(sum(row.values()) for row in value["confusion"].values()) == pictures
    assert sum(one["pictures"] for one in value["calibration"]) == pictures
    low, high = value["accuracy_interval_95"]
    assert low <= value["accuracy"] <= high


def test_the_most_confused_pairs_come_first() -> None:
    truth = np.array([0, 0, 0, 1, 2, 2])
    named = np.array([1, 1, 0, 2, 0, 0])
    found = classification_metrics(np.eye(3)[named], truth, labels(3)).confused()
    assert [(one.truth, one.answer, one.pictures) for one in found] == [
        (0, 1, 2),
        (2, 0, 2),
        (1, 2, 1),
    ]


@pytest.mark.parametrize(
    ("shares", "truth", "message"),
    [
        (np.ones((2, 3)) / 3, np.array([0, 1]), r"shaped \(pictures, 2\) for 2 labels"),
        (np.ones((2, 2)) / 2, np.array([0]), "truths of 2 pictures"),
        (np.ones((2, 2)) / 2, np.array([0.0, 1.0]), "float64"),
        (np.ones((0, 2)), np.array([], np.int64), "no pictures"),
        (np.ones((2, 2)) / 2, np.array([0, 2]), "0 to 1 for 2 labels, found 0 to 2"),
        (np.array([[np.nan, 1.0]]), np.array([0]), "not finite"),
        (np.array([[3.0, 1.0]]), np.array([0]), "add up to 1, found 4 to 4"),
    ],
)
def test_what_does_not_fit_is_refused(shares: Array, truth: Array, message: str) -> None:
    with pytest.raises(DataError, match=message):
        classification_metrics(shares, truth, labels(2))


def test_a_probability_of_nought_costs_much_but_is_finite() -> None:
    found = classification_metrics(np.array([[1.0, 0.0]]), np.array([1]), labels(2))
    assert 80 < found.loss < 100

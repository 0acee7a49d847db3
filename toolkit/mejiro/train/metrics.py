"""Measure a classifier's answers: accuracy, confusion, precision and recall, calibration."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from typing import TYPE_CHECKING, Any

import numpy as np

from mejiro.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mejiro_runtime.types import Label

TOP = 5
BINS = 15  # as many as Guo et al. use
# The standard normal quantile of a two-sided interval of 95%.
_Z95 = 1.959963984540054
# Probabilities come as float32, from softmax or from tensors of 8 bits.
_SUM_TOLERANCE = 0.02
_SMALLEST = float(np.finfo(np.float32).tiny)


@dataclass(frozen=True)
class ClassMetrics:
    """Hold what one class earned: `pictures` show it, `answered` were taken for it, `right` both.

    A share (0..1) whose denominator is nought has no value, and is None.
    """

    label: Label
    pictures: int
    answered: int
    right: int

    @property
    def precision(self) -> float | None:
        """The share of the answers that were right."""
        return self.right / self.answered if self.answered else None

    @property
    def recall(self) -> float | None:
        """The share of the pictures that were found."""
        return self.right / self.pictures if self.pictures else None

    @property
    def f1(self) -> float | None:
        """The harmonic mean of precision and recall; 0 if one of the two is."""
        both = self.pictures + self.answered
        return 2 * self.right / both if both else None

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "label": self.label.name,
            "synset": self.label.synset,
            "pictures": self.pictures,
            "answered": self.answered,
            "right": self.right,
            "precision": self.precision,
            "recall": self.recall,
            "f1": self.f1,
        }


@dataclass(frozen=True)
class ConfidenceBin:
    """Hold the pictures whose best probability lies in (low, high].

    `confidence` is its mean and `accuracy` the share answered rightly; None if there are none.
    """

    low: float
    high: float
    pictures: int
    confidence: float | None
    accuracy: float | None

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "low": self.low,
            "high": self.high,
            "pictures": self.pictures,
            "confidence": self.confidence,
            "accuracy": self.accuracy,
        }


@dataclass(frozen=True)
class Confusion:
    """Count the pictures of `truth` that were taken for `answer`; both are class indices."""

    truth: int
    answer: int
    pictures: int


@dataclass(frozen=True, eq=False)
class Metrics:
    """Hold what was measured on labelled pictures; shares lie in 0..1.

    `interval` is the 95% interval of `accuracy`. `top5` is None where there are no more than 5
    classes, since it would always be 1. `confusion` is int64 (classes, classes): rows are
    truths, columns answers. The macro averages give each class that has pictures the same
    weight; a class that was never answered counts with a precision of 0. `loss` is the mean
    negative log likelihood in nats, `confidence` the mean of the best probability.
    """

    pictures: int
    accuracy: float
    interval: tuple[float, float]
    top5: float | None
    macro_precision: float
    macro_recall: float
    macro_f1: float
    loss: float
    confidence: float
    calibration_error: float
    per_class: tuple[ClassMetrics, ...]
    confusion: NDArray[np.int64]
    bins: tuple[ConfidenceBin, ...]

    @property
    def right(self) -> int:
        """The number of pictures that were answered rightly."""
        return sum(one.right for one in self.per_class)

    def confused(self) -> list[Confusion]:
        """Return the pairs of classes that were taken for one another, most pictures first."""
        apart = self.confusion.copy()
        np.fill_diagonal(apart, 0)
        found = [
            Confusion(int(truth), int(answer), int(apart[truth, answer]))
            for truth, answer in zip(*np.nonzero(apart), strict=True)
        ]
        return sorted(found, key=lambda pair: (-pair.pictures, pair.truth, pair.answer))

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values.

        `confusion` maps the index of a truth to that of an answer to a number of pictures, and
        leaves out what is 0: of many classes most pairs never meet.
        """
        return {
            "pictures": self.pictures,
            "right": self.right,
            "accuracy": self.accuracy,
            "accuracy_interval_95": list(self.interval),
            "top5": self.top5,
            "macro_precision": self.macro_precision,
            "macro_recall": self.macro_recall,
            "macro_f1": self.macro_f1,
            "loss": self.loss,
            "confidence": self.confidence,
            "calibration_error": self.calibration_error,
            "per_class": [one.to_json() for one in self.per_class],
            "confusion": {
                str(truth): {str(answer): int(row[answer]) for answer in np.nonzero(row)[0]}
                for truth, row in enumerate(self.confusion)
                if row.any()
            },
            "calibration": [one.to_json() for one in self.bins],
        }


def classification_metrics(
    probabilities: NDArray[np.floating[Any]],
    truth: NDArray[np.integer[Any]],
    labels: Sequence[Label],
) -> Metrics:
    """Return what `probabilities` (N, C), each row of which adds up to 1, are worth.

    `truth` (N,) holds the indices of the right classes, `labels` names all C. The answer is the
    most probable class, of equals the one with the lower index, as it is on a device. Raises
    DataError if the three do not fit together or hold no picture.
    """
    shares, right_answers = _checked(probabilities, truth, len(labels))
    answers = shares.argmax(axis=1)
    best = shares[np.arange(len(shares)), answers]
    right = answers == right_answers
    given = shares[np.arange(len(shares)), right_answers]
    confusion = np.zeros((len(labels), len(labels)), dtype=np.int64)
    np.add.at(confusion, (right_answers, answers), 1)
    per_class = tuple(
        ClassMetrics(
            label,
            pictures=int(confusion[index].sum()),
            answered=int(confusion[:, index].sum()),
            right=int(confusion[index, index]),
        )
        for index, label in enumerate(labels)
    )
    seen = [one for one in per_class if one.pictures]
    bins = confidence_bins(best, right)
    return Metrics(
        pictures=len(shares),
        accuracy=float(right.mean()),
        interval=wilson_interval(int(right.sum()), len(shares)),
        top5=None if len(labels) <= TOP else float((_ranks(shares, right_answers) < TOP).mean()),
        macro_precision=float(np.mean([one.precision or 0.0 for one in seen])),
        macro_recall=float(np.mean([one.recall or 0.0 for one in seen])),
        macro_f1=float(np.mean([one.f1 or 0.0 for one in seen])),
        loss=float(-np.log(np.maximum(given, _SMALLEST)).mean()),
        confidence=float(best.mean()),
        calibration_error=calibration_error(bins),
        per_class=per_class,
        confusion=confusion,
        bins=bins,
    )


def confidence_bins(
    confidence: NDArray[np.float64], right: NDArray[np.bool_], *, count: int = BINS
) -> tuple[ConfidenceBin, ...]:
    """Return `count` bins of equal width over 0..1 that hold all pictures, the empty ones too.

    `confidence` (N,) is the probability of each answer, `right` (N,) whether it was right.
    """
    places = np.clip(np.ceil(confidence * count).astype(np.int64) - 1, 0, count - 1)
    found = []
    for place in range(count):
        inside = places == place
        pictures = int(inside.sum())
        found.append(
            ConfidenceBin(
                low=place / count,
                high=(place + 1) / count,
                pictures=pictures,
                confidence=float(confidence[inside].mean()) if pictures else None,
                accuracy=float(right[inside].mean()) if pictures else None,
            )
        )
    return tuple(found)


def calibration_error(bins: Sequence[ConfidenceBin]) -> float:
    """Return the expected calibration error (ECE), in 0..1.

    It is the mean over all pictures of how far their bin's accuracy lies from its confidence.
    Source: Guo, Pleiss, Sun, Weinberger, "On Calibration of Modern Neural Networks", ICML 2017.
    """
    pictures = sum(one.pictures for one in bins)
    apart = sum(
        one.pictures * abs(one.accuracy - one.confidence)
        for one in bins
        if one.accuracy is not None and one.confidence is not None
    )
    return apart / pictures if pictures else 0.0


def wilson_interval(right: int, pictures: int) -> tuple[float, float]:
    """Return the 95% interval of a share, of which `right` of `pictures` are an estimate.

    Source: Wilson, "Probable Inference, the Law of Succession, and Statistical Inference", 1927.
    It holds for few pictures and for shares near 0 and 1, where the normal one does not.
    """
    share, square = right / pictures, _Z95 * _Z95
    middle = (share + square / (2 * pictures)) / (1 + square / pictures)
    spread = sqrt(share * (1 - share) / pictures + square / (4 * pictures * pictures))
    half = _Z95 * spread / (1 + square / pictures)
    # Rounding may put a limit of 0 or 1 on the wrong side of the share itself.
    return max(0.0, min(share, middle - half)), min(1.0, max(share, middle + half))


def _ranks(shares: NDArray[np.float64], truth: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the place (0 is the first) that each picture's truth has among its answers."""
    rows = np.arange(len(shares))
    given = shares[rows, truth][:, None]
    before = np.arange(shares.shape[1])[None, :] < truth[:, None]
    ranks: NDArray[np.int64] = ((shares > given) | ((shares == given) & before)).sum(axis=1)
    return ranks


def _checked(
    probabilities: NDArray[Any], truth: NDArray[Any], classes: int
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return both arrays as float64 and int64 if they fit together, else raise DataError."""
    if probabilities.ndim != 2 or probabilities.shape[1] != classes:
        raise DataError(
            f"probabilities are shaped (pictures, {classes}) for {classes} labels, found "
            f"{probabilities.shape}"
        )
    if truth.shape != (len(probabilities),) or truth.dtype.kind not in "iu":
        raise DataError(
            f"the truths of {len(probabilities)} pictures are as many indices, found "
            f"{truth.dtype} {truth.shape}"
        )
    if not len(truth):
        raise DataError("there are no pictures to measure on; give at least one")
    if truth.min() < 0 or truth.max() >= classes:
        raise DataError(
            f"truths are 0 to {classes - 1} for {classes} labels, found {truth.min()} to "
            f"{truth.max()}"
        )
    shares = probabilities.astype(np.float64)
    if not np.isfinite(shares).all() or shares.min() < 0:
        raise DataError("the probabilities hold values that are negative or not finite")
    sums = shares.sum(axis=1)
    if np.abs(sums - 1).max() > _SUM_TOLERANCE:
        raise DataError(
            f"the probabilities of a picture add up to 1, found {sums.min():.3g} to "
            f"{sums.max():.3g}; pass logits through a softmax first"
        )
    return shares, truth.astype(np.int64)

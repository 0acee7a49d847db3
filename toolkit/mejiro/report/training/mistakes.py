"""Show the answers that were most surely wrong, as pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mejiro.report.pictures import crop_to, data_uri
from mejiro.report.training.run_files import Predictions
from mejiro_runtime.errors import SourceError
from mejiro_runtime.files import sha256_of
from mejiro_runtime.sources.pictures import read_picture
from mejiro_runtime.types import Label

SIDE = 320


@dataclass(frozen=True)
class Mistake:
    """Hold one wrong answer. `confidence` is its probability, `given_truth` that of the truth."""

    path: Path
    truth: Label
    answer: Label
    confidence: float
    given_truth: float

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "path": str(self.path),
            "truth": self.truth.name,
            "answer": self.answer.name,
            "confidence": self.confidence,
            "given_truth": self.given_truth,
        }


@dataclass(frozen=True)
class Thumbnail:
    """Hold a small picture as a data: address, or in `problem` why there is none."""

    image: str = ""
    problem: str = ""


def worst_mistakes(
    predictions: Predictions, labels: Sequence[Label], *, count: int
) -> list[Mistake]:
    """Return the `count` wrong answers of the highest probability, the surest first."""
    answers = predictions.probabilities.argmax(axis=1)
    rows = np.arange(len(answers))
    confidence = predictions.probabilities[rows, answers]
    wrong = np.nonzero(answers != predictions.truth)[0]
    # By path where two are as sure, so that the same run gives the same page.
    order = sorted(wrong, key=lambda row: (-confidence[row], str(predictions.paths[row])))
    return [
        Mistake(
            path=predictions.paths[row],
            truth=labels[predictions.truth[row]],
            answer=labels[answers[row]],
            confidence=float(confidence[row]),
            given_truth=float(predictions.probabilities[row, predictions.truth[row]]),
        )
        for row in order[:count]
    ]


def thumbnail(path: Path, hashes: Mapping[Path, str]) -> Thumbnail:
    """Return the middle of the picture at `path`, if it is still the one that the run used.

    `hashes` holds the SHA-256 of each picture of the run.
    """
    if not path.is_file():
        return Thumbnail(problem="no longer there")
    try:
        if sha256_of(path) != hashes.get(path):
            return Thumbnail(problem="another picture by now")
        return Thumbnail(image=data_uri(crop_to(read_picture(path), SIDE, SIDE)))
    except (OSError, SourceError):
        return Thumbnail(problem="no longer readable")

"""Check that the worst mistakes are shown as the pictures that the run saw, or not at all."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from mejiro.report.training.mistakes import thumbnail, worst_mistakes
from mejiro.report.training.run_files import Predictions
from mejiro_runtime.files import sha256_of
from mejiro_runtime.types import Label

LABELS = (Label(0, "ant"), Label(1, "bee"))


def test_the_surest_wrong_answers_come_first() -> None:
    shares = np.array([[0.9, 0.1], [0.4, 0.6], [0.2, 0.8], [0.3, 0.7]], np.float32)
    paths = tuple(Path(name) for name in "abcd")
    found = worst_mistakes(Predictions(shares, np.array([0, 0, 0, 1]), paths), LABELS, count=9)
    assert [(one.path.name, one.truth.name, one.answer.name) for one in found] == [
        ("c", "ant", "bee"),
        ("b", "ant", "bee"),
    ]
    assert (round(found[0].confidence, 3), round(found[0].given_truth, 3)) == (0.8, 0.2)


def test_no_more_than_asked_and_in_one_order() -> None:
    shares = np.tile(np.array([[0.1, 0.9]], np.float32), (5, 1))
    paths = tuple(Path(name) for name in "edcba")
    found = worst_mistakes(Predictions(shares, np.zeros(5, int), paths), LABELS, count=2)
    assert [one.path.name for one in found] == ["a", "b"]


def test_a_picture_is_shown_only_while_it_is_the_same(tmp_path: Path) -> None:
    path = tmp_path / "ant.png"
    cv2.imwrite(str(path), np.full((30, 40, 3), 90, np.uint8))
    hashes = {path: sha256_of(path)}
    assert thumbnail(path, hashes).image.startswith("data:image/jpeg;base64,")
    assert thumbnail(path, {}).problem == "another picture by now"
    cv2.imwrite(str(path), np.full((30, 40, 3), 91, np.uint8))
    assert thumbnail(path, hashes).problem == "another picture by now"
    path.unlink()
    assert thumbnail(path, hashes).problem == "no longer there"
    path.write_text("words")
    assert thumbnail(path, {path: sha256_of(path)}).problem == "no longer readable"

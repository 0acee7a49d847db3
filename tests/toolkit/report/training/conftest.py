"""Make the folders of training runs by hand: as a run leaves them, with no training."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from mejiro.data.notes import DatasetNotes
from mejiro_runtime.files import sha256_of, write_json
from mejiro_runtime.preprocess import InputSpec, TensorType

MakeRun = Callable[..., Path]

EPOCHS = (
    ("frozen", 0.5, 1e-3, 0.9, 0.60, 0.7, 0.70),
    ("frozen", 0.4, 1e-3, 0.6, 0.75, 0.5, 0.80),
    ("fine-tuning", 4.0, 1e-5, 0.4, 0.85, 0.3, 0.90),
    ("fine-tuning", 4.1, 1e-6, 0.3, 0.88, 0.4, 0.85),
)
COLUMNS = ("phase", "epoch", "seconds", "rate", "loss", "accuracy", "val_loss", "val_accuracy")


def write_history(path: Path, epochs: Sequence[Sequence[Any]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as stream:
        rows = csv.writer(stream)
        rows.writerow(COLUMNS)
        for number, (phase, *measures) in enumerate(epochs, start=1):
            rows.writerow([phase, number, *measures])


def probabilities(truth: np.ndarray, answers: np.ndarray, classes: int) -> np.ndarray:
    """Return one row a picture: most of it for the answer, a tenth for the truth."""
    shares = np.full((len(truth), classes), 0.02, np.float32)
    rows = np.arange(len(truth))
    shares[rows, truth] += 0.1
    shares[rows, answers] += np.linspace(0.5, 5, len(truth), dtype=np.float32)
    shares /= shares.sum(axis=1, keepdims=True)
    return shares


@pytest.fixture
def make_run(tmp_path: Path) -> MakeRun:
    """Return a function that makes a run's folder: `wrong` validation pictures of each class.

    Class i is taken for class i + 1. The pictures are a colour each, 24 x 16, in `pictures`.
    """

    def make(
        *,
        names: Sequence[str] = ("daisy", "rose", "tulip"),
        train: int = 5,
        val: int = 4,
        wrong: int = 1,
        epochs: Sequence[Sequence[Any]] = EPOCHS,
        kept: int | None = 3,
        notes: DatasetNotes | None = None,
        settings: dict[str, Any] | None = None,
    ) -> Path:
        run, pictures = tmp_path / "run", tmp_path / "pictures"
        sides: dict[str, list[dict[str, Any]]] = {"train": [], "val": []}
        for index, name in enumerate(names):
            (pictures / name).mkdir(parents=True)
            for number in range(train + val):
                path = pictures / name / f"{number}.png"
                # The first pixel tells a picture's class, the second its number.
                pixels = np.full((16, 24, 3), 40 + 10 * (index % 20), np.uint8)
                pixels[0, 0], pixels[0, 1] = index, number
                assert cv2.imwrite(str(path), pixels)
                entry = {"path": str(path), "sha256": sha256_of(path), "label": index}
                sides["train" if number < train else "val"].append(entry)
        truth = np.repeat(np.arange(len(names), dtype=np.int32), val)
        answers = truth.copy().reshape(len(names), val)
        answers[:, :wrong] = (answers[:, :wrong] + 1) % len(names)
        (run / "model").mkdir(parents=True)
        np.savez(
            run / "predictions.npz",
            probabilities=probabilities(truth, answers.ravel(), len(names)),
            truth=truth,
            paths=np.array([entry["path"] for entry in sides["val"]]),
        )
        write_history(run / "history.csv", epochs)
        write_json(run / "split.json", {"data": "flowers", **sides})
        write_json(run / "dataset.json", {"notes": (notes or DatasetNotes()).to_json()})
        write_json(run / "settings.json", settings or {"model": "tiny", "seed": 7})
        spec = InputSpec(16, 16, scale=(1 / 128,), offset=(-1.0,), dtype=TensorType.FLOAT32)
        card = {
            "schema": 1,
            "name": "tiny",
            "sha256": "5" * 64,
            "input": spec.to_json(),
            "scores": "probabilities",
            "labels": [{"name": name, "synset": ""} for name in names],
            "lineage": {
                "weights": {"summary": "random, seed 7"},
                "made_with": {"mejiro": "0.1.0", "keras": "9.8.7"},
                "trained": {"kept_epoch": kept},
            },
        }
        write_json(run / "model" / "model.json", card)
        return run

    return make

"""Make a network that tells colours, and the folder of a run that could have trained it."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mejiro.data.notes import DatasetNotes
from mejiro.model import FloatModel
from mejiro.tensorflow import load_keras
from mejiro.zoo import save_float_model
from mejiro_runtime.card import Scores
from mejiro_runtime.files import sha256_of, write_json
from mejiro_runtime.preprocess import InputSpec, TensorType
from mejiro_runtime.types import Label

MakeColourRun = Callable[[Path], Path]


@pytest.fixture(scope="session")
def colours() -> FloatModel:
    """Return a network that tells red, green and blue by their means."""
    keras = load_keras()
    pixels = keras.Input((16, 16, 3))
    seen = keras.layers.Conv2D(3, 3, padding="same", use_bias=False, name="look")(pixels)
    means = keras.layers.GlobalAveragePooling2D()(seen)
    scores = keras.layers.Dense(3, activation="softmax", name="tell")(means)
    model = keras.Model(pixels, scores)
    centre = np.zeros((3, 3, 3, 3), np.float32)
    centre[1, 1] = np.eye(3)
    model.get_layer("look").set_weights([centre])
    model.get_layer("tell").set_weights([np.eye(3, dtype=np.float32) * 8, np.zeros(3, np.float32)])
    return FloatModel(
        name="colours",
        keras_model=model,
        input=InputSpec(16, 16, scale=(1 / 128,), offset=(-127 / 128,), dtype=TensorType.FLOAT32),
        labels=tuple(Label(i, name) for i, name in enumerate(("red", "green", "blue"))),
        scores=Scores.PROBABILITIES,
    )


@pytest.fixture
def colour_run(colours: FloatModel, tmp_path: Path) -> MakeColourRun:
    """Return a function that makes a run's folder, on class folders of colours.

    The last picture of each class was validated with, the others were trained on.
    """

    def make(pictures: Path) -> Path:
        run = tmp_path / "run"
        run.mkdir()
        sides: dict[str, list[dict[str, Any]]] = {"train": [], "val": []}
        for label in colours.labels:
            *train, val = sorted((pictures / label.name).iterdir())
            for side, paths in (("train", train), ("val", [val])):
                sides[side] += [
                    {
                        "path": path.relative_to(pictures).as_posix(),
                        "sha256": sha256_of(path),
                        "label": label.index,
                    }
                    for path in paths
                ]
        write_json(run / "split.json", {"data": "colours", "root": str(pictures), **sides})
        write_json(run / "dataset.json", {"notes": DatasetNotes().to_json()})
        write_json(run / "settings.json", {"seed": 1})
        with (run / "history.csv").open("w", newline="") as stream:
            names = "phase epoch seconds rate loss accuracy val_loss val_accuracy"
            csv.writer(stream).writerows([names.split(), ["all", 1, 1, 0.1, 0.1, 1, 0.1, 1]])
        np.savez(
            run / "predictions.npz",
            probabilities=np.eye(3, dtype=np.float32),
            truth=np.arange(3, dtype=np.int32),
            paths=np.array([str(pictures / entry["path"]) for entry in sides["val"]]),
        )
        save_float_model(colours, run / "model")
        return run

    return make

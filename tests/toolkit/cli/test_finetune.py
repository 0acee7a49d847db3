"""`mejiro finetune` makes a model folder that `mejiro convert` takes, with the trained ranges."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from mejiro.cli import main
from mejiro.model import FloatModel
from mejiro.tensorflow import load_keras
from mejiro.zoo import load_float_model, save_float_model
from mejiro_runtime.card import Scores
from mejiro_runtime.preprocess import InputSpec, TensorType
from mejiro_runtime.types import Label

SIDE = 16
COLOURS = {"blue": (200, 60, 60), "green": (60, 200, 60), "red": (60, 60, 200)}  # BGR


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Return the folder of a tiny classifier of three colours, and one of pictures of them."""
    keras = load_keras()
    keras.utils.set_random_seed(1)
    layers = keras.layers
    inputs = keras.Input((SIDE, SIDE, 3), name="pixels")
    x = layers.Conv2D(6, 3, strides=2, use_bias=False, name="stem")(inputs)
    x = layers.ReLU(6.0, name="stem_relu")(layers.BatchNormalization(name="stem_bn")(x))
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    x = layers.Softmax(name="scores")(layers.Dense(3, name="classifier")(x))
    spec = InputSpec(SIDE, SIDE, scale=(1 / 128,), offset=(-127 / 128,), dtype=TensorType.FLOAT32)
    labels = tuple(Label(index, name) for index, name in enumerate(COLOURS))
    model = FloatModel("tiny", keras.Model(inputs, x), spec, labels, Scores.PROBABILITIES)
    root = tmp_path_factory.mktemp("finetune")
    save_float_model(model, root / "model")
    rng = np.random.default_rng(5)
    for name, bgr in COLOURS.items():
        (root / "data" / name).mkdir(parents=True)
        for index in range(12):
            picture = np.clip(np.array(bgr) + rng.integers(-60, 60, (20, 24, 3)), 0, 255)
            file = root / "data" / name / f"{index}.png"
            assert cv2.imwrite(str(file), picture.astype(np.uint8))
    return root / "model", root / "data"


def test_qat_and_convert(
    folders: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, data = folders
    out, build = tmp_path / "out", tmp_path / "build"
    words = ["finetune", str(model), "--data", str(data), "--val", "0.3", "--out", str(out)]
    assert main([*words, "--qat", "--epochs", "2", "--rate", "0.01", "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["labels"] is True
    assert record["teacher"] == "tiny"
    opened = load_float_model(out)
    assert opened.trained is not None
    assert opened.lineage["quantization_aware"]["recipe"]["default"] == "int8"
    assert main(["convert", str(out), "--out", str(build)]) == 0
    assert (build / "tiny-int8.onnx").is_file()
    card = json.loads((build / "tiny-int8.tflite.json").read_text())
    assert card["lineage"]["export"]["calibration"] == {"method": "quantization-aware training"}


def test_without_qat_it_trains_in_float(
    folders: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, data = folders
    words = ["finetune", str(model), "--data", str(data), "--out", str(tmp_path / "out")]
    assert main([*words, "--epochs", "1"]) == 0
    assert "validation pictures right" in capsys.readouterr().out
    assert load_float_model(tmp_path / "out").trained is None


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ([], "brings no pictures to train on"),
        (["--recipe", "recipe.toml"], "--recipe says how --qat rounds"),
    ],
)
def test_what_is_missing_is_said_in_a_line(
    folders: tuple[Path, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    more: list[str],
    said: str,
) -> None:
    out = tmp_path / "out"
    assert main(["finetune", str(folders[0]), "--out", str(out), *more]) != 0
    error = capsys.readouterr().err.strip()
    assert said in error
    assert "\n" not in error.splitlines()[-1]
    assert not out.exists()

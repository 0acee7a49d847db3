"""`mejiro prune` thins a model out, says what that is worth, and refuses in one line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from mejiro.cli import main
from mejiro.cli.pruning import speed_words
from mejiro.model import FloatModel
from mejiro.prune.clock import FileClock
from mejiro.quality.gains import FileGain
from mejiro.race import Conditions, Pace, Ratio
from mejiro.tensorflow import load_keras
from mejiro.zoo import load_float_model, save_float_model
from mejiro_runtime.card import Scores
from mejiro_runtime.preprocess import InputSpec, TensorType
from mejiro_runtime.types import Label

COLOURS = {"blue": (200, 60, 60), "green": (60, 200, 60), "red": (60, 60, 200)}  # BGR


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a model in network/ and pictures of its classes in tints/."""
    keras = load_keras()
    keras.utils.set_random_seed(3)
    layers = keras.layers
    pixels = keras.Input((16, 16, 3), name="pixels")
    x = layers.Conv2D(8, 3, strides=2, activation="relu", name="stem")(pixels)
    x = layers.Conv2D(16, 1, activation="relu", name="expand")(x)
    x = layers.Conv2D(12, 1, activation="relu", name="project")(x)
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    scores = layers.Dense(3, activation="softmax", name="classifier")(x)
    model = FloatModel(
        name="tiny",
        keras_model=keras.Model(pixels, scores),
        input=InputSpec(16, 16, scale=(1 / 255,), dtype=TensorType.FLOAT32),
        labels=tuple(Label(i, name) for i, name in enumerate(COLOURS)),
        scores=Scores.PROBABILITIES,
    )
    folder = tmp_path_factory.mktemp("prune")
    save_float_model(model, folder / "network")
    rng = np.random.default_rng(5)
    for colour, bgr in COLOURS.items():
        (folder / "tints" / colour).mkdir(parents=True)
        for index in range(8):
            noise = rng.integers(-60, 60, (20, 24, 3))
            picture = np.clip(np.array(bgr) + noise, 0, 255).astype(np.uint8)
            assert cv2.imwrite(str(folder / "tints" / colour / f"{index}.png"), picture)
    return folder


def test_it_trains_measures_and_writes_a_model(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["prune", str(folder / "network"), "--method", "magnitude", "--sparsity", "0.75"]
    words += ["--data", str(folder / "tints"), "--val", "0.3", "--epochs", "2"]
    words += ["--scope", "layer", "--batch-norm", "trained"]
    assert main([*words, "--out", str(tmp_path / "thin"), "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record == json.loads((tmp_path / "thin" / "pruning.json").read_text())
    assert (record["schema"], record["method"], record["sparsity"]) == (1, "magnitude", 0.75)
    assert [row["layer"] for row in record["layers"] if row["thinned"]] == ["expand", "project"]
    assert set(record["files"]) == {"int8", "fp32", "fp32 sparse"}
    for gain in record["files"].values():
        assert gain["zipped_bytes"] <= gain["size_bytes"]
        assert gain["time_ratio"]["low"] <= gain["time_ratio"]["high"]
    model = load_float_model(tmp_path / "thin")
    assert (model.keras_model.get_layer("expand").kernel.numpy() == 0).mean() == 0.75
    assert model.lineage["finetuned"][0]["labels"]
    assert model.lineage["finetuned"][0]["batch_norm"] == "trained"


def test_channels_go_and_the_network_learns_again(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["prune", str(folder / "network"), "--method", "channel", "--macs", "0.7"]
    words += ["--multiple", "4", "--clock", "off", "--importance", "taylor", "--steps", "2"]
    words += ["--data", str(folder / "tints"), "--val", "0.3", "--epochs", "3"]
    assert main([*words, "--out", str(tmp_path / "narrow"), "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record == json.loads((tmp_path / "narrow" / "pruning.json").read_text())
    assert record["settings"]["importance"] == "taylor"
    assert record["timing"] is None
    before, *costs = (
        cost["multiply_adds"]
        for cost in (record["before"], *(cut["cost"] for cut in record["cuts"]))
    )
    assert before > costs[0] > costs[1]
    assert costs[1] == record["after"]["multiply_adds"] <= 0.7 * before
    assert set(record["files"]) == {"int8", "fp32"}
    model = load_float_model(tmp_path / "narrow")
    for name, group in record["groups"].items():
        assert model.keras_model.get_layer(name).kernel.shape[-1] == group["kept"]
    assert [one["epochs"] for one in model.lineage["finetuned"]] == [1, 2]


def test_channels_by_a_clock_in_words(
    folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def pace(model: FloatModel) -> Pace:
        layers = [model.keras_model.get_layer(name) for name in ("expand", "project")]
        expand, project = (int(layer.kernel.shape[-1]) for layer in layers)
        took = 1_000 + 10 * expand + 100 * project  # and nothing for the stem
        return Pace("file", (took,) * 9, (took,) * 9, "fake engine")

    monkeypatch.setattr(
        FileClock, "__call__", lambda clock, models, threads=None: list(map(pace, models))
    )
    words = ["prune", str(folder / "network"), "--method", "channel", "--latency", "0.75"]
    words += ["--multiple", "4", "--no-measure", "--out", str(tmp_path / "narrow")]
    assert main(words) == 0
    told = capsys.readouterr()
    assert "nothing is trained" in told.err
    assert "time from frame to label, over that of the whole network: 0.661" in told.out
    timing = json.loads((tmp_path / "narrow" / "pruning.json").read_text())["timing"]
    assert timing["engine"] == "fake engine"
    assert 0.6 < timing["ratio"]["median"] <= 0.75
    model = load_float_model(tmp_path / "narrow").keras_model
    assert model.get_layer("stem").kernel.shape[-1] == 8
    assert model.get_layer("project").kernel.shape[-1] < 12


def test_channels_by_the_clock_of_a_device(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    connected = []

    def remote_race(url: str) -> Any:
        connected.append(url)

        def run(files: Any, conditions: Conditions) -> Any:
            rounds = conditions.rounds * conditions.openings
            sizes = [file.stat().st_size for file in files]  # a smaller file takes less time
            paces = [
                Pace(file.name, (size,) * rounds, (size,) * rounds, "a device's engine").to_json()
                for file, size in zip(files, sizes, strict=True)
            ]
            return {"device": {}, "paces": paces}

        return run

    monkeypatch.setattr("mejiro.deploy.remote_race", remote_race)
    words = ["prune", str(folder / "network"), "--method", "channel", "--macs", "0.8"]
    words += ["--on", "ssh://pi@kitchen", "--multiple", "4", "--no-measure"]
    assert main([*words, "--out", str(tmp_path / "narrow")]) == 0
    assert connected == ["ssh://pi@kitchen"]
    record = json.loads((tmp_path / "narrow" / "pruning.json").read_text())
    assert record["timing"]["engine"] == "a device's engine"
    assert record["settings"]["on"] == "ssh://pi@kitchen"


def test_a_pattern_at_once_and_in_words(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["prune", str(folder / "network"), "--method", "magnitude", "--pattern", "2:4"]
    assert main([*words, "--no-measure", "--out", str(tmp_path / "thin")]) == 0
    told = capsys.readouterr()
    assert "50.0% of the weights of 2 layers are zero" in told.out
    assert "stem" in told.out
    assert "spared" in told.out
    assert "no pictures to train on" in told.err
    kernel = load_float_model(tmp_path / "thin").keras_model.get_layer("project").kernel.numpy()
    groups = kernel.reshape(4, 4, 12)
    assert ((groups != 0).sum(axis=1) == 2).all()


def test_pictures_without_its_classes_have_no_labels(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other"
    for name in ("cat", "dog"):
        (other / name).parent.mkdir(exist_ok=True)
        (other / name).symlink_to(folder / "tints" / ("red" if name == "cat" else "blue"))
    words = ["prune", str(folder / "network"), "--method", "magnitude", "--data", str(other)]
    words += ["--no-measure", "--epochs", "1", "--out", str(tmp_path / "thin")]
    assert main(words) == 0
    assert "used without labels, since tiny knows no class 'cat'" in capsys.readouterr().err
    (record,) = load_float_model(tmp_path / "thin").lineage["finetuned"]
    assert not record["labels"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--pattern", "4:2"], "a pattern N:M keeps"),
        (["--pattern", "2:4", "--sparsity", "0.8"], "makes a sparsity of 0.5"),
        (["--val", "0.2"], "--val is a share of the pictures in --data"),
        (["--data", "nowhere"], "nowhere"),
        (["--macs", "0.5"], "--macs goes with --method channel, not magnitude"),
        (["--method", "channel"], "needs one of --macs, --params or --latency"),
        (["--method", "channel", "--macs", "0.5", "--params", "0.5"], "found --macs, --params"),
        (["--method", "channel", "--latency", "0.5", "--clock", "off"], "is aimed at by the clock"),
        (
            ["--method", "channel", "--macs", "0.5", "--clock", "off", "--on", "ssh://a"],
            "--on says",
        ),
        (["--macs", "0.5", "--on", "ssh://a"], "goes with --method channel"),
        (["--method", "channel", "--macs", "0.5", "--importance", "taylor"], "with labels"),
        (["--method", "channel", "--macs", "0.5", "--steps", "2"], "are trained in between"),
    ],
)
def test_it_refuses_in_one_line_and_writes_nothing(
    folder: Path,
    tmp_path: Path,
    words: list[str],
    said: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    command = ["prune", str(folder / "network"), "--method", "magnitude"]
    assert main([*command, "--out", str(tmp_path / "thin"), *words]) > 0
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert not any(tmp_path.iterdir())


def test_a_folder_that_is_no_model_stays(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    words = ["prune", str(folder / "network"), "--method", "magnitude", "--out", str(tmp_path)]
    assert main(words) > 0
    assert "is no model folder" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_speed_is_told_only_where_it_was_measured() -> None:
    gain = FileGain(100, 40, 100, 90)
    assert speed_words({"int8": gain}, "no time") == []
    told = {
        "even": Ratio(0.99, 0.95, 1.02),
        "faster": Ratio(0.7, 0.65, 0.75),
        "slower": Ratio(1.2, 1.1, 1.3),
    }
    gains = {name: FileGain(100, 40, 100, 90, ratio, 1.0, 1.0) for name, ratio in told.items()}
    even, faster, slower = speed_words(gains, "no time is saved")
    assert "no time" in even
    assert "1.43 times as fast" in faster
    assert "slower than before, 0.83 times" in slower

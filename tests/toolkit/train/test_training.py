"""A run learns what it is shown, and leaves a folder that other stages can use."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mejiro.data.augmentation import PRESETS
from mejiro.errors import DataError, UsageError
from mejiro.tensorflow import load_tensorflow
from mejiro.train import Conduct, Settings, loop, open_run, train
from mejiro.train.events import Diverged, Events
from mejiro.train.freezing import Freeze, FreezeKind
from mejiro.train.machine import Device, Machine
from mejiro.train.preview import preview_pixels
from mejiro.train.settings import (
    Balance,
    BatchNorm,
    Head,
    Loss,
    LossKind,
    Optimizer,
    OptimizerKind,
    Phase,
)
from mejiro.train.steps import Sums
from mejiro.zoo import open_model
from mejiro_runtime.files import sha256_of
from mejiro_runtime.preprocess import Preprocessor
from mejiro_runtime.sources.pictures import read_picture
from mejiro_runtime.types import PixelOrder


def read_history(folder: Path) -> list[dict[str, str]]:
    with (folder / "history.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_a_run_leaves_a_folder_with_all_that_it_was(
    finished: Path, full_settings: Settings, dataset: Any
) -> None:
    names = {path.name for path in finished.iterdir()}
    assert names == {
        "dataset.json", "history.csv", "model", "predictions.npz", "run.json", "settings.json",
        "split.json", "tensorboard",
    }  # fmt: skip
    run = open_run(finished)
    assert run.finished
    assert run.settings == full_settings
    split = json.loads((finished / "split.json").read_text())
    assert [len(split[side]) for side in ("train", "val")] == [28, 17]
    entry = split["val"][3]
    path = Path(split["root"]) / entry["path"]
    assert sha256_of(path) == entry["sha256"]
    assert dataset.labels[entry["label"]].name == path.parent.name
    history = read_history(finished)
    assert [row["phase"] for row in history] == ["head", "head", "fine-tuning", "fine-tuning"]
    assert [row["epoch"] for row in history] == ["1", "2", "3", "4"]
    result = run.result()
    kept = history[result["kept_epoch"] - 1]
    assert float(kept["val_accuracy"]) == result["val_accuracy"]
    assert max(float(row["val_accuracy"]) for row in history) == result["val_accuracy"]


def test_the_predictions_are_those_of_the_model_through_the_runtime(
    finished: Path, dataset: Any
) -> None:
    model = open_model(str(finished))
    assert [label.name for label in model.labels] == ["blue", "green", "red"]
    preprocess = Preprocessor(model.input)
    with np.load(finished / "predictions.npz") as kept:
        shares, truth, paths = kept["probabilities"], kept["truth"], kept["paths"]
    assert shares.dtype == np.float32
    inputs = [preprocess(read_picture(Path(str(path))), PixelOrder.BGR) for path in paths]
    answers = np.asarray(model.keras_model(np.concatenate(inputs), training=False))
    assert answers == pytest.approx(shares, abs=1e-5)
    assert list(truth) == [picture.label_index for picture in dataset.val]
    accuracy = (shares.argmax(axis=1) == truth).mean()
    assert accuracy == pytest.approx(open_run(finished).result()["val_accuracy"])
    assert all(layer.trainable for layer in model.keras_model.layers)


def test_logs_for_tensorboard_hold_the_history(finished: Path) -> None:
    tf = load_tensorflow()
    (path,) = (finished / "tensorboard").iterdir()
    found = {}
    for record in tf.data.TFRecordDataset(str(path)):
        event = tf.compat.v1.Event.FromString(record.numpy())
        for value in event.summary.value:
            found[event.step, value.tag] = value.simple_value
    for row in read_history(finished):
        for name in ("rate", "loss", "accuracy", "val_loss", "val_accuracy"):
            assert found[int(row["epoch"]), name] == pytest.approx(float(row[name]))


def test_tints_are_learnt_and_frozen_layers_are_not_touched(
    make_settings: Any, dataset: Any, tmp_path: Path, base_folder: Path
) -> None:
    phases = (
        Phase("head", 15, 0.05, Freeze(FreezeKind.BACKBONE), augment=False),
        Phase("fine-tuning", 4, 0.01, Freeze(FreezeKind.THROUGH, layer="stem_relu")),
    )
    reports = []
    run = train(
        dataset,
        make_settings(phases=phases, balance=Balance.WEIGHTS, batch_norm=BatchNorm.TRAINED),
        tmp_path / "run",
        events=Events(step=reports.append),
    )
    assert run.result()["val_accuracy"] >= 0.9
    before, after = (open_model(str(folder)).keras_model for folder in (base_folder, run.folder))
    for name in ("stem", "stem_bn"):
        for old, new in zip(
            before.get_layer(name).get_weights(), after.get_layer(name).get_weights(), strict=True
        ):
            assert (old == new).all()
    first = [report for report in reports if report.phase == "head"]
    assert (first[0].epochs, first[0].steps) == (15, 4)
    assert first[-1].loss < first[0].loss
    assert reports[-1].seconds_left == 0


def test_a_phase_ends_when_nothing_gets_better(
    make_settings: Any, dataset: Any, tmp_path: Path
) -> None:
    # At such a rate nothing changes, so no epoch is better than the first.
    phases = (Phase("head", 50, 1e-12, Freeze(FreezeKind.BACKBONE), augment=False),)
    run = train(dataset, make_settings(phases=phases, patience=3), tmp_path / "run")
    assert run.result()["kept_epoch"] == 1
    assert len(read_history(run.folder)) == 4


def test_a_phase_may_lose_before_it_gains(
    make_settings: Any, dataset: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    phases = (
        Phase("head", 9, 0.05, Freeze(FreezeKind.BACKBONE), augment=False),
        Phase("fine-tuning", 9, 0.05, Freeze(FreezeKind.BACKBONE), augment=False),
    )
    # The first ends after two epochs that are no better than its best; the second goes on, since
    # it is getting better than it was.
    rights = iter([9, 15, 14, 13, 8, 10, 12, 16, 16, 11])
    monkeypatch.setattr(loop, "_validate", lambda *_: Sums(1.0, next(rights), 17))
    run = train(dataset, make_settings(phases=phases, patience=2), tmp_path / "run")
    assert [row["phase"] for row in read_history(run.folder)] == ["head"] * 4 + ["fine-tuning"] * 6
    assert run.result()["kept_epoch"] == 8


def test_a_run_that_diverges_says_so(make_settings: Any, dataset: Any, tmp_path: Path) -> None:
    phases = (Phase("training", 2, 100.0, Freeze(), warmup=0.0),)
    settings = make_settings(
        phases=phases, optimizer=Optimizer(OptimizerKind.SGD, weight_decay=1.0, clip_norm=0.0)
    )
    with pytest.raises(Diverged, match=r"no number any more in training, .* a rate below 100"):
        train(dataset, settings, tmp_path / "run")
    assert not open_run(tmp_path / "run").finished


def test_the_best_weights_are_kept_not_the_last(
    make_settings: Any, dataset: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    phases = (Phase("head", 3, 0.05, Freeze(FreezeKind.BACKBONE), augment=False),)
    kernels = []
    for right in ([9, 15, 15], [9, 12, 15]):
        # Of two epochs with as many right answers, the surer one is better.
        scores = iter([Sums(loss, count, 17) for loss, count in zip((9, 5, 7), right, strict=True)])
        monkeypatch.setattr(loop, "_validate", lambda *_, scores=scores: next(scores))
        run = train(dataset, make_settings(phases=phases), tmp_path / f"run {right[1]}")
        kernels.append(open_model(str(run.folder)).keras_model.get_layer("classifier").kernel)
        assert run.result()["kept_epoch"] == (2 if right[1] == 15 else 3)
    assert not (kernels[0].numpy() == kernels[1].numpy()).all()


def test_a_frozen_backbone_with_augmentation_is_not_cached(
    make_settings: Any, dataset: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "pooled_features", None)
    phases = (Phase("head", 1, 0.05, Freeze(FreezeKind.BACKBONE)),)
    settings = make_settings(
        phases=phases,
        augmentation=PRESETS["light"],
        head=Head(hidden=4),
        loss=Loss(LossKind.FOCAL),
    )
    run = train(dataset, settings, tmp_path / "run", conduct=Conduct(keep_cache=True))
    assert run.finished
    assert not list(run.cache.glob("features-*"))
    assert list(run.cache.glob("pixels-*"))


def test_nothing_is_overwritten_unasked(
    make_settings: Any, dataset: Any, tmp_path: Path, finished: Path
) -> None:
    settings, before = make_settings(), sorted(finished.rglob("*"))
    with pytest.raises(UsageError, match=r"holds a training run; go on with --resume"):
        train(dataset, settings, finished)
    assert sorted(finished.rglob("*")) == before
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.txt").write_text("years of work")
    for force in (False, True):
        with pytest.raises(UsageError, match="is no training run; give another --out"):
            train(dataset, settings, mine, force=force)
    assert (mine / "thesis.txt").read_text() == "years of work"


def test_a_run_that_cannot_begin_leaves_nothing(
    make_settings: Any, dataset: Any, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    with pytest.raises(UsageError, match="there is no model or file"):
        train(dataset, make_settings(model="mobilnet-v9", weights="none"), out)
    with pytest.raises(UsageError, match="a GPU was asked for and TensorFlow finds none"):
        train(dataset, make_settings(), out, conduct=Conduct(Machine(Device.GPU)))
    with pytest.raises(UsageError, match="mixed precision needs a GPU"):
        train(dataset, make_settings(mixed_precision=True), out)
    with pytest.raises(UsageError, match=r"threads can only be set before"):
        train(dataset, make_settings(), out, conduct=Conduct(Machine(threads=37)))
    with pytest.raises(DataError, match="has no pictures to validate with"):
        train(replace(dataset, val=()), make_settings(), out)
    assert not out.exists()


def test_a_preview_shows_each_class(make_settings: Any, dataset: Any) -> None:
    pixels, truth, order = preview_pixels(dataset, make_settings())
    assert pixels.shape == (8, 16, 16, 3)
    assert truth[:6] == [0, 1, 2, 0, 1, 2]
    assert order is PixelOrder.RGB
    # The tint of each: blue, green and red are the last, second and first channel.
    assert [int(one.mean(axis=(0, 1)).argmax()) for one in pixels[:3]] == [2, 1, 0]


_TWO_DEVICES = """
import sys
import numpy as np
from mejiro.tensorflow import load_tensorflow
tf = load_tensorflow()
cpu = tf.config.list_physical_devices("CPU")[0]
parts = [tf.config.LogicalDeviceConfiguration()] * 2
tf.config.set_logical_device_configuration(cpu, parts)
from mejiro.train.losses import make_loss
from mejiro.train.optimizers import make_optimizer
from mejiro.train.settings import Loss, Optimizer, OptimizerKind
from mejiro.train.steps import Inputs, TrainStep
from mejiro.tensorflow import load_keras

def run(strategy):
    keras = load_keras()
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(10, 5)).astype(np.float32)
    truth = rng.integers(0, 3, 10).astype(np.int32)
    with strategy.scope():
        inputs = keras.Input((5,))
        dense = keras.layers.Dense(3, kernel_initializer="zeros")
        model = keras.Model(inputs, dense(inputs))
        settings = Optimizer(OptimizerKind.SGD, clip_norm=0.0)
        optimizer = make_optimizer(settings, 0.1, model.trainable_variables, [0.5, 1.0], 10)
        losses = make_loss(Loss(), np.ones(3, np.float32))
        step = TrainStep(model, optimizer, losses, Inputs(None), strategy)
    sums = [step(rows, truth, 0.1) for _ in range(3)]
    return sums, [v.numpy() for v in model.weights]

one = run(tf.distribute.get_strategy())
two = run(tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]))
for a, b in zip(one[1], two[1], strict=True):
    np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7)
    assert np.abs(a).max() > 0
np.testing.assert_allclose(one[0], two[0], rtol=1e-5)
"""


def test_two_devices_learn_what_one_does() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _TWO_DEVICES], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]

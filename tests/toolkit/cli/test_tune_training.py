"""`mejiro tune-training` searches, goes on, refuses other studies, prints what `train` takes."""

from __future__ import annotations

import html
import json
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mejiro.cli.tune_training as command
from mejiro.cli import main
from mejiro.cli.train import train
from mejiro.cli.training import make_settings
from mejiro.cli.tuning import base_options, train_words, tuning_parameters
from mejiro.data.dataset import Dataset
from mejiro.train import Settings
from mejiro.train.events import Events
from mejiro.train.history import EpochRecord
from mejiro.train.machine import Machine
from mejiro.tune import Job

LAYERS = 40


class PretendTrainer:
    """Tell of one epoch, the better the larger the rate; train nothing."""

    jobs: list[Job]
    stop_at: int | None

    def __init__(self, dataset: Dataset, folder: Path, machine: Machine) -> None:
        pass

    def __call__(self, job: Job, events: Events) -> None:
        type(self).jobs.append(job)
        if job.number == type(self).stop_at:
            raise KeyboardInterrupt
        accuracy = min(1.0, 0.5 + job.settings.phases[-1].rate * 100)
        events.epoch(EpochRecord("fine-tuning", 1, 1.0, 1e-3, 0.5, 0.5, 0.7, accuracy))


@pytest.fixture
def trainer(monkeypatch: pytest.MonkeyPatch) -> type[PretendTrainer]:
    """Take the place of whatever needs TensorFlow."""
    PretendTrainer.jobs, PretendTrainer.stop_at = [], None
    monkeypatch.setattr(command, "ApartTrainer", PretendTrainer)
    monkeypatch.setattr(command, "count_layers", lambda *given: LAYERS)
    monkeypatch.setattr(command, "write_tuning_report", lambda folder, findings: None)
    return PretendTrainer


@pytest.fixture
def tune(
    trainer: type[PretendTrainer],
    colour_pictures: Callable[..., Path],
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> Callable[..., tuple[int, str, str]]:
    """Return a function that runs the command, and returns its code and what it printed."""
    pictures = colour_pictures()

    def run(
        *words: object, out: str = "study", model: str = "mobilenet-v2", trials: int = 2
    ) -> Any:
        given = ("--model", model, "--trials", trials, "--out", tmp_path / out)
        data = () if words and str(words[0]).startswith("/") else (pictures,)
        capsys.readouterr()
        code = main(["tune-training", *map(str, (*data, *words, *given))])
        shown = capsys.readouterr()
        return code, shown.out, shown.err

    return run


def settings_of(line: str) -> Settings:
    """Return what `mejiro train` makes of a printed command line."""
    program, name, *words = shlex.split(line)
    assert (program, name) == ("mejiro", "train")
    return make_settings(train.make_context("train", words).params)


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("--freeze", "all-but 5", "--alpha", 0.5, "--image-size", 96, "--epochs", 3),
        ("--freeze", "backbone", "--head-epochs", 4, "--augment", "none"),
        ("--freeze", "none", "--rate", 1e-4, "--rate", 2.5e-4, "--seed", 3),
        ("--weights", "none", "--alpha", 0.4, "--optimizer", "sgd", "--patience", 2),
        ("--set", "rotation=10", "--set", "flip=both", "--loss", "focal", "--batch-size", 8),
        ("--unfreeze", "block_12_expand", "--depth-factor", 0.3, "--hidden", 16),
    ],
)
def test_the_printed_command_trains_with_the_best_settings(
    tune: Any, trainer: type[PretendTrainer], tmp_path: Path, words: tuple[object, ...]
) -> None:
    code, out, _ = tune(*words)
    assert code == 0
    line = out.splitlines()[-1]
    known = json.loads((tmp_path / "study" / "trials.json").read_text(encoding="utf-8"))
    best = next(job for job in trainer.jobs if job.number == known["best"])
    assert settings_of(line) == best.settings
    assert line == shlex.join(known["command"])
    assert line.endswith(f"--out {tmp_path / 'study' / 'best'}")


# A value of each option of a run that is not its default.
OTHER = {
    "val": 0.3, "archive": Path("cifar.tgz"), "balance": "weights", "model": "efficientnet-lite0",
    "weights": "none", "image_size": 96, "alpha": 0.5, "depth": 1.2, "phi": 1.0,
    "activation": "relu", "crop": 0.9, "pooling": "max", "hidden": 7, "dropout": 0.25,
    "freeze": "all-but 3", "unfreeze": "top", "head_epochs": 3, "epochs": 4, "head_rate": 1.5e-3,
    "rate": 1.23e-5,
    "warmup": 0.3, "depth_factor": 0.5, "head_factor": 2.0, "batch_size": 5,
    "batch_norm": "trained", "patience": 3, "loss": "focal", "gamma": 1.0, "label_smoothing": 0.0,
    "optimizer": "sgd", "momentum": 0.5, "weight_decay": 0.01, "clip_norm": 0.0, "average": 0.5,
    "augment": "strong", "changes": ("rotation=3", "shift=0.2"), "seed": 9, "device": "cpu",
    "mixed_precision": True, "threads": 2, "keep_cache": True,
}  # fmt: skip
OF_ONE_RUN = {"data", "out", "preview", "tensorboard", "resume", "force", "as_json"}


def test_every_option_of_training_is_tried_below() -> None:
    assert {parameter.name for parameter in train.params} - OF_ONE_RUN == set(OTHER)


@pytest.mark.parametrize("name", sorted(OTHER))
def test_each_option_is_written_as_it_is_read(name: str) -> None:
    usual = base_options({"data": "my pictures", "model": "mobilenet-v2"})
    run = {**usual, name: OTHER[name]}
    words = train_words(run, "out put")
    assert words[:3] == ["mejiro", "train", "my pictures"]
    found = train.make_context("train", words[2:]).params
    assert {**found, "out": None} == run
    assert found["out"] == Path("out put")
    assert len(words) > len(train_words(usual, "out put")) or name == "model"


def test_every_option_of_training_can_be_given_to_a_search() -> None:
    ours = {parameter.name for parameter in tuning_parameters()}
    assert {parameter.name for parameter in train.params} - OF_ONE_RUN <= ours


def test_the_first_trial_has_the_settings_of_training_by_itself(
    tune: Any, trainer: type[PretendTrainer], tmp_path: Path
) -> None:
    tune(model="efficientnet-lite0")
    usual = base_options({"data": "x", "model": "efficientnet-lite0"})
    by_itself = make_settings({**usual, "image_size": 224})
    assert trainer.jobs[0].settings == by_itself


def test_a_study_goes_on_until_the_trials_are_finished(
    tune: Any, trainer: type[PretendTrainer], tmp_path: Path
) -> None:
    assert tune(trials=2)[0] == 0
    assert tune(trials=5)[0] == 0
    assert [job.number for job in trainer.jobs] == [0, 1, 2, 3, 4]
    code, out, _ = tune(trials=5)
    assert code == 0
    assert len(trainer.jobs) == 5
    assert "best of 5 trials" in out


def test_ctrl_c_says_how_to_go_on(tune: Any, trainer: type[PretendTrainer], tmp_path: Path) -> None:
    trainer.stop_at = 1
    code, out, err = tune(trials=3)
    assert code == 130
    assert out == ""
    assert err.splitlines()[-1].startswith("mejiro: error: stopped in trial 1")
    assert tune(trials=3)[0] == 0
    known = json.loads((tmp_path / "study" / "trials.json").read_text(encoding="utf-8"))
    assert [trial["state"] for trial in known["trials"]] == [
        "complete", "failed", "complete", "complete"
    ]  # fmt: skip


def test_what_is_known_is_told_to_programs(tune: Any, tmp_path: Path) -> None:
    code, out, _ = tune("--json", trials=3)
    told = json.loads(out)
    assert code == 0
    assert told["finished"] == 3
    assert told["command"][:2] == ["mejiro", "train"]
    assert told == json.loads((tmp_path / "study" / "trials.json").read_text(encoding="utf-8"))
    best = told["trials"][told["best"]]
    assert best["val_accuracy"] == max(trial["val_accuracy"] for trial in told["trials"])


def test_what_is_narrowed_is_all_that_is_tried(tune: Any, trainer: type[PretendTrainer]) -> None:
    words = ("--image-size", 96, "--image-size", 128, "--rate", "1e-4..2e-4", "--augment", "none")
    assert tune(*words, "--freeze", "default", "--alpha", 0.35, trials=8)[0] == 0
    settings = [job.settings for job in trainer.jobs]
    assert {one.build.image_size for one in settings} == {96, 128}
    assert {one.build.alpha for one in settings} == {0.35}
    assert all(1e-4 <= one.phases[-1].rate <= 2e-4 for one in settings)
    assert {one.augmentation.any for one in settings} == {False}


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("--batch-size", 8), "--batch-size 32, found 8"),
        (("--rate", "1e-5..1e-4"), "a search of rate 1e-05..0.001, found 1e-05..0.0001"),
        (("--val", 0.5), "the data pictures"),
    ],
)
def test_another_study_is_refused_in_one_line(
    tune: Any, words: tuple[object, ...], named: str
) -> None:
    assert tune()[0] == 0
    code, out, err = tune(*words)
    assert code == 2
    assert out == ""
    assert named in err
    assert err.count("\n") == 1


def test_a_study_of_another_model_is_refused(tune: Any, trainer: type[PretendTrainer]) -> None:
    tune()
    code, _, err = tune(model="efficientnet-lite0")
    assert code == 2
    assert "the model mobilenet-v2, found efficientnet-lite0" in err
    assert len(trainer.jobs) == 2


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("--rate", "fast"), "LOW..HIGH"),
        (("--rate", "1e-3..1e-5"), "a range goes from"),
        (("--alpha", 0.6), "widths 0.35"),
        (("--image-size", 16), "needs pictures of 32 pixels"),
        (("--weights", "none", "--freeze", "backbone"), "nothing to freeze"),
        (("--freeze", "backbone", "--rate", "1e-4"), "--head-rate"),
        (("--epochs", 0, "--rate", "1e-4"), "leave --rate out"),
        (("--set", "spin=3"), "changes no augmentation"),
        (("--study", "mine"), "--storage"),
        (("--storage", "nowhere"), "no address of a database"),
        (("--device", "tpu"), "--device"),
    ],
)
def test_what_cannot_be_searched_is_said_before_a_trial(
    tune: Any, trainer: type[PretendTrainer], words: tuple[object, ...], named: str
) -> None:
    code, out, err = tune(*words)
    assert (code, out) == (2, "")
    assert named in err
    assert err.startswith("mejiro: error: ")
    assert err.count("\n") == 1
    assert trainer.jobs == []


def test_a_folder_of_something_else_is_left_alone(tune: Any, tmp_path: Path) -> None:
    (tmp_path / "study").mkdir()
    (tmp_path / "study" / "letter.txt").write_text("dear", encoding="utf-8")
    code, _, err = tune()
    assert code == 2
    assert "is no study" in err
    assert [path.name for path in (tmp_path / "study").iterdir()] == ["letter.txt"]
    (tmp_path / "file").write_text("", encoding="utf-8")
    assert "is a file" in tune(out="file")[2]


def test_a_database_is_shared_by_folders(
    tune: Any, trainer: type[PretendTrainer], tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path}/study.db"
    assert tune("--storage", url, out="here", trials=2)[0] == 0
    code, out, _ = tune("--storage", url, out="there", trials=3)
    assert code == 0
    assert "best of 3 trials" in out
    assert len(trainer.jobs) == 3
    assert not (tmp_path / "here" / "study.journal").exists()
    assert "in a database" in tune(out="here")[2]
    code, _, err = tune("--storage", url, "--batch-size", 8, out="else")
    assert code == 2
    assert "the study 'pictures-mobilenet-v2'" in err
    assert tune("--storage", url, "--study", "b", "--batch-size", 8, out="else")[0] == 0
    assert "--batch-size 8, found 32" in tune("--storage", url, out="else")[2]


def test_a_folder_with_a_journal_takes_no_database(tune: Any, tmp_path: Path) -> None:
    tune()
    code, _, err = tune("--storage", f"sqlite:///{tmp_path}/study.db")
    assert code == 2
    assert "a study of its own" in err
    assert not (tmp_path / "study.db").exists()


def tiny_model(folder: Path) -> Path:
    """Write a model of a few hundred weights."""
    from mejiro.model import FloatModel
    from mejiro.tensorflow import load_keras
    from mejiro.zoo import save_float_model
    from mejiro_runtime.card import Scores
    from mejiro_runtime.preprocess import InputSpec, TensorType
    from mejiro_runtime.types import Label

    keras = load_keras()
    keras.utils.set_random_seed(3)
    inputs = keras.Input((16, 16, 3))
    x = keras.layers.Conv2D(8, 3, strides=2, activation="relu", name="stem")(inputs)
    x = keras.layers.Conv2D(8, 3, activation="relu", name="maps")(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    outputs = keras.layers.Dense(2, activation="softmax")(x)
    save_float_model(
        FloatModel(
            name="tiny",
            keras_model=keras.Model(inputs, outputs),
            input=InputSpec(16, 16, scale=(1 / 255,), dtype=TensorType.FLOAT32),
            labels=(Label(0, "a"), Label(1, "b")),
            scores=Scores.PROBABILITIES,
            lineage={"model": "tiny"},
        ),
        folder,
    )
    return folder


@pytest.mark.slow
def test_trials_are_trained_and_the_best_is_trained_again_alike(
    tmp_path: Path, colour_pictures: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    pictures, model = colour_pictures(each=8), tiny_model(tmp_path / "tiny")
    words = [
        "tune-training", pictures, "--model", model, "--trials", 2, "--out", tmp_path / "study",
        "--val", 0.3, "--epochs", 2, "--head-epochs", 2, "--batch-size", 8, "--keep-cache",
        "--rate", "1e-3..1e-1", "--augment", "none", "--augment", "light",
    ]  # fmt: skip
    assert main(list(map(str, words))) == 0
    line = capsys.readouterr().out.splitlines()[-1]
    folder = tmp_path / "study"
    known = json.loads((folder / "trials.json").read_text(encoding="utf-8"))
    assert [trial["state"] for trial in known["trials"]] == ["complete", "complete"]
    assert [len(trial["curve"]) for trial in known["trials"]] == [4, 4]
    # Both trials read the pixels that the first one decoded: one file for each side.
    assert len(list((folder / "pixels").glob("*.npy"))) == 2
    assert [path.name for path in (folder / "trials").iterdir()] == [str(known["best"])]
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert line in html.unescape(page)
    best = Path(known["run"])
    assert (best / "report.html").is_file()
    assert not (best / "cache").exists()
    assert main(shlex.split(line)[1:]) == 0
    again = folder / "best"
    for name in ("settings.json", "split.json"):
        assert (again / name).read_bytes() == (best / name).read_bytes()
    with np.load(best / "predictions.npz") as one, np.load(again / "predictions.npz") as other:
        np.testing.assert_array_equal(one["probabilities"], other["probabilities"])


@pytest.mark.slow
def test_a_layer_that_there_is_not_is_said_before_a_study_begins(
    tmp_path: Path, colour_pictures: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    model = tiny_model(tmp_path / "tiny")
    words = [
        "tune-training", colour_pictures(), "--model", model, "--trials", 2,
        "--out", tmp_path / "study", "--freeze", "map",
    ]  # fmt: skip
    assert main(list(map(str, words))) == 2
    assert "did you mean 'maps'?" in capsys.readouterr().err
    assert not (tmp_path / "study").exists()

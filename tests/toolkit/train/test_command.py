"""`mejiro train` trains, goes on after any end, and says in one line what is wrong."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from mejiro.cli import main
from mejiro.train import open_run
from mejiro.zoo import open_model

# A second phase in which nothing is frozen; few steps of a high rate.
SHORT = ("--head-epochs", 2, "--epochs", 2, "--rate", 0.01, "--batch-size", 8, "--val", 0.3)


def run(*words: object) -> int:
    return main(["train", *map(str, words)])


@pytest.fixture
def words(pictures: Path, base_folder: Path) -> tuple[object, ...]:
    return (pictures, "--model", base_folder, *SHORT)


@pytest.fixture(scope="module")
def whole(pictures: Path, base_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a run that nothing disturbed; only to be read."""
    out = tmp_path_factory.mktemp("runs") / "whole"
    assert run(pictures, "--model", base_folder, *SHORT, "--out", out) == 0
    return out


def weights_of(folder: Path) -> list[bytes]:
    return [values.tobytes() for values in open_model(str(folder)).keras_model.get_weights()]


def test_a_run_is_reported_and_opens_as_a_model(
    words: tuple[object, ...], whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (whole / "report.html").stat().st_size > 10_000
    assert json.loads((whole / "metrics.json").read_text())["data"] == "tints"
    assert open_model(str(whole)).lineage["trained"]["train"] == 28
    capsys.readouterr()
    assert run(*words, "--out", tmp_path / "again", "--json", "--threads", 2) in (0, 2)
    shown = capsys.readouterr()
    if shown.out:  # the process may use another number of threads already
        result = json.loads(shown.out)
        assert result["run"] == str(tmp_path / "again")
        assert result["epochs"] == 4
        assert 0 <= result["val_accuracy"] <= 1


def test_the_same_seed_gives_the_same_weights_and_another_others(
    words: tuple[object, ...], whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*words, "--out", tmp_path / "other", "--seed", 1) == 0
    assert run(*words, "--out", tmp_path / "other", "--force") == 0
    assert weights_of(tmp_path / "other") == weights_of(whole)
    assert "validation pictures right" in capsys.readouterr().out
    assert run(*words, "--out", tmp_path / "other", "--seed", 1, "--force", "--epochs", 0) == 0
    assert weights_of(tmp_path / "other") != weights_of(whole)
    assert open_run(tmp_path / "other").settings.epochs == 2


@pytest.mark.parametrize(
    ("added", "message"),
    [
        (("--resume",), "holds no training run"),
        (("--resume", "--force"), "leave one of them out"),
        (("--model", "efficientnet-lite9"), "did you mean 'efficientnet-lite"),
        (("--device", "gpu"), "a GPU was asked for"),
        (("--mixed-precision",), "mixed precision needs a GPU"),
        (("--weights", "none"), "holds its own weights; leave --weights out"),
        (("--freeze", "block99"), "the backbone has no layer 'block99'"),
        (("--epochs", 0, "--head-epochs", 0), "nothing to train"),
        (("--set", "rotaton=10"), "'rotaton=10' changes no augmentation"),
        (("--val", 1.5), "--val"),
        (("--image-size", 64), "holds its own"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(
    words: tuple[object, ...],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    added: tuple[object, ...],
    message: str,
) -> None:
    code = run(*words, "--out", tmp_path / "out", *added)
    said = capsys.readouterr().err
    assert message in said
    assert len(said.strip().splitlines()) == 1
    assert code == 2
    assert not (tmp_path / "out").exists()


def test_pictures_model_and_folder_have_to_be_given(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, words: tuple[object, ...]
) -> None:
    for given, message in (
        (("--out", tmp_path / "out"), "give DATA"),
        ((words[0], "--out", tmp_path / "out"), "give --model NAME"),
        (words, "with --out"),
    ):
        assert run(*given) == 2
        assert message in capsys.readouterr().err


def test_unequal_classes_are_reported(
    words: tuple[object, ...],
    pictures: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = tmp_path / "unequal"
    shutil.copytree(pictures, folder)
    for path in sorted((folder / "red").iterdir())[4:]:
        path.unlink()
    sheet = tmp_path / "sheet.png"
    assert run(folder, *words[1:], "--preview", sheet) == 0
    said = " ".join(capsys.readouterr().err.split())
    assert "the classes are unequal" in said
    assert "of 'red'; --balance weights or sample" in said
    assert run(folder, *words[1:], "--preview", sheet, "--balance", "weights") == 0
    assert "unequal" not in capsys.readouterr().err


def test_a_preview_is_a_picture_and_no_run(
    words: tuple[object, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sheet = tmp_path / "sheet.png"
    assert run(*words, "--augment", "standard", "--set", "rotation=30", "--preview", sheet) == 0
    assert sheet.read_bytes().startswith(b"\x89PNG")
    assert capsys.readouterr().out == f"wrote {sheet}\n"
    assert list(tmp_path.iterdir()) == [sheet]


def begin(words: tuple[object, ...], out: Path) -> subprocess.Popen[str]:
    """Begin a run of hours in a process of its own, and wait for its first checkpoint."""
    command = [
        sys.executable, "-m", "mejiro", "train", *map(str, words), "--out", str(out),
        "--head-epochs", "3000",
    ]  # fmt: skip
    environment = {**os.environ, "PYTHONWARNINGS": "ignore"}
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    )
    deadline = time.monotonic() + 240
    while not (out / "checkpoint" / "state.npz").is_file():
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline, "no checkpoint was written"
        time.sleep(0.02)
    return process


def test_the_process_may_be_killed_and_interrupted(
    words: tuple[object, ...],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "out"
    with begin(words, out) as process:
        process.kill()
    assert (out / "checkpoint" / "state.npz").is_file()
    # Nothing has to be said again, and what is said has to be the same.
    assert run("--out", out, "--resume", "--batch-size", 4) == 2
    assert "begun with batch_size '8', found '4'" in capsys.readouterr().err
    command = [sys.executable, "-m", "mejiro", "train", "--out", str(out), "--resume"]
    before = (out / "checkpoint" / "state.npz").stat().st_mtime_ns
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 240
        while (out / "checkpoint" / "state.npz").stat().st_mtime_ns == before:
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        said = process.communicate(timeout=120)[1]
        assert process.returncode == 130
    assert said.count("\n") == 1
    assert f"go on with `mejiro train --out {out} --resume`" in said
    assert open_run(out).settings.phases[0].epochs == 3000


def test_a_finished_run_says_so(
    whole: Path, capsys: pytest.CaptureFixture[str], words: tuple[object, ...]
) -> None:
    assert run("--out", whole, "--resume") == 2
    assert "is finished" in capsys.readouterr().err
    assert run(*words, "--out", whole) == 2
    assert "--resume" in capsys.readouterr().err
    with np.load(whole / "predictions.npz") as kept:
        assert kept["probabilities"].shape == (17, 3)

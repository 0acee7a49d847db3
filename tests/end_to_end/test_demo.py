"""The demonstration goes the whole way, and what it shows is recognised."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from mejiro.demo.folder import MARK
from mejiro.zoo import imagenet_labels

pytestmark = pytest.mark.slow

DEMO = [sys.executable, "-m", "mejiro", "demo"]
FRAMES = 120
COLOURS = {"red": (0, 0, 200), "green": (0, 200, 0), "blue": (200, 0, 0)}
# Enough of a classifier to go the whole way: the mean red, green and blue of a picture.
WRITE_COLOUR_MODEL = """
import sys
from pathlib import Path
import numpy as np
from mejiro.model import FloatModel
from mejiro.tensorflow import load_keras
from mejiro.zoo import save_float_model
from mejiro_runtime.card import Scores
from mejiro_runtime.preprocess import InputSpec, TensorType
from mejiro_runtime.types import Label
keras = load_keras()
inputs = keras.Input((32, 32, 3), name="pixels")
x = keras.layers.Conv2D(3, 1, use_bias=False, name="conv")(inputs)
x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
x = keras.layers.Dense(3, name="classifier")(x)
model = keras.Model(inputs, keras.layers.Softmax(name="probabilities")(x))
model.get_layer("conv").set_weights([np.eye(3, dtype=np.float32)[None, None]])
model.get_layer("classifier").set_weights([4 * np.eye(3, dtype=np.float32), np.zeros(3)])
spec = InputSpec(32, 32, scale=(1 / 128,), offset=(-1.0,), dtype=TensorType.FLOAT32)
labels = tuple(Label(i, name) for i, name in enumerate(("red", "green", "blue")))
opened = FloatModel("colours", model, spec, labels, Scores.PROBABILITIES)
save_float_model(opened, Path(sys.argv[1]))
"""


@dataclass(frozen=True)
class Done:
    """Hold a finished demonstration: its folder, its report, and what it said meanwhile."""

    folder: Path
    report: dict[str, Any]
    stderr: str

    def scene(self, photograph: str) -> dict[str, Any]:
        """Return what was seen of one photograph."""
        found: dict[str, Any] = next(
            scene for scene in self.report["scenes"] if scene["photograph"] == photograph
        )
        return found


def run_demo(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*DEMO, "--out", str(folder), *options],
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
    )


def test_the_whole_way(tmp_path: Path) -> None:
    """Run the demonstration as `make demo` does, but over a shorter video, and look at all of it.

    One test, not one for each check: parallel workers would each run the demonstration.
    """
    folder = tmp_path / "mejiro-demo"
    finished = run_demo(folder, "--frames", str(FRAMES), "--json")
    assert finished.returncode == 0, finished.stderr
    done = Done(folder, json.loads(finished.stdout), finished.stderr)
    check_that_recognisable_things_were_recognised(done)
    check_that_int8_answers_as_float_does(done)
    check_that_the_device_verified_and_measured_both_files(done)
    check_that_the_environment_is_slim(done)
    check_what_the_folder_holds(done)
    check_that_each_stage_s_time_was_told(done)


def check_that_recognisable_things_were_recognised(done: Done) -> None:
    for photograph in ("cat", "coffee", "motorcycle", "tripod", "rocket"):
        scene = done.scene(photograph)
        assert scene["frames"] == FRAMES // 10
        assert scene["right"] >= 0.8 * scene["frames"], scene["seen"]
        assert imagenet_labels()[scene["top"][0]["index"]].short in scene["accepted"]
    cats = {"tabby", "tiger cat", "Egyptian cat", "Persian cat", "Siamese cat"}
    assert set(done.scene("cat")["seen"]) <= cats
    assert set(done.scene("coffee")["seen"]) <= {"espresso", "cup", "coffee mug"}
    for photograph in ("astronaut", "coins"):
        assert done.scene(photograph)["right"] is None
        assert done.scene(photograph)["accepted"] == []


def check_that_int8_answers_as_float_does(done: Done) -> None:
    assert done.report["data"] is None
    for entry in done.report["artifacts"]:
        agreement = entry["agreement"]
        assert agreement["views"] == 96
        assert agreement["first"] >= 0.95 * agreement["views"]
        assert entry["evaluation"] is None
        assert entry["size_bytes"] < 0.3 * done.report["reference"]["size_bytes"]
    video = done.report["video"]
    assert video["frames"] == FRAMES
    assert video["same_first_answer"] >= 0.95 * FRAMES


def check_that_the_device_verified_and_measured_both_files(done: Done) -> None:
    engines = [entry["bench"]["backend"]["engine"] for entry in done.report["artifacts"]]
    assert engines == ["ai-edge-litert", "onnxruntime"]
    for entry in done.report["artifacts"]:
        assert entry["verification"]["passed"] is True
        assert entry["bench"]["frames"] == 200
        assert len(entry["video"]["frame_to_label_ns"]) == FRAMES
        # A large parent's memory must not be taken for that of the small runtime.
        assert entry["bench"]["peak_memory_bytes"] < 400_000_000


def check_that_the_environment_is_slim(done: Done) -> None:
    environment = done.report["environment"]
    assert environment["own"] is True
    packages = {name.lower().replace("_", "-") for name in environment["packages"]}
    assert {"mejiro-runtime", "numpy", "ai-edge-litert", "onnxruntime"} <= packages
    assert not {"mejiro", "tensorflow", "keras", "click", "onnx", "torch"} & packages
    program = done.folder / "venv" / "bin" / "mejiro-run"
    said = subprocess.run(
        [program, "info", done.folder / "bundle"], capture_output=True, text=True, check=True
    )
    assert "efficientnet-lite0-int8.tflite: int8" in said.stdout


def check_what_the_folder_holds(done: Done) -> None:
    assert {path.name for path in done.folder.iterdir()} == {
        MARK, "bundle", "models", "pictures", "report.html", "report.json", "summary.jpg",
        "venv", "video.avi",
    }  # fmt: skip
    assert json.loads((done.folder / "report.json").read_text()) == done.report
    page = (done.folder / "report.html").read_text()
    assert "efficientnet-lite0, from float to a device" in page
    assert str(done.folder.parent) not in page
    assert str(done.folder.parent) not in (done.folder / "report.json").read_text()


def check_that_each_stage_s_time_was_told(done: Done) -> None:
    for name in ("convert", "make an environment", "measure on the device", "together"):
        assert any(line.endswith(f" s  {name}") for line in done.stderr.splitlines()), name
    assert "make an environment" in done.report["elapsed_ns"]


def write_colours(folder: Path) -> Path:
    """Write a model that tells colours, and pictures of them; return where the model is."""
    rng = np.random.default_rng(11)
    for name, bgr in COLOURS.items():
        (folder / "pictures" / name).mkdir(parents=True)
        for index in range(4):
            picture = (np.array(bgr) + rng.integers(0, 50, (48, 64, 3))).astype(np.uint8)
            assert cv2.imwrite(str(folder / "pictures" / name / f"{index}.png"), picture)
    (folder / "pictures" / "red" / "broken.jpg").write_text("no picture")
    model = folder / "colours"
    subprocess.run([sys.executable, "-c", WRITE_COLOUR_MODEL, str(model)], check=True)
    return model


def test_a_model_of_one_s_own_is_scored_on_labelled_pictures(tmp_path: Path) -> None:
    model, folder = write_colours(tmp_path), tmp_path / "demo"
    finished = run_demo(
        folder, "--model", str(model), "--data", str(tmp_path / "pictures"),
        "--frames", "10", "--no-environment",
    )  # fmt: skip
    assert finished.returncode == 0, finished.stderr
    report = json.loads((folder / "report.json").read_text())
    assert report["data"] == "pictures"
    for entry in (*report["artifacts"], report["reference"]):
        assert entry["evaluation"]["pictures"] == 12
        assert entry["evaluation"]["top1"] == 1.0
        assert len(entry["evaluation"]["unreadable"]) == 1
    assert all(scene["right"] is None for scene in report["scenes"])
    assert report["environment"]["own"] is False
    assert "note: The bundle ran in the environment that wrote it" in finished.stdout
    assert "top-1 on 12 pictures of pictures" in finished.stdout
    assert "The bundle ran in the environment that wrote it" in (folder / "report.html").read_text()
    assert not (folder / "venv").exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--frames", "9"], "needs that many frames or more, found 9"),
        (["--model", "no-such-net"], "there is no model or file 'no-such-net'"),
    ],
)
def test_what_cannot_work_is_one_line_and_leaves_no_report(
    tmp_path: Path, options: list[str], words: str
) -> None:
    finished = run_demo(tmp_path / "demo", *options)
    assert finished.returncode == 2
    (line,) = finished.stderr.splitlines()
    assert line.startswith("mejiro: error: ")
    assert words in line
    assert not (tmp_path / "demo" / "report.html").exists()


def test_a_foreign_folder_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    finished = run_demo(tmp_path)
    assert finished.returncode == 2
    assert "holds files that are not a demo's" in finished.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_ctrl_c_leaves_nothing_half_written_and_the_next_run_is_let_in(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    with subprocess.Popen(
        [*DEMO, "--out", str(folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stderr is not None
        told = process.stderr.readline()  # the model is open, the conversion begins
        assert told.endswith("open the model\n")
        deadline = time.monotonic() + 120
        while not list(folder.glob("models/.converting.*")) and time.monotonic() < deadline:
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGINT)
        rest = process.stderr.read()
        code = process.wait(timeout=120)
    assert (code, rest.splitlines()[-1:]) == (130, ["mejiro: error: interrupted"]), rest
    assert "Traceback" not in rest
    assert {path.name for path in folder.iterdir()} <= {MARK, "models"}
    assert not list(folder.glob("models/.converting.*"))
    finished = run_demo(folder, "--model", "no-such-net", "--no-environment")
    assert "there is no model" in finished.stderr

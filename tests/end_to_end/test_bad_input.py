"""What goes wrong is one line on stderr, the right exit code, and nothing half done."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

pytestmark = pytest.mark.slow

MEJIRO = [sys.executable, "-m", "mejiro"]
RUN = [sys.executable, "-m", "mejiro_runtime"]
COLOURS = {"red": (0, 0, 200), "green": (0, 200, 0), "blue": (200, 0, 0)}


def _graph(*, inputs: int = 1, batch: int | str = 1, weight: int = 0) -> onnx.ModelProto:
    """Return a classifier of the mean colour; `weight` adds that many bytes of ballast."""
    pixels = [
        helper.make_tensor_value_info(f"pixels{i}", TensorProto.UINT8, [batch, 16, 16, 3])
        for i in range(inputs)
    ]
    constants = [numpy_helper.from_array(np.eye(3, dtype=np.float32) / 10, "matrix")]
    nodes = [
        helper.make_node("Cast", ["pixels0"], ["real"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["real"], ["means"], axes=[1, 2], keepdims=0),
        helper.make_node("MatMul", ["means", "matrix"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["scores"], axis=1),
    ]
    if weight:
        constants.append(numpy_helper.from_array(np.zeros(weight, np.uint8), "ballast"))
        nodes.append(helper.make_node("Identity", ["ballast"], ["unused"]))
    scores = helper.make_tensor_value_info("scores", TensorProto.FLOAT, [batch, 3])
    graph = helper.make_graph(nodes, "colours", pixels, [scores], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@pytest.fixture
def world(tmp_path: Path) -> Path:
    """Return a folder with a model, its labels, an adopted artifact, and pictures of colours."""
    onnx.save(_graph(), tmp_path / "colours.onnx")
    (tmp_path / "labels.txt").write_text("red\ngreen\nblue\n")
    rng = np.random.default_rng(3)
    for colour, bgr in COLOURS.items():
        (tmp_path / "pictures" / colour).mkdir(parents=True)
        for index in range(3):
            picture = (np.array(bgr) + rng.integers(0, 50, (40, 50, 3))).astype(np.uint8)
            assert cv2.imwrite(str(tmp_path / "pictures" / colour / f"{index}.png"), picture)
    done = _call(
        [*MEJIRO, "adopt", "colours.onnx", "--labels", "labels.txt", "--out", "adopted"], tmp_path
    )
    assert done.returncode == 0, done.stderr
    return tmp_path


def _call(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=False, timeout=300
    )


def _refused(done: subprocess.CompletedProcess[str], code: int, *words: str) -> None:
    """Check the exit code, and that one line on stderr says all of `words`."""
    assert done.returncode == code, done.stderr
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1, done.stderr
    for word in words:
        assert word in lines[0]


def _tree(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


ADOPTED = "adopted/colours.onnx"


def test_folders_without_pictures(world):
    (world / "empty").mkdir()
    before = _tree(world)
    _refused(_call([*MEJIRO, "evaluate", ADOPTED, "--data", "empty"], world), 1, "empty")
    _refused(_call([*MEJIRO, "evaluate", ADOPTED, "--data", "absent"], world), 1, "absent")
    done = _call([*MEJIRO, "bundle", ADOPTED, "--golden", "empty", "--out", "b"], world)
    _refused(done, 1, "empty", "golden")
    words = ["convert", "mobilenet-v2", "--weights", "none", "--calibration", "empty", "--out", "o"]
    _refused(_call([*MEJIRO, *words], world), 1, "empty", "pictures")
    assert _tree(world) == before


def test_a_text_file_named_like_a_picture(world):
    (world / "pictures" / "red" / "words.jpg").write_text("these are words")
    done = _call([*MEJIRO, "evaluate", ADOPTED, "--data", "pictures"], world)
    assert done.returncode == 0
    assert "top-1 100.0%" in done.stdout
    assert "words.jpg" in done.stderr
    done = _call([*MEJIRO, "bundle", ADOPTED, "--golden", "pictures", "--out", "b"], world)
    assert done.returncode == 0
    done = _call([*RUN, "run", "b", "--source", "pictures/red/words.jpg"], world)
    _refused(done, 1, "words.jpg", "not a picture")
    done = _call([*RUN, "run", "b", "--source", "pictures/red", "--json"], world)
    assert done.returncode == 0
    assert '"skipped": ["words.jpg"]' in done.stdout.splitlines()[-1]


@pytest.mark.parametrize("kept", [0, 3, 100, 300])
def test_truncated_models(world, kept):
    for name in ("cut.onnx", "cut.tflite"):
        (world / name).write_bytes((world / "colours.onnx").read_bytes()[:kept])
        done = _call(
            [*MEJIRO, "adopt", name, "--labels", "labels.txt", "--out", "cut-adopted"], world
        )
        _refused(done, 1, name)
    assert not (world / "cut-adopted").exists()


def test_a_model_with_two_inputs_or_wrong_labels(world):
    onnx.save(_graph(inputs=2), world / "two.onnx")
    words = ["adopt", "two.onnx", "--labels", "labels.txt", "--out", "o"]
    _refused(_call([*MEJIRO, *words], world), 1, "two.onnx", "inputs")
    (world / "few.txt").write_text("red\n")
    words = ["adopt", "colours.onnx", "--labels", "few.txt", "--out", "o"]
    done = _call([*MEJIRO, *words], world)
    assert done.returncode in (1, 2)
    _refused(done, done.returncode, "1", "3")
    assert not (world / "o").exists()


def test_a_dynamic_batch_is_fixed_and_said(world):
    onnx.save(_graph(batch="N"), world / "open.onnx")
    words = ["adopt", "open.onnx", "--labels", "labels.txt", "--out", "o", "--json"]
    done = _call([*MEJIRO, *words], world)
    assert done.returncode == 0, done.stderr
    assert "batch" in done.stdout
    fixed = onnx.load(world / "o" / "open.onnx")
    assert fixed.graph.input[0].type.tensor_type.shape.dim[0].dim_value == 1
    done = _call([*MEJIRO, "evaluate", "o/open.onnx", "--data", "pictures"], world)
    assert "top-1 100.0%" in done.stdout


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Mount a disk of 256 kB, which only root may."""
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("only root can mount a small disk to fill")
    place = tmp_path / "disk"
    place.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(place)], check=False
    )
    if done.returncode != 0:
        pytest.skip("this machine lets nobody mount a tmpfs")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_full_disk_leaves_nothing_behind(world, small_disk):
    onnx.save(_graph(weight=400_000), world / "heavy.onnx")
    words = ["adopt", "heavy.onnx", "--labels", "labels.txt", "--out", str(small_disk / "a")]
    _refused(_call([*MEJIRO, *words], world), 1, "No space left")
    words = ["adopt", "heavy.onnx", "--labels", "labels.txt", "--out", "heavy"]
    assert _call([*MEJIRO, *words], world).returncode == 0
    words = ["bundle", "heavy/heavy.onnx", "--out", str(small_disk / "b")]
    _refused(_call([*MEJIRO, *words], world), 1, "No space left")
    words = ["convert", "mobilenet-v3-small", "--weights", "none", "--format", "tflite"]
    done = _call([*MEJIRO, *words, "--precision", "fp32", "--out", str(small_disk / "c")], world)
    assert done.returncode == 1
    assert "No space left" in done.stderr.splitlines()[-1]
    assert list(small_disk.iterdir()) == []


def test_ctrl_c_in_a_run_reports_and_leaves_130(world):
    done = _call([*MEJIRO, "bundle", ADOPTED, "--out", "b"], world)
    assert done.returncode == 0
    command = [*RUN, "run", "b", "--source", "synthetic:64x48@50", "--json"]
    with subprocess.Popen(
        command, cwd=world, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert '"frame": 0' in first
    assert '"summary"' in out.splitlines()[-1]
    assert process.returncode == 130
    assert len(err.strip().splitlines()) == 1


@pytest.mark.parametrize(
    "words",
    [
        ["adopt", "colours.onnx", "--labels", "labels.txt", "--out", "o"],
        ["evaluate", ADOPTED, "--data", "pictures"],
        ["bundle", ADOPTED, "--out", "o"],
    ],
)
@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="needs Linux's /proc")
def test_ctrl_c_while_a_command_works(world, words):
    # Nine pictures are scored before a busy machine gets round to sending a signal.
    picture = world / "pictures" / "red" / "0.png"
    for index in range(4000):
        (picture.parent / f"again-{index}.png").hardlink_to(picture)
    before = _tree(world)
    with subprocess.Popen(
        [*MEJIRO, *words], cwd=world, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        # The libraries of ONNX are loaded by the command itself, at the beginning of its work.
        maps = Path(f"/proc/{process.pid}/maps")
        while "onnx" not in maps.read_text():
            assert process.poll() is None, process.communicate()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert err.splitlines()[-1] == "mejiro: error: interrupted"
    assert process.returncode == 130, (out, err)
    assert "Traceback" not in err
    assert _tree(world) == before

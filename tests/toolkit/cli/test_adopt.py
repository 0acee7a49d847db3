from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from mejiro.cli import main
from mejiro.model import Artifact
from mejiro_runtime.card import Scores
from mejiro_runtime.heads import Head
from mejiro_runtime.preprocess import InputSpec, Layout, ResizeMode, TensorType
from mejiro_runtime.types import PixelOrder


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """Return an ONNX classifier with an open batch: the mean of each channel, through a softmax."""
    nodes = [
        helper.make_node("GlobalAveragePool", ["image"], ["mean"]),
        helper.make_node("Flatten", ["mean"], ["flat"]),
        helper.make_node("Softmax", ["flat"], ["scores"], axis=1),
    ]
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ("N", 3, 8, 8))
    scores = helper.make_tensor_value_info("scores", TensorProto.FLOAT, ("N", 3))
    graph = helper.make_graph(nodes, "colours", [image], [scores])
    opsets = [helper.make_opsetid("", 17)]
    path = tmp_path / "colours.onnx"
    onnx.save_model(helper.make_model(graph, opset_imports=opsets, ir_version=8), path)
    return path


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    path = tmp_path / "labels.txt"
    path.write_text("red\ngreen\nblue\n")
    return path


def run(*words: object) -> int:
    return main(["adopt", *map(str, words)])


def test_what_was_found_is_printed(
    model: Path, labels: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert run(model, "--labels", labels, "--normalize", "0..1", "--out", out) == 0
    shown = capsys.readouterr().out
    assert shown.startswith(f"{out / 'colours.onnx'} (")
    for line in ("input: 8x8, float32, NCHW", "classes: 3", "the open batch was fixed to 1"):
        assert f"  {line}\n" in shown
    assert Artifact.open(out / "colours.onnx").card.input.layout is Layout.NCHW


def test_json_is_the_card(
    model: Path, labels: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert run(model, "--labels", labels, "--normalize", "imagenet", "--out", out, "--json") == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown.pop("artifact") == str(out / "colours.onnx")
    assert shown == json.loads((out / "colours.onnx.json").read_text())


def test_every_option_reaches_the_card(model: Path, labels: Path, tmp_path: Path) -> None:
    options = "--normalize -1..1 --order bgr --resize letterbox --crop-fraction 0.9"
    options += " --scores logits --background first"
    assert run(model, "--labels", labels, "--out", tmp_path / "out", *options.split()) == 0
    card = Artifact.open(tmp_path / "out" / "colours.onnx").card
    assert card.input.order is PixelOrder.BGR
    assert card.input.resize is ResizeMode.LETTERBOX
    assert card.input.crop_fraction == 0.9
    assert (card.output.scores, card.output.background) == (Scores.LOGITS, 0)


def test_an_input_specification_comes_from_a_file(
    model: Path, labels: Path, tmp_path: Path
) -> None:
    spec = InputSpec(8, 8, dtype=TensorType.FLOAT32, layout=Layout.NCHW, scale=(1 / 128,))
    file = tmp_path / "spec.json"
    file.write_text(json.dumps(spec.to_json()))
    assert run(model, "--labels", labels, "--input-spec", file, "--out", tmp_path / "out") == 0
    assert Artifact.open(tmp_path / "out" / "colours.onnx").card.input == spec


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--labels", "labels.txt"], 2, "give --normalize"),
        (["--normalize", "0..1"], 2, "give --labels FILE"),
        (["--labels", "none.txt", "--normalize", "0..1"], 1, "none.txt cannot be read"),
        (["--labels", "short.txt", "--normalize", "0..1"], 1, "gives 3 scores, found 1 labels"),
        (["--labels", "labels.txt", "--normalize", "wild"], 2, "'wild' is not one of"),
        (["--labels", "labels.txt", "--input-spec", "labels.txt"], 1, "is not valid JSON"),
    ],
)
def test_what_is_missing_or_wrong_is_one_line(
    model: Path,
    labels: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    words: list[str],
    code: int,
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "short.txt").write_text("red\n")
    assert run(model.name, *words, "--out", "out") == code
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("mejiro: error: ")
    assert shown.err.count("\n") == 1
    assert said in shown.err
    assert not (tmp_path / "out").exists()
    assert labels.exists()


def test_a_disk_that_takes_no_more_is_one_line(model: Path, labels: Path, tmp_path: Path) -> None:
    """Let the system itself refuse to write a file larger than 100 bytes."""
    words = [str(model), "--labels", str(labels), "--normalize", "0..1", "--out", "out"]
    program = (
        "import resource, sys; from mejiro.cli import main; "
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100, resource.RLIM_INFINITY)); "
        "sys.exit(main(['adopt', *sys.argv[1:]]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *words],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    assert done.stderr.startswith("mejiro: error: out cannot be written: File too large")
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_options_of_other_tasks_reach_the_card(tmp_path: Path) -> None:
    """A row for each box: centre, size, whether there is one, and two classes."""
    nodes = [
        helper.make_node("Reshape", ["image", "shape"], ["rows"]),
        helper.make_node(
            "Concat", ["rows", "rows", "rows", "rows", "rows", "rows", "rows"], ["made"], axis=2
        ),
    ]
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, (1, 3, 4, 4))
    made = helper.make_tensor_value_info("made", TensorProto.FLOAT, (1, 48, 7))
    shape = helper.make_tensor("shape", TensorProto.INT64, [3], [1, 48, 1])
    graph = helper.make_graph(nodes, "boxes", [image], [made], [shape])
    opsets = [helper.make_opsetid("", 17)]
    path, labels = tmp_path / "boxes.onnx", tmp_path / "labels.txt"
    onnx.save_model(helper.make_model(graph, opset_imports=opsets, ir_version=8), path)
    labels.write_text("cat\ndog\n")
    words = [
        "--task",
        "detection",
        "--labels",
        labels,
        "--normalize",
        "0..1",
        "--out",
        tmp_path / "o",
    ]
    more = "--head yolo_objectness --roles 0 --activation sigmoid --unit pixels"
    more += " --threshold 0.25 --iou 0.4 --resize stretch"
    assert run(path, *words, *more.split()) == 0
    card = Artifact.open(tmp_path / "o" / "boxes.onnx").card
    spec = card.output.detection
    assert spec is not None
    assert (spec.head, spec.roles, spec.sigmoid) == (Head.YOLO_OBJECTNESS, (0,), True)
    assert (spec.pixels, spec.threshold, spec.iou) == (True, 0.25, 0.4)
    assert card.input.resize is ResizeMode.STRETCH
    assert card.output.scores is Scores.LOGITS


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--head", "yolo"], "give --task detection"),
        (["--task", "detection", "--roles", "a,b"], "--roles takes places"),
        (["--task", "detection", "--state", "one"], "--state takes INPUT=OUTPUT"),
        (["--state", "one=two"], "has no input one for --state; it has none but the picture"),
        (["--task", "dancing"], "'dancing' is not one of"),
        (["--task", "detection", "--anchors", "labels.txt"], "is not valid JSON"),
        (["--task", "segmentation"], "which is no map of a picture"),
    ],
)
def test_wrong_words_about_other_tasks_are_one_line(
    model: Path,
    labels: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    words: list[str],
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(model, "--labels", labels.name, "--normalize", "0..1", *words, "--out", "out") != 0
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.count("\n") == 1
    assert said in shown.err
    assert not (tmp_path / "out").exists()

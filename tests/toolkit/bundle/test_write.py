"""Bundles are whole, the same bytes each time, and verify where they were made."""

from __future__ import annotations

import filecmp
import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from mejiro.bundle import BundleOptions, write_bundle
from mejiro.cli import main
from mejiro.errors import DataError, UsageError
from mejiro.export.adopt import Hints, Normalize, Other, adopt
from mejiro.model import Artifact
from mejiro_runtime.bundle import open_bundle
from mejiro_runtime.card import OutputSpec, Task, card_path
from mejiro_runtime.errors import BundleError
from mejiro_runtime.files import write_json
from mejiro_runtime.golden import read_arrays
from mejiro_runtime.model import open_model
from mejiro_runtime.types import Label
from mejiro_runtime.verify import Stage, verify


def _files(folder: Path) -> list[str]:
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


def test_a_bundle_holds_what_a_device_needs(colour_model, colour_pictures, tmp_path):
    artifact = colour_model()
    options = BundleOptions(golden=colour_pictures())
    bundle = write_bundle([artifact], tmp_path / "out", options=options)
    files = _files(tmp_path / "out")
    assert "models/colours-fp32.onnx" in files
    assert "labels.txt" in files
    assert "README.md" in files
    assert any(name.startswith("wheels/mejiro_runtime-") for name in files)
    assert bundle.manifest.golden.count == 8
    assert [label.name for label in bundle.labels] == ["red", "green", "blue"]
    assert [label.synset for label in bundle.labels] == [f"n0000000{i}" for i in range(3)]
    readme = (tmp_path / "out" / "README.md").read_text()
    assert "colours-fp32.onnx" in readme
    assert "onnxruntime" in readme
    assert "ai-edge-litert" not in readme.split("## Use")[0].split("pip install wheels")[1][:80]


def test_the_same_inputs_give_the_same_bytes(colour_model, colour_pictures, tmp_path):
    artifact, options = colour_model(), BundleOptions(name="twin", golden=colour_pictures())
    for name in ("one", "two"):
        write_bundle([artifact], tmp_path / name, options=options)
    names = _files(tmp_path / "one")
    assert names == _files(tmp_path / "two")
    _, differing, failed = filecmp.cmpfiles(
        tmp_path / "one", tmp_path / "two", names, shallow=False
    )
    assert (differing, failed) == ([], [])


def test_a_written_bundle_verifies_to_the_bit(colour_model, colour_pictures, tmp_path):
    options = BundleOptions(golden=colour_pictures())
    bundle = write_bundle([colour_model()], tmp_path / "out", options=options)
    card = bundle.card()
    with open_model(bundle.model_path(card), card) as model:
        verdict = verify(bundle, model)
    assert verdict.passed
    assert verdict.largest_output <= 1e-6


def test_golden_frames_have_many_sizes_and_decided_answers(colour_model, colour_pictures, tmp_path):
    options = BundleOptions(golden=colour_pictures(each=1))  # fewer pictures than frames
    bundle = write_bundle([colour_model()], tmp_path / "out", options=options)
    golden = bundle.manifest.golden
    frames = read_arrays(bundle.folder / golden.frames, golden.count)
    assert len({frame.shape for frame in frames}) >= 5
    outputs = read_arrays(bundle.folder / golden.expected[0].outputs, golden.count)
    for scores in outputs:
        first, second = np.sort(scores)[::-1][:2]
        assert first - second > 0.5


def test_artifacts_with_one_input_specification_share_its_tensors(
    colour_model, colour_pictures, tmp_path
):
    artifacts = [colour_model("soft"), colour_model("hard", sharpness=0.2)]
    options = BundleOptions(golden=colour_pictures())
    bundle = write_bundle(artifacts, tmp_path / "out", options=options)
    assert len({entry.inputs for entry in bundle.manifest.golden.expected}) == 1
    assert len({entry.outputs for entry in bundle.manifest.golden.expected}) == 2


def test_a_model_with_other_channel_order_is_caught_by_the_golden_frames(
    colour_model, colour_pictures, tmp_path
):
    options = BundleOptions(golden=colour_pictures())
    bundle = write_bundle([colour_model()], tmp_path / "out", options=options)
    swapped = colour_model(order="bgr", folder=tmp_path)
    with open_model(swapped.path, bundle.card()) as model:
        verdict = verify(bundle, model)
    assert not verdict.passed
    assert verdict.difference is not None
    assert verdict.difference.stage is Stage.INFER


@pytest.mark.requires_tool("sha256sum")
def test_sha256sum_checks_a_bundle_without_mejiro(colour_model, colour_pictures, tmp_path):
    options = BundleOptions(golden=colour_pictures())
    write_bundle([colour_model()], tmp_path / "out", options=options)
    done = subprocess.run(
        ["sha256sum", "--check", "--strict", "SHA256SUMS"], cwd=tmp_path / "out", check=False
    )
    assert done.returncode == 0


def test_an_existing_folder_is_replaced_only_when_told_and_only_if_a_bundle(
    colour_model, colour_pictures, tmp_path
):
    golden = colour_pictures()
    artifact, out = colour_model(), tmp_path / "out"
    write_bundle([artifact], out, options=BundleOptions(golden=golden))
    with pytest.raises(UsageError, match="--replace"):
        write_bundle([artifact], out, options=BundleOptions(golden=golden))
    other = colour_model("other")
    write_bundle([other], out, options=BundleOptions(golden=golden, replace=True))
    assert open_bundle(out).card().file == "other.onnx"
    foreign = tmp_path / "photos"
    foreign.mkdir()
    (foreign / "holiday.jpg").write_bytes(b"x")
    with pytest.raises(UsageError, match="not a bundle"):
        write_bundle([artifact], foreign, options=BundleOptions(golden=golden, replace=True))
    assert (foreign / "holiday.jpg").read_bytes() == b"x"


def test_a_failure_leaves_nothing_behind_and_the_old_bundle_in_place(
    colour_model, colour_pictures, tmp_path, monkeypatch
):
    golden, artifact, out = colour_pictures(), colour_model(), tmp_path / "out"
    write_bundle([artifact], out, options=BundleOptions(golden=golden))
    before = {p: (out / p).read_bytes() for p in _files(out)}

    def fail(folder: Path) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("mejiro.bundle.write.write_runtime_wheel", fail)
    with pytest.raises(OSError, match="No space left"):
        write_bundle([artifact], out, options=BundleOptions(golden=golden, replace=True))
    assert {p: (out / p).read_bytes() for p in _files(out)} == before
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(".out")]


def test_artifacts_that_do_not_go_together_are_refused(colour_model, tmp_path):
    one, two = colour_model("one"), colour_model("two", labels=("rot", "grün", "blau"))
    with pytest.raises(UsageError, match="different labels"):
        write_bundle([one, two], tmp_path / "out")
    with pytest.raises(UsageError, match="same name"):
        write_bundle([one, one], tmp_path / "out")
    with pytest.raises(UsageError, match="at least one"):
        write_bundle([], tmp_path / "out")


def test_unusable_golden_pictures_are_refused(colour_model, tmp_path):
    (tmp_path / "empty").mkdir()
    for folder in (tmp_path / "empty", tmp_path / "absent"):
        with pytest.raises(DataError, match="golden frames"):
            write_bundle([colour_model()], tmp_path / "out", options=BundleOptions(golden=folder))
    assert not (tmp_path / "out").exists()


def test_a_copied_bundle_opens_and_an_altered_one_does_not(colour_model, colour_pictures, tmp_path):
    options = BundleOptions(golden=colour_pictures())
    write_bundle([colour_model()], tmp_path / "out", options=options)
    shutil.copytree(tmp_path / "out", tmp_path / "copy")
    open_bundle(tmp_path / "copy")
    manifest = tmp_path / "copy" / "manifest.json"
    value = json.loads(manifest.read_text())
    value["name"] = "forged"
    manifest.write_text(json.dumps(value))
    with pytest.raises(BundleError, match="do not agree"):
        open_bundle(tmp_path / "copy")


def test_a_portrait_grey_golden_picture_works(colour_model, tmp_path):
    (tmp_path / "golden").mkdir()
    grey = np.full((90, 20), 77, np.uint8)
    grey[:, :10] = 180
    assert cv2.imwrite(str(tmp_path / "golden" / "grey.png"), grey)
    bundle = write_bundle(
        [colour_model()], tmp_path / "out", options=BundleOptions(golden=tmp_path / "golden")
    )
    assert bundle.manifest.golden.count == 8


def _retold(artifact, folder, **changes):
    """Return the same file under a card that says otherwise."""
    folder.mkdir()
    path = folder / artifact.path.name
    shutil.copyfile(artifact.path, path)
    write_json(card_path(path), replace(artifact.card, **changes).to_json())
    return Artifact.open(path)


def test_artifacts_of_other_tasks_are_bundled_apart(colour_model, colour_pictures, tmp_path):
    one = colour_model()
    other = _retold(colour_model("other"), tmp_path / "x", output=OutputSpec(Task.SEGMENTATION))
    with pytest.raises(UsageError, match=r"for classification and other.onnx for segmentation"):
        write_bundle([one, other], tmp_path / "out")


def test_a_detector_that_sees_nothing_needs_other_pictures(tmp_path):
    path = tmp_path / "blind.onnx"
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, 4, 4])
    made = helper.make_tensor_value_info("made", TensorProto.FLOAT, [1, 6, 16])
    nodes = [
        helper.make_node("Reshape", ["image", "shape"], ["flat"]),
        helper.make_node("Mul", ["flat", "zero"], ["dark"]),
        helper.make_node("Concat", ["dark", "dark"], ["made"], axis=1),
    ]
    constants = [
        numpy_helper.from_array(np.array([1, 3, 16]), "shape"),
        numpy_helper.from_array(np.float32(0), "zero"),
    ]
    graph = helper.make_graph(nodes, "blind", [image], [made], constants)
    opsets = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), path)
    labels = (Label(0, "cat"), Label(1, "dog"))
    hints, other = Hints(normalize=Normalize.UNIT), Other(Task.DETECTION)
    artifact = adopt(path, out=tmp_path / "adopted", labels=labels, hints=hints, other=other)
    with pytest.raises(DataError, match="sees nothing in any golden frame.*--golden"):
        write_bundle([artifact], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_commands_for_classifiers_refuse_another_task(colour_model, tmp_path, capsys):
    other = _retold(colour_model("other"), tmp_path / "x", output=OutputSpec(Task.SEGMENTATION))
    for words in (["evaluate"], ["compare", str(colour_model().path)]):
        assert main([*words, str(other.path), "--data", str(tmp_path)]) == 2
        shown = capsys.readouterr()
        assert "other.onnx is for segmentation, and only classifiers" in shown.err
        assert shown.err.count("\n") == 1

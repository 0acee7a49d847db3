"""Check what is read from the runtime's reports, on a real bundle in the present environment."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from mejiro.bundle import BundleOptions, write_bundle
from mejiro.demo.device import Device, RunFailed
from mejiro.demo.environment import present_environment
from mejiro.errors import QualityError
from mejiro.model import Artifact

WriteColourModel = Callable[..., Artifact]
WriteColourPictures = Callable[..., Path]


@pytest.fixture
def device(
    colour_model: WriteColourModel, colour_pictures: WriteColourPictures, tmp_path: Path
) -> Device:
    """Return a device with a bundle of one model that tells colours."""
    options = BundleOptions(golden=colour_pictures("golden"))
    bundle = write_bundle([colour_model()], tmp_path / "bundle", options=options)
    return Device(present_environment(), bundle.folder)


def test_a_bundle_verifies_and_is_measured(device: Device) -> None:
    verdict = device.verify()
    assert [entry["passed"] for entry in verdict["artifacts"]] == [True]
    report = device.bench("colours-fp32.onnx", frames=20)
    assert report["frames"] == 20
    assert report["source"] == "synthetic 640x480"
    assert report["backend"]["engine"] == "onnxruntime"
    assert report["stages"]["frame_to_label"]["p50_ns"] > 0


def test_a_run_tells_of_each_frame(device: Device, colour_pictures: WriteColourPictures) -> None:
    pictures = colour_pictures("seen", each=3) / "blue"
    run = device.run("colours-fp32.onnx", pictures, top=2)
    assert [frame["name"] for frame in run.frames] == ["0.png", "1.png", "2.png"]
    assert {frame["top"][0]["label"] for frame in run.frames} == {"blue"}
    assert [len(frame["top"]) for frame in run.frames] == [2, 2, 2]
    assert run.summary["frames"] == 3
    first = run.frames[0]
    assert run.frame_to_label_ns()[0] == (
        first["preprocess_ns"] + first["infer_ns"] + first["postprocess_ns"]
    )


def test_an_altered_bundle_is_an_error_in_the_runtime_s_words(device: Device) -> None:
    (device.bundle / "labels.txt").write_text("something else")
    with pytest.raises(RunFailed, match=r"`mejiro-run verify` failed .*labels\.txt"):
        device.verify()


@pytest.mark.parametrize(
    ("passed", "left_out", "named"), [(False, [], "net.onnx"), (True, ["net.tflite"], "net.tflite")]
)
def test_a_difference_or_an_artifact_left_out_is_an_error(
    monkeypatch: pytest.MonkeyPatch, passed: bool, left_out: list[str], named: str
) -> None:
    report = (
        f'{{"artifacts": [{{"artifact": "net.onnx", "passed": {str(passed).lower()}}}], '
        f'"not_verified": {str(left_out).replace(chr(39), chr(34))}}}'
    )

    def run(command: list[str], **settings: object) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(command, int(not passed), report, "a remark")

    monkeypatch.setattr(subprocess, "run", run)
    with pytest.raises(QualityError, match=f"^{named} gives other answers"):
        Device(present_environment(), Path("bundle")).verify()


def test_ctrl_c_in_the_runtime_is_ctrl_c_here(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(command: list[str], **settings: object) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(command, 130, "", "mejiro-run: interrupted")

    monkeypatch.setattr(subprocess, "run", run)
    with pytest.raises(KeyboardInterrupt):
        Device(present_environment(), Path("bundle")).bench("net", frames=1)

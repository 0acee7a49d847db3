"""The doctor tells what is there, and what to do about what is not."""

from __future__ import annotations

import json
from importlib import metadata
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

import pytest

from mejiro_runtime import __version__, doctor
from mejiro_runtime.backends import BACKENDS
from mejiro_runtime.doctor import examine
from mejiro_runtime.jetson import Jetson
from mejiro_runtime.sources.listing import Listed
from mejiro_runtime.sources.v4l2 import Mode


@pytest.fixture
def device(monkeypatch) -> Any:
    """Return a function that says what is installed on the device that is examined."""

    def install(*, engines: dict[str, str], packages: dict[str, str], cv2: bool = True) -> None:
        for name, row in BACKENDS.items():
            module = row.load()
            found = {
                engine: version
                for engine, version in engines.items()
                if (engine == "onnxruntime") == (name == "onnxruntime")
            }
            monkeypatch.setattr(module, "installed", lambda found=found: tuple(found))
            monkeypatch.setattr(module, "version_of", lambda engine, found=found: found[engine])

        def version(name: str) -> str:
            if name not in packages:
                raise metadata.PackageNotFoundError(name)
            return packages[name]

        monkeypatch.setattr(metadata, "version", version)
        monkeypatch.setattr("importlib.util.find_spec", lambda name: object() if cv2 else None)

    return install


def advice(found: dict[str, Any]) -> str:
    return "\n".join(found["advice"])


def test_this_device_is_described_in_plain_json() -> None:
    found = examine()
    assert json.loads(json.dumps(found)) == found
    assert found["runtime"] == __version__
    assert found["packages"]["numpy"] == metadata.version("numpy")
    for name, row in BACKENDS.items():
        assert tuple(found["engines"][name]) == row.load().installed()
    assert found["threads"] >= 1


def test_a_bare_device_is_told_what_to_install(device) -> None:
    device(engines={}, packages={"numpy": "2.2.0"}, cv2=False)
    found = examine()
    assert "no inference engine: pip install 'mejiro-runtime[litert]' (or [onnx])" in advice(found)
    assert "no OpenCV" in advice(found)
    assert found["opencv"] is False
    assert found["packages"] == {"numpy": "2.2.0"}


def test_a_complete_device_needs_no_packages(device) -> None:
    packages = {"numpy": "2.2.0", "opencv-python-headless": "5.0.0.93"}
    device(engines={"ai-edge-litert": "2.3.0", "onnxruntime": "1.32.0"}, packages=packages)
    found = examine()
    assert "pip install" not in advice(found)
    assert found["engines"] == {
        "litert": {"ai-edge-litert": "2.3.0"},
        "onnxruntime": {"onnxruntime": "1.32.0"},
    }


@pytest.mark.parametrize(("numpy", "warned"), [("1.26.4", False), ("2.0.0", True)])
def test_tflite_runtime_with_numpy_2_is_warned_of(device, numpy: str, warned: bool) -> None:
    device(engines={"tflite-runtime": "2.14.0"}, packages={"numpy": numpy})
    assert ("tflite-runtime fails with numpy 2" in advice(examine())) is warned


@pytest.mark.parametrize("names", [[], ["video0", "video10"]])
def test_cameras_are_listed_or_missed(monkeypatch, names: list[str]) -> None:
    class Device(type(Path())):  # type: ignore[misc]
        def glob(self, pattern: str, **options: Any) -> Any:
            assert (str(self), pattern) == ("/dev", "video*")
            return [Path("/dev") / name for name in reversed(names)]

    monkeypatch.setattr(doctor, "Path", Device)
    found = examine()
    assert found["cameras"] == [f"/dev/{name}" for name in names]
    # Those of the second row are not there to be asked.
    assert [one["problem"] for one in found["camera_details"]] == [
        "cannot be asked: No such file or directory" for _ in names
    ]
    told = "no camera can be used as it is" if names else "no camera found"
    assert told in advice(found)


def test_a_camera_that_gives_pictures_needs_no_advice(monkeypatch) -> None:
    camera = Listed("/dev/video0", "camera:0", "Cam", (Mode("YUYV", (8, 8), (30.0,)),), None)
    monkeypatch.setattr(doctor, "list_cameras", lambda paths: [camera])
    found = examine()
    assert "no camera" not in advice(found)
    assert found["camera_details"][0]["formats"] == {"YUYV": {"8x8": [30.0]}}


@pytest.mark.parametrize(
    ("files", "tensorrt", "told"),
    [
        (None, "10.3.0", "no ONNX Runtime for the GPU: PyPI's onnxruntime has no GPU on a Jetson"),
        ([], "10.3.0", "ONNX Runtime is the CPU's: PyPI's onnxruntime"),
        (["cuda"], "10.3.0", "has CUDA but no TensorRT: --backend onnxruntime:cuda works"),
        (["cuda", "tensorrt"], None, "TensorRT is not installed: sudo apt install nvidia-jetpack"),
        (["cuda", "tensorrt"], "10.3.0", None),
    ],
)
def test_a_jetson_is_told_what_keeps_it_from_its_gpu(
    monkeypatch, tmp_path, files: list[str] | None, tensorrt: str | None, told: str | None
) -> None:
    found = Jetson("NVIDIA Jetson Orin Nano", "36.4.3", "6.2")
    spec = None
    if files is not None:
        (tmp_path / "capi").mkdir()
        for name in files:
            (tmp_path / "capi" / f"libonnxruntime_providers_{name}.so").touch()
        spec = ModuleSpec("onnxruntime", None, origin=str(tmp_path / "__init__.py"))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: spec)
    monkeypatch.setattr(doctor, "tensorrt_version", lambda: tensorrt)
    said = doctor.gpu_advice(found)
    assert (said is None) if told is None else said.startswith(told) or told in said


def test_a_jetson_is_named(monkeypatch, say) -> None:
    found = Jetson("NVIDIA Jetson Orin Nano", "36.4.3", None)
    monkeypatch.setattr(doctor, "find_jetson", lambda: found)
    monkeypatch.setattr(doctor, "gpu_advice", lambda found: "get the wheel")
    assert examine()["jetson"] == {"model": found.model, "l4t": "36.4.3", "jetpack": None}
    code, out, _ = say("doctor")
    assert code == 0
    assert "Jetson Linux 36.4.3, JetPack unknown" in out
    assert "advice: get the wheel" in out


def test_the_place_of_the_cache_is_told(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("MEJIRO_CACHE", str(tmp_path))
    assert examine()["cache"] == str(tmp_path)
    monkeypatch.setattr(doctor, "cache_folder", lambda: None)
    assert examine()["cache"] is None

"""Look at this device: what is installed, what works, and what to do about the rest."""

from __future__ import annotations

import importlib.util
from importlib import metadata
from pathlib import Path
from typing import Any

from mejiro_runtime import android
from mejiro_runtime._version import __version__
from mejiro_runtime.backends import BACKENDS, default_threads
from mejiro_runtime.backends.engine_cache import tensorrt_version
from mejiro_runtime.backends.probe import cache_folder
from mejiro_runtime.jetson import Jetson, find_jetson
from mejiro_runtime.sources.listing import list_cameras
from mejiro_runtime.telemetry import describe_machine, temperature_celsius

_ENGINES = "pip install 'mejiro-runtime[litert]' (or [onnx])"


def examine() -> dict[str, Any]:
    """Return what there is, as plain JSON values; `advice` lists what the user could do."""
    packages = {
        name: _version(name) for name in ("numpy", "opencv-python-headless", "opencv-python")
    }
    engines = {
        name: {engine: row.load().version_of(engine) for engine in row.load().installed()}
        for name, row in BACKENDS.items()
    }
    opencv = importlib.util.find_spec("cv2") is not None
    cameras = sorted(str(path) for path in Path("/dev").glob("video*"))
    advice = []
    termux = android.prefix() is not None
    if not any(engines.values()):
        how = "pkg install python-onnxruntime" if termux else _ENGINES
        advice.append(f"no inference engine: {how}")
    if not opencv:
        how = android.to_install("camera", "opencv-python")
        advice.append(
            f"no OpenCV: pictures, videos and cameras need {how}; verify and bench work without"
        )
    numpy = packages["numpy"] or "0"
    if "tflite-runtime" in engines["litert"] and int(numpy.partition(".")[0]) >= 2:
        advice.append("tflite-runtime fails with numpy 2: pip install 'numpy<2', or ai-edge-litert")
    found_jetson = find_jetson()
    if found_jetson is not None and (told := gpu_advice(found_jetson)):
        advice.append(told)
    cache = cache_folder()
    listed = list_cameras(cameras)
    if termux:
        advice.append(
            "Android gives its cameras to apps: use http://127.0.0.1:PORT/… of one that serves "
            "them, or termux:0"
        )
    elif not listed:
        advice.append("no camera found: connect one, or use synthetic:640x480@30")
    elif all(camera.problem for camera in listed):
        advice.append("no camera can be used as it is: see what is said beside each")
    return {
        "runtime": __version__,
        "device": describe_machine(),
        "jetson": None if found_jetson is None else found_jetson.to_json(),
        "packages": {name: version for name, version in packages.items() if version},
        "opencv": opencv,
        "engines": engines,
        "threads": default_threads(),
        "cameras": cameras,
        "camera_details": [camera.to_json() for camera in listed],
        "temperature_celsius": temperature_celsius(),
        "battery": android.battery(),
        "cache": None if cache is None else str(cache),
        "advice": advice,
    }


def gpu_advice(found: Jetson) -> str | None:
    """Return what keeps ONNX Runtime from a Jetson's GPU, as far as files tell; None if nothing."""
    spec = importlib.util.find_spec("onnxruntime")
    if spec is None or spec.origin is None:
        return f"no ONNX Runtime for the GPU: {found.wheel_advice}"
    folder = Path(spec.origin).parent / "capi"
    if not any(folder.glob("libonnxruntime_providers_cuda.so*")):
        return f"ONNX Runtime is the CPU's: {found.wheel_advice}"
    if not any(folder.glob("libonnxruntime_providers_tensorrt.so*")):
        return "this ONNX Runtime has CUDA but no TensorRT: --backend onnxruntime:cuda works"
    if tensorrt_version() is None:
        return "TensorRT is not installed: sudo apt install nvidia-jetpack"
    return None


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None

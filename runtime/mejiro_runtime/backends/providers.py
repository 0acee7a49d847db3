"""Choose the providers of ONNX Runtime for a request, and judge what really runs.

A GPU that was asked for is what runs, or the request is refused: ONNX Runtime itself would change
to the CPU in silence, wholly or node by node.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from mejiro_runtime import jetson
from mejiro_runtime.backends import engine_cache
from mejiro_runtime.backends.probe import cache_folder
from mejiro_runtime.backends.protocol import BackendRequest
from mejiro_runtime.errors import BackendError
from mejiro_runtime.files import sha256_of

if TYPE_CHECKING:
    from mejiro_runtime.backends.placement import Placement

CPU = "CPUExecutionProvider"
CUDA = "CUDAExecutionProvider"
TENSORRT = "TensorrtExecutionProvider"
PROVIDERS = {
    "cpu": CPU,
    "cuda": CUDA,
    "tensorrt": TENSORRT,
    "xnnpack": "XnnpackExecutionProvider",
    "openvino": "OpenVINOExecutionProvider",
    "unoptimized": CPU,
}
# Asks for the best of the GPU, whichever this ONNX Runtime has; the default on a Jetson.
GPU = "gpu"
# Providers that nodes may go to besides the one asked for: another of the same GPU is no fallback.
_HELPERS = {TENSORRT: (CUDA,)}
ON_GPU = (TENSORRT, CUDA)
_LIBRARIES = {
    CUDA: "libonnxruntime_providers_cuda.so",
    TENSORRT: "libonnxruntime_providers_tensorrt.so",
}
_ADVICE = {
    "wheel": "install an onnxruntime that has it",
    "libraries": "install the CUDA, cuDNN and TensorRT that this onnxruntime was built for",
    "model": "convert the model for it",
}


def wanted_providers(request: BackendRequest) -> tuple[str, ...]:
    """Return the providers that satisfy `request`, the best first."""
    variant = request.variant.lower()
    if variant == GPU or (not variant and jetson.is_jetson()):
        return ON_GPU
    return (PROVIDERS.get(variant, request.variant) or CPU,)


def provider_list(provider: str, available: Sequence[str], path: Path, version: str) -> list[Any]:
    """Return what a session is to be given for `provider`: it, its helpers and the CPU."""
    if provider == CPU:
        return [CPU]
    names = [provider, *(name for name in _HELPERS.get(provider, ()) if name in available), CPU]
    if provider != TENSORRT:
        return list(names)
    return [(TENSORRT, tensorrt_options(path, version)), *names[1:]]


def tensorrt_options(path: Path, version: str) -> dict[str, str]:
    """Return the options of TensorRT's provider for the model file `path`.

    Models with QuantizeLinear need int8 switched on; ranges come from the file, never from a
    table. `version` is ONNX Runtime's.
    """
    options = {}
    if b"QuantizeLinear" in path.read_bytes():
        options["trt_int8_enable"] = "True"
    gpu, tensorrt = jetson.gpu_identity(), engine_cache.tensorrt_version()
    key = None
    if gpu is not None and tensorrt is not None:
        built_with = tuple(f"{name}={value}" for name, value in sorted(options.items()))
        key = engine_cache.EngineKey(gpu, tensorrt, version, sha256_of(path), built_with)
    return options | engine_cache.cache_options(cache_folder(), key)


class Complaint(NamedTuple):
    """Say why a provider does not do what was asked for, and which of `_ADVICE` helps."""

    text: str
    advice: str


def absent(provider: str, available: Sequence[str]) -> Complaint:
    """Say that `provider` is not in this ONNX Runtime."""
    text = f"{provider} is not in this onnxruntime, which has {', '.join(available)}"
    return Complaint(text, "wheel")


def not_started(ort: Any, provider: str, instead: str) -> Complaint:
    """Say that `provider` is there but did not start, and which library it lacks, if any."""
    missing = missing_library(ort, provider)
    because = f": {missing} is missing" if missing else ""
    text = f"{provider} could not be started, ONNX Runtime took {instead}{because}"
    return Complaint(text, "libraries")


def not_loaded(ort: Any, provider: str, reason: str) -> Complaint:
    """Say that `provider` refused a model with `reason`, or cannot even be loaded itself."""
    missing = missing_library(ort, provider)
    if missing:
        return Complaint(f"{provider} could not be started: {missing} is missing", "libraries")
    return Complaint(f"{provider} cannot run it: {reason}", "model")


def missing_library(ort: Any, provider: str) -> str | None:
    """Return the shared library that `provider` needs and that is not to be found, or None.

    ONNX Runtime tells it on standard error alone, so the loader is asked once more.
    """
    name, module = _LIBRARIES.get(provider), getattr(ort, "__file__", None)
    if name is None or module is None:
        return None
    path = Path(module).with_name("capi") / name
    if not path.is_file():
        return None
    try:
        ctypes.CDLL(str(path))
    except OSError as error:
        library, _, why = str(error).partition(": ")
        return library if why.startswith("cannot open shared object") else None
    return None


def judge(provider: str, placement: Placement) -> Complaint | None:
    """Return why the nodes' places are not what asking for `provider` means, or None.

    On a GPU no node may be left to the CPU. Other accelerators leave what they cannot do to it by
    design, but must do something.
    """
    if not placement.on(provider):
        return Complaint(f"{provider} took none of the {placement.total} nodes", "model")
    if provider in ON_GPU and placement.on(CPU):
        return Complaint(f"{placement.in_words(CPU)} fell from {provider} to the CPU", "model")
    return None


def describe(provider: str, placement: Placement | None) -> str:
    """Return the provider that runs the model, with the shares of others where there are any."""
    if placement is None or placement.on(provider) == placement.total:
        return provider
    others = [
        f"{name} {count}" for name, count in placement.nodes.items() if name != provider and count
    ]
    return f"{provider} ({placement.on(provider)} of {placement.total} nodes; {', '.join(others)})"


def refuse_or_explain(request: BackendRequest, complaints: Sequence[Complaint]) -> str:
    """Return why what runs is not what was asked for; raise BackendError if it has to be."""
    reason = "; ".join(one.text for one in complaints)
    if request.allow_fallback:
        return reason
    kind = complaints[0].advice
    advice = _ADVICE[kind]
    found = jetson.find_jetson()
    if found is not None and any(name in reason for name in ON_GPU):
        ways = {"wheel": found.wheel_advice, "libraries": "sudo apt install nvidia-jetpack"}
        advice = f"on this {found}, {ways.get(kind, advice)}; or ask for onnxruntime:cpu"
    raise BackendError(f"{reason}; {advice}, or pass --allow-fallback")

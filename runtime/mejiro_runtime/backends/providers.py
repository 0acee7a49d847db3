"""Choose the providers of ONNX Runtime for a request, and judge what really runs.

A GPU that was asked for is what runs, or the request is refused: ONNX Runtime itself would change
to the CPU in silence, wholly or node by node.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from mejiro_runtime import jetson
from mejiro_runtime.backends import engine_cache
from mejiro_runtime.backends.probe import cache_folder
from mejiro_runtime.backends.protocol import BackendRequest
from mejiro_runtime.errors import BackendError
from mejiro_runtime.files import sha256_of

if TYPE_CHECKING:
    from pathlib import Path

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


def absent(provider: str, available: Sequence[str]) -> str:
    """Say that `provider` is not in this ONNX Runtime."""
    return f"{provider} is not in this onnxruntime, which has {', '.join(available)}"


def judge(provider: str, placement: Placement) -> str | None:
    """Return why the nodes' places are not what asking for `provider` means, or None.

    On a GPU no node may be left to the CPU. Other accelerators leave what they cannot do to it by
    design, but must do something.
    """
    if not placement.on(provider):
        return f"{provider} took none of the {placement.total} nodes"
    if provider in ON_GPU and placement.on(CPU):
        return f"{placement.in_words(CPU)} fell from {provider} to the CPU"
    return None


def describe(provider: str, placement: Placement | None) -> str:
    """Return the provider that runs the model, with the shares of others where there are any."""
    if placement is None or placement.on(provider) == placement.total:
        return provider
    others = [
        f"{name} {count}" for name, count in placement.nodes.items() if name != provider and count
    ]
    return f"{provider} ({placement.on(provider)} of {placement.total} nodes; {', '.join(others)})"


def refuse_or_explain(request: BackendRequest, reasons: Sequence[str]) -> str:
    """Return why what runs is not what was asked for; raise BackendError if it has to be."""
    reason = "; ".join(reasons)
    if request.allow_fallback:
        return reason
    advice = "install an onnxruntime that has it"
    found = jetson.find_jetson()
    if found is not None and any(name in reason for name in ON_GPU):
        advice = f"on this {found}, {found.wheel_advice}; or ask for onnxruntime:cpu"
    elif "fell from" in reason:
        advice = "change the model, so that the GPU can run all of it"
    raise BackendError(f"{reason}; {advice}, or pass --allow-fallback")

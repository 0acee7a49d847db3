"""Choose and open an inference engine; one file per engine."""

from __future__ import annotations

import importlib
import os
from pathlib import Path
from typing import Any, NamedTuple

from mejiro_runtime.backends.protocol import Backend, BackendInfo, BackendRequest
from mejiro_runtime.card import Format, Precision
from mejiro_runtime.errors import BackendError, ModelError, UsageError
from mejiro_runtime.preprocess import TensorInfo

__all__ = [
    "BACKENDS",
    "Backend",
    "BackendInfo",
    "BackendRequest",
    "BackendRow",
    "TensorInfo",
    "backend_for",
    "default_threads",
    "open_backend",
    "parse_request",
]


class BackendRow(NamedTuple):
    """Say which files a backend runs and where its code is.

    `module` offers ``installed()``, ``version_of(engine)``, ``choose(request)`` and
    ``open_file(path, request)``, which returns a Backend.
    """

    format: Format
    module: str

    def load(self) -> Any:
        """Import the backend's module, which imports no engine yet."""
        return importlib.import_module(self.module)


BACKENDS: dict[str, BackendRow] = {
    "litert": BackendRow(Format.TFLITE, "mejiro_runtime.backends.litert"),
    "onnxruntime": BackendRow(Format.ONNX, "mejiro_runtime.backends.onnxruntime"),
}


def default_threads() -> int:
    """Return the threads an engine gets unless told otherwise: the usable CPUs, at most 4."""
    try:
        usable = len(os.sched_getaffinity(0))
    except AttributeError:
        usable = os.cpu_count() or 1
    return max(1, min(4, usable))


def backend_for(format: Format) -> str:
    """Return the name of the backend that runs files of `format`."""
    return next(name for name, row in BACKENDS.items() if row.format is format)


def parse_request(
    text: str | None, format: Format, *, threads: int | None = None, allow_fallback: bool = False
) -> BackendRequest:
    """Read ``NAME[:VARIANT]`` for a file of `format`; None asks for that format's backend."""
    name, _, variant = (text or backend_for(format)).partition(":")
    if name not in BACKENDS:
        raise UsageError(f"there is no backend '{name}'; use one of {', '.join(BACKENDS)}")
    if BACKENDS[name].format is not format:
        raise UsageError(
            f"backend {name} runs .{BACKENDS[name].format.value} files, this is a "
            f".{format.value}; use {backend_for(format)} or another artifact"
        )
    return BackendRequest(
        name=name,
        variant=variant,
        threads=default_threads() if threads is None else threads,
        allow_fallback=allow_fallback,
    )


def open_backend(
    path: Path, request: BackendRequest, *, precision: Precision = Precision.UNKNOWN
) -> Backend:
    """Load the model file `path` into the engine that `request` asks for.

    The engine is first tried in a process of its own (see `probe`), so that one built for
    another CPU ends there and not here. Raises BackendError if it cannot be had or crashes,
    MissingPackage if none is installed, ModelError if the file is not a model.
    """
    from mejiro_runtime.backends.probe import probe

    row = BACKENDS[request.name]
    module = row.load()
    engine, _ = module.choose(request)
    verdict = probe(path, request, engine, module.version_of(engine), precision)
    if verdict.refusal:
        raise ModelError(verdict.refusal)
    if verdict.works:
        opened: Backend = module.open_file(path, request)
        return opened
    failure = f"{engine} {verdict.version} {verdict.reason}"
    for other in module.installed() if request.allow_fallback else ():
        second = BackendRequest(request.name, other, threads=request.threads, allow_fallback=True)
        if (
            other != engine
            and probe(path, second, other, module.version_of(other), precision).works
        ):
            backend: Backend = module.open_file(path, second)
            backend.info = backend.info._replace(requested=str(request), fallback=failure)
            return backend
    raise BackendError(
        f"{failure}; install a build for this CPU, or another engine and pass --allow-fallback"
    )

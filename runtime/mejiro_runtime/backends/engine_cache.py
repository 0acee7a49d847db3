"""Keep the engines that TensorRT builds, each where only its own key leads.

Building one takes minutes, loading it a moment. An engine is good for one GPU, one TensorRT, one
ONNX Runtime and one model (ONNX Runtime's documentation, "TensorRT Execution Provider", asks to
clean up when one of them changes), so these name the folder: what another key made is never found.
"""

from __future__ import annotations

import ctypes
import hashlib
import json
from pathlib import Path
from typing import Any, NamedTuple

from mejiro_runtime.files import write_json

KEY_FILE = "key.json"
_LIBRARIES = ("libnvinfer.so.11", "libnvinfer.so.10", "libnvinfer.so.8")


class EngineKey(NamedTuple):
    """Name all that a built engine depends on; `options` are those it is built with."""

    gpu: str
    tensorrt: str
    onnxruntime: str
    model_sha256: str
    options: tuple[str, ...] = ()

    @property
    def digest(self) -> str:
        """The name of its folder: 32 hexadecimal digits."""
        return _digest(list(self))

    @property
    def timing_digest(self) -> str:
        """The name of the folder of kernel timings: one for all models of a GPU and TensorRT."""
        return _digest([self.gpu, self.tensorrt])

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {**self._asdict(), "options": list(self.options)}


def engine_folder(root: Path, key: EngineKey) -> Path:
    """Return the folder of the engine of `key` below the cache `root`."""
    return root / "tensorrt" / f"engine-{key.digest}"


def timing_folder(root: Path, key: EngineKey) -> Path:
    """Return the folder of the kernel timings for the GPU and TensorRT of `key`."""
    return root / "tensorrt" / f"timing-{key.timing_digest}"


def prepare(root: Path | None, key: EngineKey) -> Path | None:
    """Make the folder of `key` if need be and return it; None where nothing can be written.

    A folder that does not state this very key is emptied: nobody knows who filled it.
    """
    if root is None:
        return None
    folder = engine_folder(root, key)
    try:
        timing_folder(root, key).mkdir(parents=True, exist_ok=True)
        if not _states(folder, key):
            import shutil  # only the first run with an engine needs it

            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True, exist_ok=True)
            write_json(folder / KEY_FILE, key.to_json())
    except OSError:
        return None
    return folder


def cache_options(root: Path | None, key: EngineKey | None) -> dict[str, str]:
    """Return the options of TensorRT's provider that keep engines; none without a full key."""
    folder = None if key is None else prepare(root, key)
    if folder is None or key is None or root is None:
        return {}
    return {
        "trt_engine_cache_enable": "True",
        "trt_engine_cache_path": str(folder),
        "trt_timing_cache_enable": "True",
        "trt_timing_cache_path": str(timing_folder(root, key)),
    }


def tensorrt_version() -> str | None:
    """Return the version of the TensorRT that would be loaded; None where there is none."""
    for name in _LIBRARIES:
        try:
            library = ctypes.CDLL(name)
            return decode_version(int(library.getInferLibVersion()))
        except (OSError, AttributeError):
            continue
    return None


def decode_version(number: int) -> str:
    """Return MAJOR.MINOR.PATCH of what `getInferLibVersion` gives (NvInferVersion.h)."""
    # From TensorRT 10 on the major number counts ten thousands, thousands before.
    base = 10_000 if number >= 100_000 else 1_000
    return f"{number // base}.{number % base // 100}.{number % 100}"


def _states(folder: Path, key: EngineKey) -> bool:
    try:
        kept = json.loads((folder / KEY_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return False
    return bool(kept == key.to_json())


def _digest(parts: list[Any]) -> str:
    text = json.dumps(parts, ensure_ascii=True)
    return hashlib.sha256(text.encode("ascii")).hexdigest()[:32]

"""Run ONNX files through ONNX Runtime.

Variants of a request: one of `providers.PROVIDERS`, or a provider's full name, or ``unoptimized``
(the CPU without fused kernels: the same arithmetic by other code, for comparison), or ``gpu``
(TensorRT, else CUDA; what a Jetson takes unless told otherwise). The provider asked for is the one
that runs, or the model is refused: ONNX Runtime's own quiet change to the CPU is detected and
reported, of a whole model and of single nodes.
"""

from __future__ import annotations

import importlib
import importlib.util
import warnings
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from mejiro_runtime.android import to_install
from mejiro_runtime.backends import distributions
from mejiro_runtime.backends.protocol import BackendInfo, BackendRequest
from mejiro_runtime.backends.providers import (
    CPU,
    CUDA,
    ON_GPU,
    TENSORRT,
    Complaint,
    absent,
    describe,
    judge,
    not_loaded,
    not_started,
    provider_list,
    refuse_or_explain,
    wanted_providers,
)
from mejiro_runtime.errors import BackendError, MissingPackage, ModelError
from mejiro_runtime.preprocess import Quantization, TensorInfo

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Distributions that all bring the module `onnxruntime`.
_DISTRIBUTIONS = ("onnxruntime", "onnxruntime-gpu", "onnxruntime-openvino")
_DTYPES = {
    "tensor(float)": "float32",
    "tensor(float16)": "float16",
    "tensor(double)": "float64",
    "tensor(uint8)": "uint8",
    "tensor(int8)": "int8",
    "tensor(int32)": "int32",
    "tensor(int64)": "int64",
}


def installed() -> tuple[str, ...]:
    """Return the engines that could run here, without importing any."""
    return ("onnxruntime",) if importlib.util.find_spec("onnxruntime") is not None else ()


def version_of(engine: str) -> str:
    """Return the installed version of ONNX Runtime, whichever distribution brought it."""
    for distribution in (engine, *_DISTRIBUTIONS):
        if (version := distributions.version_of(distribution, module="onnxruntime")) is not None:
            return version
    return "unknown"


def choose(request: BackendRequest) -> tuple[str, str | None]:
    """Return the engine for `request`, and why it is not the one asked for, or None."""
    if not installed():
        raise MissingPackage(
            "onnxruntime",
            purpose="running an .onnx file",
            install=to_install("onnx", "python-onnxruntime"),
        )
    return "onnxruntime", None


class _Opened(NamedTuple):
    """Hold a session, its tensors, what runs it, and why that is not what was asked for."""

    session: Any
    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    accelerator: str
    complaint: Complaint | None


class _NotStarted(Exception):
    """Report, inside this module, why no session could be made, in ONNX Runtime's words."""


def _import() -> Any:
    """Return the module `onnxruntime`, without its word on systems that it has no wheels for.

    Termux builds it for Android, where Python 3.13 says so and ONNX Runtime warns.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Unsupported platform", UserWarning)
        return importlib.import_module("onnxruntime")


class OnnxRuntimeBackend:
    """Run an ONNX file; see `Backend`."""

    def __init__(self, path: Path, request: BackendRequest) -> None:
        engine, _ = choose(request)
        try:
            ort = _import()
        except ImportError as error:
            raise BackendError(
                f"onnxruntime {version_of(engine)} is installed but cannot be imported: {error}; "
                "install it again for this Python and numpy"
            ) from error
        opened, fallback = _open_as_asked(ort, path, request)
        self.inputs, self.outputs = opened.inputs, opened.outputs
        self._session = opened.session
        self._input_names = [value.name for value in self.inputs]
        self._output_names = [value.name for value in self.outputs]
        self._last: dict[str, NDArray[Any]] = {}
        self._own: NDArray[Any] | None = None
        without = " without fusion" if request.variant == "unoptimized" else ""
        self.info = BackendInfo(
            name="onnxruntime",
            engine=engine,
            version=str(ort.__version__),
            accelerator=opened.accelerator + without,
            threads=request.threads,
            requested=str(request),
            fallback=fallback,
        )

    def infer(self, *tensors: NDArray[Any]) -> tuple[NDArray[Any], ...]:
        """See `Backend.infer`."""
        self._last = dict(zip(self._input_names, tensors, strict=True))
        return self.run(len(self.outputs))

    def borrow_input(self) -> NDArray[Any]:
        """See `Backend.borrow_input`."""
        first = self.inputs[0]
        if self._own is None:
            self._own = np.empty([max(1, size) for size in first.shape], dtype=first.dtype)
        self._last = {first.name: self._own}
        return self._own

    def run(self, count: int = 1) -> tuple[NDArray[Any], ...]:
        """See `Backend.run`."""
        try:
            return tuple(self._session.run(self._output_names[:count], self._last))
        except Exception as error:  # as above
            raise ModelError(
                f"onnxruntime {self.info.version} failed to run this model: {error}"
            ) from error

    def invoke(self) -> None:
        """Run the engine once more on the last tensors: the bare cost, for comparison."""
        self._session.run(self._output_names, self._last)

    def close(self) -> None:
        """See `Backend.close`."""
        self._session = None
        self._last = {}


def _open_as_asked(ort: Any, path: Path, request: BackendRequest) -> tuple[_Opened, str | None]:
    """Open `path` on the first provider that satisfies `request`, and say what is amiss if none.

    Where a fallback is allowed, it is the first session that started at all, else the CPU's.
    """
    available = ort.get_available_providers()
    complaints: list[Complaint] = []
    usable: _Opened | None = None
    candidates = wanted_providers(request)
    for provider in candidates:
        if provider not in available:
            complaints.append(absent(provider, available))
            continue
        try:
            opened = _open_on(ort, path, request, provider)
        except _NotStarted as error:
            if provider not in ON_GPU:
                raise _refused(ort, path, error) from error
            complaints.append(not_loaded(ort, provider, str(error)))
            continue
        if opened.complaint is None:
            return opened, None
        complaints.append(opened.complaint)
        usable = usable or opened
    fallback = refuse_or_explain(request, complaints)
    return usable or _open_on_next(ort, path, request, candidates[0]), fallback


def _open_on_next(ort: Any, path: Path, request: BackendRequest, refused: str) -> _Opened:
    """Open `path` where a fallback is allowed: on CUDA in TensorRT's place, else on the CPU."""
    if refused == TENSORRT and CUDA in ort.get_available_providers():
        try:
            return _open_on(ort, path, request, CUDA)
        except _NotStarted:
            pass  # the CPU may still run it, or say what is wrong with the file
    try:
        return _open_on(ort, path, request, CPU)
    except _NotStarted as error:
        raise _refused(ort, path, error) from error


def _refused(ort: Any, path: Path, reason: _NotStarted) -> ModelError:
    return ModelError(
        f"{path} is not an ONNX model that onnxruntime {ort.__version__} can load: {reason}"
    )


def _open_on(ort: Any, path: Path, request: BackendRequest, provider: str) -> _Opened:
    """Open `path` on `provider` and see what runs there; _NotStarted if nothing does."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = request.threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4  # what it would log of an error, the exception says too
    if request.variant == "unoptimized":
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    if provider == CPU:
        session, inputs, outputs = _start(ort, path, options, [CPU])
        return _Opened(session, inputs, outputs, CPU, None)
    from mejiro_runtime.backends.placement import Watch  # the CPU's start need not pay for it

    # A provider whose libraries are missing tells so on standard error, each time it is tried.
    ort.set_default_logger_severity(4)
    listed = provider_list(provider, ort.get_available_providers(), path, str(ort.__version__))
    with Watch(ort, options) as watch:
        session, inputs, outputs = _start(ort, path, options, listed)
        used = session.get_providers()[0]
        if used != provider:
            watch.leave(session)
            return _Opened(session, inputs, outputs, used, not_started(ort, provider, used))
        try:
            placement = watch.read(session, lambda: session.run(None, _zeros(inputs)))
        except Exception as error:  # its exceptions share no base of their own
            raise _NotStarted(_reason(error)) from error
    accelerator = describe(provider, placement)
    return _Opened(session, inputs, outputs, accelerator, judge(provider, placement))


def _start(
    ort: Any, path: Path, options: Any, listed: list[Any]
) -> tuple[Any, tuple[TensorInfo, ...], tuple[TensorInfo, ...]]:
    """Return a session of the file `path`, its inputs and its outputs."""
    try:
        # Its Python part would print to standard output and try once more on the CPU;
        # older versions do so whatever they are told.
        with redirect_stdout(StringIO()):
            session = ort.InferenceSession(str(path), options, providers=listed, enable_fallback=0)
        session.disable_fallback()
        inputs = tuple(_describe(value) for value in session.get_inputs())
        stated = _output_quantization(session.get_modelmeta().custom_metadata_map)
        return session, inputs, tuple(_describe(value, stated) for value in session.get_outputs())
    except Exception as error:  # its exceptions share no base of their own
        raise _NotStarted(_reason(error)) from error


def _reason(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def _zeros(inputs: tuple[TensorInfo, ...]) -> dict[str, NDArray[Any]]:
    return {
        value.name: np.zeros([max(1, size) for size in value.shape], dtype=value.dtype)
        for value in inputs
    }


def _output_quantization(metadata_map: dict[str, str]) -> Quantization | None:
    """Return how an integer output is read, where the file's metadata say so.

    ONNX Runtime does not show a tensor's quantization, so `mejiro convert` writes it there.
    """
    try:
        return Quantization(
            scale=float(metadata_map["mejiro.output_scale"]),
            zero_point=int(metadata_map["mejiro.output_zero_point"]),
        )
    except (KeyError, ValueError):
        return None


def _describe(value: Any, quantization: Quantization | None = None) -> TensorInfo:
    """Translate ONNX Runtime's description of a tensor; it states no quantization itself."""
    shape = tuple(size if isinstance(size, int) else -1 for size in value.shape)
    dtype = _DTYPES.get(value.type, value.type)
    if "int8" not in dtype:
        quantization = None
    return TensorInfo(name=value.name, shape=shape, dtype=dtype, quantization=quantization)


def open_file(path: Path, request: BackendRequest) -> OnnxRuntimeBackend:
    """Load an ONNX file into the provider that `request` asks for; see `open_backend`."""
    return OnnxRuntimeBackend(path, request)

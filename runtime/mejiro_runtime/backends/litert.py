"""Run TFLite files: ai-edge-litert where installed, else tflite-runtime, else TensorFlow's own.

Variants of a request: the name of one of `ENGINES`, or ``xnnpack`` (refuse to run without it),
or ``builtin`` (LiteRT's reference kernels, for comparison), or ``edgetpu`` (a Coral accelerator).
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from mejiro_runtime.backends import distributions, edgetpu
from mejiro_runtime.backends.protocol import BackendInfo, BackendRequest
from mejiro_runtime.errors import BackendError, MissingPackage, ModelError
from mejiro_runtime.preprocess import Quantization, TensorInfo

if TYPE_CHECKING:
    from numpy.typing import NDArray

# In order of preference: distribution name -> module that holds `Interpreter`.
ENGINES = {
    "ai-edge-litert": "ai_edge_litert.interpreter",
    "tflite-runtime": "tflite_runtime.interpreter",
    "tensorflow": "tensorflow.lite",
}
KERNELS = ("xnnpack", "builtin", "edgetpu")


def installed() -> tuple[str, ...]:
    """Return the engines of `ENGINES` that could run here, best first, without importing any.

    TensorFlow counts only where the program has imported it already: the runtime never does.
    """
    found = []
    for engine, module in ENGINES.items():
        package = module.partition(".")[0]
        if engine == "tensorflow":
            present = "tensorflow" in sys.modules
        else:
            present = importlib.util.find_spec(package) is not None
        if present:
            found.append(engine)
    return tuple(found)


def version_of(engine: str) -> str:
    """Return the installed version of one of `ENGINES`."""
    module = ENGINES[engine].partition(".")[0]
    if module in sys.modules and engine == "tensorflow":
        return str(sys.modules[module].__version__)
    return distributions.version_of(engine, module=module) or "unknown"


def choose(request: BackendRequest) -> tuple[str, str | None]:
    """Return the engine for `request`, and why it is not the one asked for, or None."""
    found = installed()
    if not found:
        raise MissingPackage(
            "ai-edge-litert or tflite-runtime",
            purpose="running a .tflite file",
            install="pip install 'mejiro-runtime[litert]'",
        )
    wanted = request.variant
    if not wanted or wanted in KERNELS or wanted in found:
        return (wanted if wanted in found else found[0]), None
    if wanted not in ENGINES:
        known = ", ".join([*ENGINES, *KERNELS])
        raise BackendError(f"litert has no variant '{wanted}'; use one of {known}")
    if not request.allow_fallback:
        raise BackendError(
            f"{wanted} is not installed here, found {', '.join(found)}; "
            "install it, ask for another backend, or pass --allow-fallback"
        )
    return found[0], f"{wanted} is not installed"


def _interpreter_module(engine: str) -> Any:
    """Import the module that holds `Interpreter`, or say why it cannot work here."""
    if engine == "tflite-runtime" and int(np.__version__.partition(".")[0]) >= 2:
        raise BackendError(
            f"tflite-runtime {version_of(engine)} was built for numpy 1 and fails with numpy "
            f"{np.__version__}; run `pip install 'numpy<2'`, or install ai-edge-litert instead"
        )
    if engine == "tensorflow":
        return sys.modules["tensorflow"].lite
    try:
        return importlib.import_module(ENGINES[engine])
    except ImportError as error:
        raise BackendError(
            f"{engine} {version_of(engine)} is installed but cannot be imported: {error}; "
            "install it again for this Python"
        ) from error


def _scratch_file() -> IO[bytes]:
    """Return a file without a name, in memory where the system has such."""
    if hasattr(os, "memfd_create"):
        return os.fdopen(os.memfd_create("mejiro-log"), "w+b")
    import tempfile

    return tempfile.TemporaryFile()


@contextmanager
def _native_log() -> Iterator[list[str]]:
    """Keep what the engine's C++ prints to stderr while it loads; give it as lines afterwards.

    LiteRT greets every interpreter with an INFO line and explains its failures there alone.
    """
    lines: list[str] = []
    try:
        sys.stderr.flush()
        saved = os.dup(2)
    except (OSError, ValueError, AttributeError):
        yield lines
        return
    with _scratch_file() as log:
        os.dup2(log.fileno(), 2)
        try:
            yield lines
        finally:
            os.dup2(saved, 2)
            os.close(saved)
            log.seek(0)
            text = log.read(100_000).decode("utf-8", "replace")
            lines += [line for line in text.splitlines() if line.strip()]


class LiteRTBackend:
    """Run a TFLite file through one of `ENGINES`; see `Backend`."""

    def __init__(self, path: Path, request: BackendRequest) -> None:
        engine, fallback = choose(request)
        module = _interpreter_module(engine)
        options: dict[str, Any] = {"model_path": str(path), "num_threads": request.threads}
        if request.variant == "builtin":
            options["experimental_op_resolver_type"] = _holder(
                module, engine
            ).OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        coral = request.variant == "edgetpu"
        if coral:
            try:
                options |= _delegates(edgetpu.load(_holder(module, engine)))
            except BackendError as error:
                coral, fallback = False, _allowed(request, error)
        with _native_log() as log:
            try:
                self._interpreter = module.Interpreter(**options)
                self._interpreter.allocate_tensors()
                inputs = self._interpreter.get_input_details()
                outputs = self._interpreter.get_output_details()
                operators = self._operators()
            except (ValueError, RuntimeError, SystemError, TypeError) as error:
                reason = str(error).strip().splitlines()
                raise ModelError(
                    f"{path} is not a TFLite model that {engine} {version_of(engine)} can load: "
                    f"{reason[0] if reason else type(error).__name__}"
                ) from error
            finally:
                self.log = log
        accelerator = _accelerator(operators)
        if coral:
            try:
                accelerator = edgetpu.accelerator(operators)
            except BackendError as error:
                fallback = _allowed(request, error)
        self._input_indices = [detail["index"] for detail in inputs]
        self._output_indices = [detail["index"] for detail in outputs]
        self.inputs = tuple(_describe(detail) for detail in inputs)
        self.outputs = tuple(_describe(detail) for detail in outputs)
        if request.variant == "xnnpack" and not accelerator.startswith("XNNPACK"):
            if not request.allow_fallback:
                raise BackendError(
                    f"XNNPACK did not take this model, found {accelerator}; LiteRT needs /proc and "
                    "/sys mounted for it; repair that, or pass --allow-fallback"
                )
            fallback = f"XNNPACK did not take this model, it runs on {accelerator}"
        self.info = BackendInfo(
            name="litert",
            engine=engine,
            version=version_of(engine),
            accelerator=accelerator,
            threads=request.threads,
            requested=str(request),
            fallback=fallback,
        )

    def _operators(self) -> list[str]:
        """Return the names of the operators that run; none if this engine does not tell.

        They are read from the wrapped interpreter: its public way describes every tensor of each.
        """
        nodes: Any = getattr(self._interpreter, "_interpreter", None)
        if not (hasattr(nodes, "NumNodes") and hasattr(nodes, "NodeName")):
            return []
        return [nodes.NodeName(index) for index in range(nodes.NumNodes())]

    def infer(self, *tensors: NDArray[Any]) -> tuple[NDArray[Any], ...]:
        """See `Backend.infer`."""
        for index, tensor in zip(self._input_indices, tensors, strict=True):
            self._interpreter.set_tensor(index, tensor)
        return self.run(len(self.outputs))

    def borrow_input(self) -> NDArray[Any]:
        """See `Backend.borrow_input`."""
        memory: NDArray[Any] = self._interpreter.tensor(self._input_indices[0])()
        return memory

    def run(self, count: int = 1) -> tuple[NDArray[Any], ...]:
        """See `Backend.run`."""
        interpreter = self._interpreter
        try:
            interpreter.invoke()
        except RuntimeError as error:
            raise ModelError(
                f"{self.info.engine} {self.info.version} failed to run this model: {error}"
            ) from error
        return tuple([interpreter.get_tensor(index) for index in self._output_indices[:count]])

    def invoke(self) -> None:
        """Run the engine once more on the tensors it holds: the bare cost, for comparison."""
        self._interpreter.invoke()

    def close(self) -> None:
        """See `Backend.close`."""
        self._interpreter = None


def _holder(module: Any, engine: str) -> Any:
    """Return what holds `load_delegate` and the like of an engine."""
    return module.experimental if engine == "tensorflow" else module


def _delegates(delegate: Any) -> dict[str, Any]:
    return {"experimental_delegates": [delegate]}


def _allowed(request: BackendRequest, error: BackendError) -> str:
    """Return why another way is taken, if the request allows one; else raise `error`."""
    if not request.allow_fallback:
        raise error
    return str(error).partition(";")[0]


def _accelerator(operators: list[str]) -> str:
    """Say who took the operators: a delegate shows as DELEGATE, after the file's own."""
    if not operators:
        return "unknown kernels"
    parts = operators.count("DELEGATE")
    if not parts:
        return "builtin kernels"
    return "XNNPACK" if parts == 1 else f"XNNPACK in {parts} parts"


def _describe(detail: dict[str, Any]) -> TensorInfo:
    """Translate the interpreter's description of a tensor."""
    parameters = detail["quantization_parameters"]
    scales, zero_points = parameters["scales"], parameters["zero_points"]
    quantization = None
    if len(scales) == 1:
        quantization = Quantization(scale=float(scales[0]), zero_point=int(zero_points[0]))
    signature = detail.get("shape_signature")
    shape = detail["shape"] if signature is None or len(signature) == 0 else signature
    return TensorInfo(
        name=str(detail["name"]),
        shape=tuple(int(size) for size in shape),
        dtype=np.dtype(detail["dtype"]).name,
        quantization=quantization,
    )


def open_file(path: Path, request: BackendRequest) -> LiteRTBackend:
    """Load a TFLite file into the engine that `request` asks for; see `open_backend`."""
    return LiteRTBackend(path, request)

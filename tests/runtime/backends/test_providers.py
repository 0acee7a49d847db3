"""A GPU that is asked for is what runs, or the request is refused; ONNX Runtime is simulated."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from mejiro_runtime import jetson
from mejiro_runtime.backends import BackendRequest, engine_cache, onnxruntime, probe
from mejiro_runtime.errors import BackendError, ModelError

CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"
TENSORRT, XNNPACK = "TensorrtExecutionProvider", "XnnpackExecutionProvider"
ALL = (TENSORRT, CUDA, CPU)
ORIN = jetson.Jetson("NVIDIA Jetson Orin Nano Developer Kit", "36.4.3", "6.2")


class SimulatedOrt(ModuleType):
    """Stand in for a build of ONNX Runtime: what it has, what starts, and who takes which node."""

    __version__ = "1.23.0"

    def __init__(self) -> None:
        super().__init__("onnxruntime")
        self.__spec__ = ModuleSpec("onnxruntime", None)
        self.available: tuple[str, ...] = ALL
        self.broken: tuple[str, ...] = ()  # listed, but its libraries are missing
        self.raising: tuple[str, ...] = ()  # starts, and cannot take this model
        self.takes: dict[str, dict[str, int]] = {}  # first provider -> its nodes by provider
        self.lists: list[list[Any]] = []
        self.entries: dict[str, str] = {}
        self.profiling = 0  # sessions that write a profile now
        self.GraphOptimizationLevel = SimpleNamespace(ORT_DISABLE_ALL=0)
        outer = self

        class Session(SimulatedSession):
            ort = outer

        self.InferenceSession: Any = Session

    def set_default_logger_severity(self, level: int) -> None:
        assert level == 4

    def get_available_providers(self) -> list[str]:
        return list(self.available)

    def SessionOptions(self) -> Any:  # noqa: N802 - as ONNX Runtime calls it
        entries = self.entries
        return SimpleNamespace(add_session_config_entry=entries.__setitem__)


class SimulatedSession:
    """Stand in for a session of the version before 1.24: it tells nodes in profiles alone."""

    ort: SimulatedOrt

    def __init__(self, path: str, options: Any, *, providers: list[Any], enable_fallback: int):
        self.ort.lists.append(providers)
        names = [one if isinstance(one, str) else one[0] for one in providers]
        started = [name for name in names if name not in self.ort.broken]
        if started[0] in self.ort.raising:
            raise RuntimeError(f"EP_FAIL: could not build an engine for {path}\nmore")
        if b"damaged" in Path(path).read_bytes():
            raise RuntimeError("INVALID_PROTOBUF: Protobuf parsing failed")
        self.started, self.options = started, options
        self.ort.profiling += getattr(options, "enable_profiling", False)
        self.nodes = self.ort.takes.get(started[0], {started[0]: 5})

    def disable_fallback(self) -> None:
        pass

    def get_providers(self) -> list[str]:
        return self.started

    def get_inputs(self) -> Any:
        return [SimpleNamespace(name="pixels", shape=[1, 2, 2, 3], type="tensor(uint8)")]

    def get_outputs(self) -> Any:
        return [SimpleNamespace(name="scores", shape=[1, 3], type="tensor(float)")]

    def get_modelmeta(self) -> Any:
        return SimpleNamespace(custom_metadata_map={})

    def run(self, names: Any, tensors: dict[str, Any]) -> Any:
        assert tensors["pixels"].shape == (1, 2, 2, 3)
        return [np.zeros((1, 3), np.float32)]

    def end_profiling(self) -> str:
        self.ort.profiling -= 1
        path = f"{self.options.profile_file_prefix}_now.json"
        rows = [(name, i) for name, count in self.nodes.items() for i in range(count)]
        events = [
            {"cat": "Node", "args": {"provider": name, "op_name": f"Op{i}", "node_index": str(n)}}
            for n, (name, i) in enumerate(rows)
        ]
        Path(path).write_text(json.dumps(events))
        return path


@pytest.fixture
def ort(monkeypatch, tmp_path: Path) -> Iterator[SimulatedOrt]:
    simulated = SimulatedOrt()
    monkeypatch.setitem(sys.modules, "onnxruntime", simulated)
    monkeypatch.setenv("MEJIRO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(jetson, "gpu_identity", lambda: "GPU of a test")
    monkeypatch.setattr(engine_cache, "tensorrt_version", lambda: "10.3.0")
    monkeypatch.setattr(jetson, "is_jetson", lambda: False)
    monkeypatch.setattr(jetson, "find_jetson", lambda: None)
    yield simulated
    assert simulated.profiling == 0


@pytest.fixture
def on_jetson(monkeypatch, ort: SimulatedOrt) -> None:
    monkeypatch.setattr(jetson, "is_jetson", lambda: True)
    monkeypatch.setattr(jetson, "find_jetson", lambda: ORIN)


@pytest.fixture
def open_file(tmp_path: Path) -> Callable[..., Any]:
    def open_file(
        variant: str = "", *, allow: bool = False, data: bytes = b"QuantizeLinear"
    ) -> Any:
        path = tmp_path / "model.onnx"
        path.write_bytes(data)
        request = BackendRequest("onnxruntime", variant, allow_fallback=allow)
        return onnxruntime.open_file(path, request)

    return open_file


def test_tensorrt_comes_before_cuda_and_the_cpu(ort, open_file) -> None:
    backend = open_file("tensorrt")
    (listed,) = ort.lists
    assert listed[0][0] == TENSORRT
    assert listed[1:] == [CUDA, CPU]
    assert backend.info.accelerator == TENSORRT
    assert backend.info.fallback is None


def test_cuda_is_asked_for_without_tensorrt(ort, open_file) -> None:
    assert open_file("cuda").info.accelerator == CUDA
    assert ort.lists == [[CUDA, CPU]]


def test_nodes_on_the_same_gpu_are_reported_and_allowed(ort, open_file) -> None:
    ort.takes = {TENSORRT: {TENSORRT: 57, CUDA: 2}}
    info = open_file("tensorrt").info
    assert info.accelerator == f"{TENSORRT} (57 of 59 nodes; {CUDA} 2)"
    assert info.fallback is None


@pytest.mark.parametrize(("variant", "provider"), [("tensorrt", TENSORRT), ("cuda", CUDA)])
def test_a_node_on_the_cpu_is_refused_unless_allowed(ort, open_file, variant, provider) -> None:
    ort.takes = {provider: {provider: 5, CPU: 2}}
    with pytest.raises(BackendError, match=rf"2 of 7 nodes \(Op0, Op1\) fell from {provider} to"):
        open_file(variant)
    info = open_file(variant, allow=True).info
    assert info.accelerator == f"{provider} (5 of 7 nodes; {CPU} 2)"
    assert "fell from" in str(info.fallback)


def test_a_gpu_that_takes_nothing_is_refused(ort, open_file) -> None:
    ort.takes = {TENSORRT: {CUDA: 7}}
    with pytest.raises(BackendError, match=f"{TENSORRT} took none of the 7 nodes"):
        open_file("tensorrt")


def test_another_accelerator_may_leave_nodes_to_the_cpu(ort, open_file) -> None:
    ort.available = (XNNPACK, CPU)
    ort.takes = {XNNPACK: {XNNPACK: 3, CPU: 4}}
    info = open_file("xnnpack").info
    assert info.accelerator == f"{XNNPACK} (3 of 7 nodes; {CPU} 4)"
    assert info.fallback is None
    ort.takes = {XNNPACK: {CPU: 7}}
    with pytest.raises(BackendError, match="took none"):
        open_file("xnnpack")


def test_newer_versions_are_asked_without_a_run(ort, open_file, monkeypatch) -> None:
    node = SimpleNamespace(op_type="Conv")
    groups = [SimpleNamespace(ep_name=CUDA, get_nodes=lambda: [node, node])]
    session = ort.InferenceSession
    monkeypatch.setattr(
        session, "get_provider_graph_assignment_info", lambda self: groups, raising=False
    )
    monkeypatch.setattr(session, "run", None)
    assert open_file("cuda").info.accelerator == CUDA
    assert ort.entries == {"session.record_ep_graph_assignment_info": "1"}


def test_absent_tensorrt_is_refused_or_replaced_by_cuda(ort, open_file) -> None:
    ort.available = (CUDA, CPU)
    with pytest.raises(BackendError, match=f"{TENSORRT} is not in this onnxruntime, which has"):
        open_file("tensorrt")
    info = open_file("tensorrt", allow=True).info
    assert info.accelerator == CUDA
    assert str(info.fallback).startswith(TENSORRT)


def test_tensorrt_without_its_library_is_noticed(ort, open_file) -> None:
    ort.broken = (TENSORRT,)
    with pytest.raises(BackendError, match=f"{TENSORRT} could not be started, .* took {CUDA}"):
        open_file("tensorrt")
    assert open_file("tensorrt", allow=True).info.accelerator == CUDA


def test_the_library_that_is_missing_is_named(ort, open_file, monkeypatch, tmp_path) -> None:
    ort.__file__ = str(tmp_path / "__init__.py")
    (tmp_path / "capi").mkdir()
    for name in ("cuda", "tensorrt"):
        (tmp_path / "capi" / f"libonnxruntime_providers_{name}.so").touch()

    def load(path: str) -> Any:
        raise OSError("libcublas.so.12: cannot open shared object file: No such file or directory")

    monkeypatch.setattr("ctypes.CDLL", load)
    ort.broken = (CUDA,)
    with pytest.raises(
        BackendError, match=r"took CPU.*: libcublas\.so\.12 is missing; install the"
    ):
        open_file("cuda")
    ort.raising = (TENSORRT,)
    with pytest.raises(BackendError, match=f"{TENSORRT} could not be started: libcublas.so.12 is"):
        open_file("tensorrt")


def test_on_a_jetson_missing_libraries_come_from_apt(ort, on_jetson, open_file) -> None:
    ort.broken = (TENSORRT,)
    with pytest.raises(BackendError, match="sudo apt install nvidia-jetpack; or ask for"):
        open_file("tensorrt")


def test_a_model_that_the_gpu_cannot_take_runs_elsewhere_only_if_allowed(ort, open_file) -> None:
    ort.raising = (TENSORRT, CUDA)
    with pytest.raises(BackendError, match=f"{TENSORRT} cannot run it: .*could not build") as told:
        open_file("tensorrt")
    assert "\n" not in str(told.value)
    assert open_file("tensorrt", allow=True).info.accelerator == CPU


def test_a_damaged_file_is_refused_whatever_is_allowed(ort, open_file) -> None:
    with pytest.raises(ModelError, match="Protobuf parsing failed"):
        open_file("tensorrt", allow=True, data=b"damaged")


def test_gpu_takes_the_best_that_runs(ort, open_file) -> None:
    assert open_file("gpu").info.accelerator == TENSORRT
    for change in ({"available": (CUDA, CPU)}, {"broken": (TENSORRT,)}, {"raising": (TENSORRT,)}):
        for name, value in {"available": ALL, "broken": (), "raising": (), **change}.items():
            setattr(ort, name, value)
        info = open_file("gpu").info
        assert (info.accelerator, info.fallback) == (CUDA, None)
    ort.available, ort.raising = (CPU,), ()
    with pytest.raises(BackendError, match=f"{TENSORRT} is not in .*{CUDA} is not in"):
        open_file("gpu")


def test_elsewhere_the_default_is_the_cpu(ort, open_file) -> None:
    assert open_file().info.accelerator == CPU
    assert ort.lists == [[CPU]]


def test_on_a_jetson_the_default_is_its_gpu(ort, on_jetson, open_file) -> None:
    assert open_file().info.accelerator == TENSORRT


def test_on_a_jetson_the_cpu_runs_only_by_name(ort, on_jetson, open_file) -> None:
    ort.available = (CPU,)
    with pytest.raises(BackendError) as told:
        open_file()
    for part in ("JetPack 6.2", "PyPI's onnxruntime has no GPU", "cp310", "onnxruntime:cpu"):
        assert part in str(told.value)
    assert "\n" not in str(told.value)
    assert open_file("cpu").info.accelerator == CPU
    assert open_file(allow=True).info.fallback is not None


def test_tensorrt_keeps_engines_by_key_and_int8_needs_a_switch(ort, open_file, tmp_path) -> None:
    open_file("tensorrt")
    options = ort.lists[-1][0][1]
    assert options["trt_int8_enable"] == "True"
    assert options["trt_engine_cache_enable"] == options["trt_timing_cache_enable"] == "True"
    folder = Path(options["trt_engine_cache_path"])
    assert folder.is_relative_to(tmp_path / "cache")
    key = json.loads((folder / "key.json").read_text())
    assert (key["gpu"], key["tensorrt"], key["onnxruntime"]) == (
        "GPU of a test",
        "10.3.0",
        "1.23.0",
    )
    open_file("tensorrt", data=b"a float model")
    assert "trt_int8_enable" not in ort.lists[-1][0][1]
    assert ort.lists[-1][0][1]["trt_engine_cache_path"] != str(folder)


@pytest.mark.parametrize("unknown", ["gpu", "tensorrt"])
def test_without_a_full_key_no_engine_is_kept(ort, open_file, monkeypatch, unknown: str) -> None:
    if unknown == "gpu":
        monkeypatch.setattr(jetson, "gpu_identity", lambda: None)
    else:
        monkeypatch.setattr(engine_cache, "tensorrt_version", lambda: None)
    open_file("tensorrt")
    assert ort.lists[-1][0][1] == {"trt_int8_enable": "True"}


def test_the_first_run_may_take_as_long_as_building_an_engine(ort, monkeypatch) -> None:
    request = BackendRequest("onnxruntime")
    assert probe.patience_s(request) == probe.TIMEOUT_S
    for variant in ("tensorrt", "GPU", TENSORRT):
        assert probe.patience_s(BackendRequest("onnxruntime", variant)) == probe.BUILD_TIMEOUT_S
    monkeypatch.setattr(jetson, "is_jetson", lambda: True)
    assert probe.patience_s(request) == probe.BUILD_TIMEOUT_S
    assert probe.patience_s(BackendRequest("litert")) == probe.TIMEOUT_S

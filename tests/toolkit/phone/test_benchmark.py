"""A user's benchmark_model is run on a phone, and its report says what it measured and no more."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mejiro.errors import MejiroError, PhoneError, UsageError
from mejiro.phone import Adb, BenchmarkOptions, benchmark, find_subject
from mejiro.phone.benchmark import Subject, describe_phone
from mejiro.report.devices import parse_report
from tests.phone.adbd import Adbd
from tests.phone.android import PROPERTIES, SHARED
from tests.phone.benchmark_model import GPU, LITERT, NEW, OLD, write_program
from tests.phone.fixtures import adb_server, phone, start_phone

__all__ = ["adb_server", "phone", "start_phone"]
needs_adb = pytest.mark.requires_tool("adb")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "birds-int8.tflite"
    path.write_bytes(b"model")
    return path


@needs_adb
def test_a_report_says_what_was_measured(phone: Adbd, model: Path, tmp_path: Path) -> None:
    chosen = BenchmarkOptions(threads=4, runs=120)
    program = write_program(tmp_path / "benchmark_model")
    report = benchmark(Adb.connect(), program, Subject(model, "int8"), chosen)
    assert report["device"]["board"] == "Google Pixel 8"
    assert report["device"]["cpu"] == "Google Tensor G3"
    read = parse_report(report, "phone")
    assert read.engine_only
    assert read.fps is None
    assert read.stages == {"infer": {"p50_ns": 8_391_000, "p95_ns": 9_627_000}}
    assert read.engine.startswith("benchmark_model ")
    assert read.engine.endswith(", XNNPack (58 of 60 operators), 4 threads")
    shared = phone.android.place(SHARED)
    assert "--num_threads=4 --num_runs=120" in (shared / "flags").read_text()
    assert [path.name for path in shared.iterdir()] == ["flags"]


@needs_adb
def test_an_old_program_tells_the_mean_alone(phone: Adbd, model: Path, tmp_path: Path) -> None:
    program = write_program(tmp_path / "benchmark_model", OLD)
    report = benchmark(Adb.connect(), program, Subject(model), BenchmarkOptions())
    read = parse_report(report, "phone")
    assert read.stages == {"infer": {}}
    assert read.infer_mean_ns == 266_473_000
    assert read.memory_bytes is None


@needs_adb
def test_what_did_not_run_where_it_should_is_refused(
    phone: Adbd, model: Path, tmp_path: Path
) -> None:
    adb, subject, on_gpu = Adb.connect(), Subject(model), BenchmarkOptions(backend="gpu")
    report = benchmark(adb, write_program(tmp_path / "gpu", GPU), subject, on_gpu)
    assert report["backend"]["accelerator"] == "Gpu"
    with pytest.raises(PhoneError, match="did not run on gpu: benchmark_model names XNNPack"):
        benchmark(adb, write_program(tmp_path / "cpu", NEW), subject, on_gpu)
    by_opencl = GPU.replace("TfLiteGpuDelegateV2", "LITERT_CL")
    report = benchmark(adb, write_program(tmp_path / "cl", by_opencl), subject, on_gpu)
    assert report["backend"]["accelerator"] == "LITERT_CL and GPU"
    without = BenchmarkOptions(backend="builtin")
    with pytest.raises(PhoneError, match="knows no --use_xnnpack, so nothing ran on builtin"):
        benchmark(adb, write_program(tmp_path / "litert", LITERT), subject, without)
    failing = write_program(tmp_path / "failing", "ERROR: no such op\n", code=3)
    with pytest.raises(PhoneError, match="ended with 3: no such op"):
        benchmark(adb, failing, subject, BenchmarkOptions())
    assert [one.name for one in phone.android.place(SHARED).iterdir()] == ["flags"]


@needs_adb
def test_a_program_of_another_machine_is_refused(phone: Adbd, model: Path, tmp_path: Path) -> None:
    elf = tmp_path / "benchmark_model"
    elf.write_bytes(b"\x7fELF\x02\x01\x01" + bytes(11) + (0x3E).to_bytes(2, "little"))
    adb, subject = Adb.connect(), Subject(model)
    with pytest.raises(UsageError, match="made for x86_64, and the phone is arm64-v8a"):
        benchmark(adb, elf, subject, BenchmarkOptions())
    with pytest.raises(UsageError, match="is no program"):
        benchmark(adb, model, subject, BenchmarkOptions())
    with pytest.raises(UsageError, match="cannot be read"):
        benchmark(adb, tmp_path / "absent", subject, BenchmarkOptions())
    assert list(phone.android.place(SHARED).iterdir()) == []


def test_a_backend_that_it_does_not_have_is_refused() -> None:
    with pytest.raises(UsageError, match="runs on cpu, builtin, gpu, nnapi, found --backend 'tpu'"):
        BenchmarkOptions(backend="tpu")


def test_the_model_is_a_file_or_that_of_a_bundle(model: Path, model_fixtures: Path) -> None:
    assert find_subject(model) == Subject(model)
    bundle = model_fixtures / "bundle"
    assert find_subject(bundle).path.suffix == ".tflite"
    assert find_subject(bundle, "colours-int8.tflite").precision == "int8"
    with pytest.raises(UsageError, match=r"no \.tflite file called x"):
        find_subject(bundle, "x")
    for path in (model.with_name("absent.tflite"), model.parent / "x.onnx"):
        with pytest.raises(UsageError, match="neither a bundle nor a .tflite file"):
            find_subject(path)
    with pytest.raises(MejiroError):
        find_subject(model.parent)


@pytest.mark.parametrize(
    ("facts", "wanted"),
    [
        (PROPERTIES, {"board": "Google Pixel 8", "machine": "arm64-v8a", "system": "Android 15"}),
        ({}, {"board": None, "cpu": None, "machine": None, "system": "Android ?"}),
        ({"ro.product.manufacturer": "vivo", "ro.product.model": "vivo 1"}, {"board": "vivo 1"}),
        ({"ro.product.model": "\x1b[31m"}, {"board": None}),
    ],
)
def test_a_phone_is_described(facts: dict[str, str], wanted: dict[str, Any]) -> None:
    told = describe_phone(facts)
    assert wanted.items() <= told.items()

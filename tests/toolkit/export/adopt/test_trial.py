from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from mejiro.export.adopt import trial
from mejiro.export.adopt.trial import try_model
from mejiro_runtime.backends import onnxruntime
from mejiro_runtime.card import Format
from mejiro_runtime.errors import BackendError, MissingPackage, ModelError
from mejiro_runtime.preprocess import InputSpec, Layout, TensorType

SPEC = InputSpec(8, 8, dtype=TensorType.FLOAT32, layout=Layout.NCHW, scale=(1 / 255,))


def answer(text: str, code: int = 0, errors: str = "") -> subprocess.CompletedProcess[bytes]:
    return subprocess.CompletedProcess([], code, text.encode(), errors.encode())


def test_a_file_is_run_in_another_process(stranger: Callable[..., Path]) -> None:
    found = try_model(stranger("onnx"), Format.ONNX, SPEC, name="m.onnx")
    assert (found.shape, found.dtype) == ((1, 3), "float32")
    assert found.sums == pytest.approx((1, 1, 1), abs=1e-5)
    assert 0 < found.lowest <= 1 / 3 + 1e-6
    assert found.engine.startswith("onnxruntime ")


def test_integers_are_reported_as_real_numbers(stranger: Callable[..., Path]) -> None:
    path = stranger("tflite", dtype="uint8", given=(1 / 255, 0), made=(1 / 256, 0))
    found = try_model(path, Format.TFLITE, InputSpec(8, 8), name="m.tflite")
    assert found.dtype == "uint8"
    assert found.sums == pytest.approx((1, 1, 1), abs=0.02)


def test_what_the_engine_refuses_names_the_file_that_was_given(
    stranger: Callable[..., Path],
) -> None:
    path = stranger("tflite", custom="Unheard")
    spec = InputSpec(8, 8, dtype=TensorType.FLOAT32)
    with pytest.raises(ModelError, match=r"^m\.tflite is not a TFLite model.*Unheard") as caught:
        try_model(path, Format.TFLITE, spec, name="m.tflite")
    assert str(path) not in str(caught.value)


def test_scores_that_are_not_finite_are_refused(stranger: Callable[..., Path]) -> None:
    spec = InputSpec(8, 8, dtype=TensorType.FLOAT32, layout=Layout.NCHW, scale=(-1.0,))
    with pytest.raises(ModelError, match=r"^m\.onnx gives scores that are not finite"):
        try_model(stranger("onnx", end="Sqrt"), Format.ONNX, spec, name="m.onnx")


def test_an_input_that_is_another_once_loaded_is_refused(stranger: Callable[..., Path]) -> None:
    with pytest.raises(
        ModelError, match=r"^m\.onnx takes float32 \[1, 3, 8, 8\] once it is loaded"
    ):
        try_model(stranger("onnx"), Format.ONNX, InputSpec(8, 8), name="m.onnx")


def test_a_crash_becomes_one_line(
    stranger: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    killer = tmp_path / "python"
    killer.write_text("#!/bin/sh\nkill -SEGV $$\n")
    killer.chmod(0o755)
    monkeypatch.setattr(trial.sys, "executable", str(killer))
    with pytest.raises(ModelError, match=r"^m\.onnx makes its engine crash \(SIGSEGV\)"):
        try_model(stranger("onnx"), Format.ONNX, SPEC, name="m.onnx")


def test_a_trial_without_end_is_ended(
    stranger: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sleeper = tmp_path / "python"
    sleeper.write_text("#!/bin/sh\nexec sleep 60\n")
    sleeper.chmod(0o755)
    monkeypatch.setattr(trial.sys, "executable", str(sleeper))
    monkeypatch.setattr(trial, "TIMEOUT_S", 0.1)
    with pytest.raises(ModelError, match=r"^m\.onnx gave no scores in 0\.1 s"):
        try_model(stranger("onnx"), Format.ONNX, SPEC, name="m.onnx")


@pytest.mark.parametrize(
    ("done", "kind", "said"),
    [
        (answer("", 139), ModelError, "SIGSEGV"),
        (answer("", 1, "Traceback\nMemoryError: no"), ModelError, "tried: MemoryError: no"),
        (answer(""), ModelError, "without a word"),
        (answer("[1, 2]"), ModelError, "without a word"),
        (answer('{"error": "/t/x broke", "kind": "model"}'), ModelError, "^m.onnx broke$"),
        (answer('{"error": "/t/x broke", "kind": "engine"}'), BackendError, "^m.onnx broke$"),
    ],
)
def test_whatever_the_child_leaves_is_one_line(
    done: subprocess.CompletedProcess[bytes], kind: type[Exception], said: str
) -> None:
    with pytest.raises(kind, match=said):
        trial._read(done, Path("/t/x"), "m.onnx")


def test_what_native_code_prints_first_is_passed_over() -> None:
    report = {"shape": [1, 2], "dtype": "float32", "sums": [1.0], "lowest": 0.0, "engine": "e"}
    found = trial._read(answer("INFO: hello\n" + json.dumps(report)), Path("x"), "m.onnx")
    assert found.shape == (1, 2)


def test_a_missing_engine_is_said_at_once(
    stranger: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnxruntime, "installed", lambda: ())
    monkeypatch.setattr(trial.sys, "executable", "/no/such/python")
    with pytest.raises(MissingPackage, match="onnxruntime"):
        try_model(stranger("onnx"), Format.ONNX, SPEC, name="m.onnx")


def test_no_python_to_try_with_is_said(
    stranger: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert sys.executable
    monkeypatch.setattr(trial.sys, "executable", "/no/such/python")
    with pytest.raises(BackendError, match="could not be tried: No such file"):
        try_model(stranger("onnx"), Format.ONNX, SPEC, name="m.onnx")

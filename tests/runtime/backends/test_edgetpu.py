"""An Edge TPU that is asked for takes the file, or the reason is told; never on hardware here."""

from __future__ import annotations

import ctypes
from types import SimpleNamespace
from typing import Any

import pytest

from mejiro_runtime.backends import BackendRequest, edgetpu, litert, open_backend
from mejiro_runtime.errors import BackendError

HERE = litert.installed()


def refuse(text: str) -> Any:
    def load_delegate(library: str) -> Any:
        raise ValueError(text)

    return SimpleNamespace(load_delegate=load_delegate)


def test_a_missing_library_names_its_package() -> None:
    with pytest.raises(BackendError, match=r"libedgetpu\.so\.1 cannot be loaded .*libedgetpu1-std"):
        edgetpu.load(refuse("never asked"))


def test_an_accelerator_that_does_not_answer_is_told(monkeypatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda name: object())
    with pytest.raises(BackendError, match=r"no Edge TPU answers \(Failed to load\); plug"):
        edgetpu.load(refuse("Failed to\nload"))
    given = SimpleNamespace(load_delegate=lambda library: ("delegate", library))
    assert edgetpu.load(given) == ("delegate", "libedgetpu.so.1")


@pytest.mark.parametrize(
    ("operators", "told"),
    [
        ([], "unknown kernels, with the Edge TPU's delegate"),
        (["edgetpu-custom-op"], "Edge TPU"),
        (["edgetpu-custom-op", "EdgeTpuDelegateForCustomOp"], "Edge TPU"),
        (
            ["QUANTIZE", "edgetpu-custom-op", "SOFTMAX", "DELEGATE"],
            "Edge TPU, 2 operators on the CPU",
        ),
    ],
)
def test_what_stays_on_the_cpu_is_counted(operators: list[str], told: str) -> None:
    assert edgetpu.accelerator(operators) == told


def test_a_file_that_was_not_compiled_is_refused() -> None:
    with pytest.raises(BackendError, match="edgetpu_compiler"):
        edgetpu.accelerator(["CONV_2D", "SOFTMAX", "DELEGATE"])


@pytest.mark.skipif(not HERE, reason="no engine for .tflite files is installed here")
def test_the_cpu_runs_it_only_as_allowed(model_fixtures, monkeypatch) -> None:
    model = model_fixtures / "models" / "colours-int8.tflite"
    with pytest.raises(BackendError, match="cannot be loaded"):
        open_backend(model, BackendRequest("litert", "edgetpu"))
    allowed = BackendRequest("litert", "edgetpu", allow_fallback=True)
    backend = open_backend(model, allowed)
    assert "cannot be loaded" in (backend.info.fallback or "")
    assert "Edge TPU" not in backend.info.accelerator
    backend.close()
    # The library is there, and the file is for a CPU.
    monkeypatch.setattr(edgetpu, "load", lambda module: None)
    monkeypatch.setattr(litert, "_delegates", lambda delegate: {})
    with pytest.raises(BackendError, match="was compiled for the Edge TPU"):
        litert.open_file(model, BackendRequest("litert", "edgetpu"))
    backend = litert.open_file(model, allowed)
    assert "was compiled for the Edge TPU" in (backend.info.fallback or "")
    backend.close()

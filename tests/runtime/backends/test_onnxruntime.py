"""ONNX Runtime's backend runs on the provider asked for, or says that it does not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mejiro_runtime.backends import BackendRequest, onnxruntime, open_backend
from mejiro_runtime.errors import BackendError, MissingPackage, ModelError


@pytest.fixture
def model_file(model_fixtures) -> Any:
    if not onnxruntime.installed():
        pytest.skip("no engine for .onnx files is installed here")
    return model_fixtures / "models" / "colours-int8.onnx"


def test_no_engine_names_the_extra(monkeypatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert onnxruntime.installed() == ()
    with pytest.raises(MissingPackage, match=r"pip install 'mejiro-runtime\[onnx\]'"):
        onnxruntime.choose(BackendRequest("onnxruntime"))


def test_it_says_what_it_is(model_file) -> None:
    backend = open_backend(model_file, BackendRequest("onnxruntime", threads=2))
    assert backend.info.engine == "onnxruntime"
    assert backend.info.version == onnxruntime.version_of("onnxruntime")
    assert backend.info.accelerator == "CPUExecutionProvider"
    assert backend.info.threads == 2
    assert backend.info.fallback is None
    (pixels,), (scores,) = backend.inputs, backend.outputs
    assert (pixels.shape, pixels.dtype) == ((1, 32, 32, 3), "uint8")
    assert (scores.shape, scores.dtype) == ((1, 5), "float32")
    backend.close()


@pytest.mark.parametrize("variant", ["cpu", "CPU", "CPUExecutionProvider"])
def test_a_provider_has_short_and_long_names(model_file, variant: str) -> None:
    backend = open_backend(model_file, BackendRequest("onnxruntime", variant))
    assert backend.info.accelerator == "CPUExecutionProvider"
    assert backend.info.requested == f"onnxruntime:{variant}"
    backend.close()


def test_a_provider_that_is_absent_is_an_error_unless_fallback_is_allowed(model_file) -> None:
    with pytest.raises(BackendError, match="NoSuchProvider is not in this onnxruntime, which has"):
        open_backend(model_file, BackendRequest("onnxruntime", "NoSuchProvider"))
    request = BackendRequest("onnxruntime", "NoSuchProvider", allow_fallback=True)
    backend = open_backend(model_file, request)
    assert backend.info.accelerator == "CPUExecutionProvider"
    assert "NoSuchProvider is not in this onnxruntime" in str(backend.info.fallback)
    backend.close()


def test_a_provider_that_does_not_start_is_noticed(model_file, monkeypatch) -> None:
    import onnxruntime as ort

    # What ONNX Runtime does where a GPU's library is missing: list it, and start without it.
    listed = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    real = ort.InferenceSession

    def without_gpu(path: str, options: Any, providers: list[str], **more: Any) -> Any:
        assert providers == listed
        return real(path, options, providers=["CPUExecutionProvider"], **more)

    monkeypatch.setattr(ort, "get_available_providers", lambda: listed)
    monkeypatch.setattr(ort, "InferenceSession", without_gpu)
    with pytest.raises(BackendError, match="CUDAExecutionProvider could not be started, ONNX"):
        onnxruntime.open_file(model_file, BackendRequest("onnxruntime", "cuda"))
    request = BackendRequest("onnxruntime", "cuda", allow_fallback=True)
    backend = onnxruntime.open_file(model_file, request)
    assert backend.info.accelerator == "CPUExecutionProvider"
    assert "could not be started" in str(backend.info.fallback)


def test_the_unoptimized_graph_is_other_code_for_the_same_answers(model_file) -> None:
    tensor = np.random.default_rng(0).integers(0, 256, (1, 32, 32, 3), dtype=np.uint8)
    answers = []
    for variant, said in (("", "CPUExecutionProvider"), ("unoptimized", "without fusion")):
        backend = open_backend(model_file, BackendRequest("onnxruntime", variant))
        assert said in backend.info.accelerator
        answers.append(backend.infer(tensor)[0])
        backend.close()
    np.testing.assert_allclose(*answers, atol=4 / 256)


def test_an_open_dimension_is_minus_one(model_fixtures, model_file) -> None:
    path = model_fixtures / "odd" / "open-batch.onnx"
    backend = open_backend(path, BackendRequest("onnxruntime"))
    assert backend.inputs[0].shape == (-1, 3, 1, 1)
    backend.close()


def test_a_refused_file_prints_nothing(model_file, tmp_path, capfd) -> None:
    # A name that is not UTF-8 made ONNX Runtime print to standard output and try again.
    damaged = tmp_path / "damaged.onnx"
    whole = model_file.read_bytes()
    assert b"Softmax" in whole
    for content in (whole.replace(b"Softmax", b"Softm\xffx"), whole[: len(whole) // 2]):
        damaged.write_bytes(content)
        with pytest.raises(ModelError, match=r"damaged\.onnx is not an ONNX model"):
            onnxruntime.open_file(damaged, BackendRequest("onnxruntime"))
    captured = capfd.readouterr()
    assert captured.out == ""
    assert captured.err == ""

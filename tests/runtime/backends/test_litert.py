"""LiteRT's backend says which package, which kernels and which threads really run."""

from __future__ import annotations

import os
import sys
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from mejiro_runtime.backends import BackendRequest, litert, open_backend, parse_request
from mejiro_runtime.card import Format
from mejiro_runtime.errors import BackendError, MissingPackage

HERE = litert.installed()


@pytest.fixture
def packages(monkeypatch) -> Any:
    """Return a function that says which of the engines' packages can be found."""

    def install(*names: str) -> None:
        modules = {litert.ENGINES[name].partition(".")[0] for name in names}
        monkeypatch.delitem(sys.modules, "tensorflow", raising=False)
        monkeypatch.setattr(
            "importlib.util.find_spec", lambda name: object() if name in modules else None
        )

    return install


@pytest.fixture
def model_file(model_fixtures) -> Any:
    if not HERE:
        pytest.skip("no engine for .tflite files is installed here")
    return model_fixtures / "models" / "colours-int8.tflite"


def test_engines_are_tried_in_order(packages) -> None:
    packages("tflite-runtime", "ai-edge-litert")
    assert litert.installed() == ("ai-edge-litert", "tflite-runtime")
    assert litert.choose(BackendRequest("litert")) == ("ai-edge-litert", None)
    packages("tflite-runtime")
    assert litert.choose(BackendRequest("litert")) == ("tflite-runtime", None)
    assert litert.choose(BackendRequest("litert", "xnnpack")) == ("tflite-runtime", None)


def test_tensorflow_counts_only_once_it_is_imported(packages, monkeypatch) -> None:
    packages("tensorflow")
    assert litert.installed() == ()
    tensorflow = ModuleType("tensorflow")
    tensorflow.__version__ = "2.99.0"  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "tensorflow", tensorflow)
    assert litert.installed() == ("tensorflow",)
    assert litert.version_of("tensorflow") == "2.99.0"


def test_no_engine_names_the_extra(packages) -> None:
    packages()
    with pytest.raises(MissingPackage, match=r"pip install 'mejiro-runtime\[litert\]'"):
        litert.choose(BackendRequest("litert"))


def test_an_engine_that_is_absent_is_an_error_unless_fallback_is_allowed(packages) -> None:
    packages("ai-edge-litert")
    with pytest.raises(BackendError, match="tflite-runtime is not installed here, found ai-edge"):
        litert.choose(BackendRequest("litert", "tflite-runtime"))
    request = BackendRequest("litert", "tflite-runtime", allow_fallback=True)
    assert litert.choose(request) == ("ai-edge-litert", "tflite-runtime is not installed")


@pytest.mark.parametrize("allow", [False, True])
def test_an_unknown_variant_is_an_error_all_the_same(packages, allow: bool) -> None:
    packages("ai-edge-litert")
    with pytest.raises(BackendError, match="no variant 'gpu'; use one of ai-edge-litert, "):
        litert.choose(BackendRequest("litert", "gpu", allow_fallback=allow))


def test_tflite_runtime_with_numpy_2_is_explained(monkeypatch) -> None:
    monkeypatch.setattr(np, "__version__", "2.1.0")
    monkeypatch.setattr(litert, "version_of", lambda engine: "2.14.0")
    with pytest.raises(BackendError, match=r"numpy 1 and fails with numpy 2\.1\.0; run `pip"):
        litert._interpreter_module("tflite-runtime")


def test_an_engine_that_cannot_be_imported_is_explained(monkeypatch) -> None:
    for name in ("ai_edge_litert", "ai_edge_litert.interpreter"):
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setattr(litert, "version_of", lambda engine: "2.3.0")
    with pytest.raises(BackendError, match=r"ai-edge-litert 2\.3\.0 is installed but cannot be"):
        litert._interpreter_module("ai-edge-litert")


def test_it_says_what_it_is(model_file) -> None:
    backend = open_backend(model_file, BackendRequest("litert", threads=2))
    assert backend.info.engine == HERE[0]
    assert backend.info.version == litert.version_of(HERE[0])
    assert backend.info.threads == 2
    assert backend.info.requested == "litert"
    assert backend.info.fallback is None
    assert backend.info.accelerator.startswith("XNNPACK")
    (pixels,), (scores,) = backend.inputs, backend.outputs
    assert (pixels.shape, pixels.dtype) == ((1, 32, 32, 3), "uint8")
    assert (scores.shape, scores.dtype) == ((1, 5), "float32")
    backend.close()


def test_builtin_kernels_are_other_code_for_the_same_answers(model_file) -> None:
    tensor = np.random.default_rng(0).integers(0, 256, (1, 32, 32, 3), dtype=np.uint8)
    answers = {}
    for variant in ("xnnpack", "builtin"):
        backend = open_backend(model_file, BackendRequest("litert", variant))
        answers[backend.info.accelerator] = backend.infer(tensor)[0]
        assert backend.info.requested == f"litert:{variant}"
        backend.close()
    assert len(answers) == 2
    assert "builtin kernels" in answers
    one, two = answers.values()
    np.testing.assert_allclose(one, two, atol=4 / 256)


def test_xnnpack_that_took_nothing_is_an_error_unless_fallback_is_allowed(
    model_file, monkeypatch
) -> None:
    monkeypatch.setattr(litert, "_accelerator", lambda operators: "builtin kernels")
    with pytest.raises(BackendError, match="XNNPACK did not take this model, found builtin"):
        open_backend(model_file, BackendRequest("litert", "xnnpack"))
    request = BackendRequest("litert", "xnnpack", allow_fallback=True)
    backend = open_backend(model_file, request)
    assert backend.info.fallback == "XNNPACK did not take this model, it runs on builtin kernels"
    backend.close()
    plain = open_backend(model_file, BackendRequest("litert"))
    assert plain.info.accelerator == "builtin kernels"
    assert plain.info.fallback is None  # nobody asked for XNNPACK
    plain.close()


def test_a_named_engine_that_falls_back_says_so(model_file) -> None:
    absent = next(name for name in ("tflite-runtime", "ai-edge-litert") if name not in HERE)
    request = parse_request(f"litert:{absent}", Format.TFLITE, threads=1, allow_fallback=True)
    backend = open_backend(model_file, request)
    assert backend.info.engine == HERE[0]
    assert backend.info.fallback == f"{absent} is not installed"
    assert "FALLBACK" in str(backend.info)
    backend.close()


def test_quantized_ends_are_described(model_fixtures) -> None:
    if not HERE:
        pytest.skip("no engine for .tflite files is installed here")
    path = model_fixtures / "full-integer" / "colours-int8.tflite"
    backend = open_backend(path, BackendRequest("litert"))
    quantization = backend.outputs[0].quantization
    assert backend.outputs[0].dtype == "uint8"
    assert quantization is not None
    assert quantization.scale == pytest.approx(1 / 256)
    assert quantization.zero_point == 0
    backend.close()


def test_loading_prints_nothing(model_file, capfd) -> None:
    backend = open_backend(model_file, BackendRequest("litert"))
    os.write(2, b"still connected\n")
    captured = capfd.readouterr()
    assert captured.out == ""
    assert captured.err == "still connected\n"
    backend.close()

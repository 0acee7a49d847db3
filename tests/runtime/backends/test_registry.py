"""An engine is what was asked for, or the report says why it is not."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from mejiro_runtime.backends import (
    BACKENDS,
    BackendInfo,
    BackendRequest,
    BackendRow,
    backend_for,
    default_threads,
    open_backend,
    parse_request,
)
from mejiro_runtime.backends.probe import Verdict
from mejiro_runtime.card import Format
from mejiro_runtime.errors import BackendError, ModelError, UsageError


def test_every_format_has_its_backend() -> None:
    assert {format: backend_for(format) for format in Format} == {
        Format.TFLITE: "litert",
        Format.ONNX: "onnxruntime",
    }


def test_every_backend_offers_what_the_registry_says() -> None:
    for row in BACKENDS.values():
        module = row.load()
        for name in ("installed", "version_of", "choose", "open_file"):
            assert callable(getattr(module, name))
        for engine in module.installed():
            assert module.version_of(engine)[0].isdigit()


@pytest.mark.parametrize(
    ("text", "format", "name", "variant"),
    [
        (None, Format.TFLITE, "litert", ""),
        (None, Format.ONNX, "onnxruntime", ""),
        ("litert", Format.TFLITE, "litert", ""),
        ("litert:xnnpack", Format.TFLITE, "litert", "xnnpack"),
        ("onnxruntime:cuda", Format.ONNX, "onnxruntime", "cuda"),
    ],
)
def test_a_request_is_read(text: str, format: Format, name: str, variant: str) -> None:
    request = parse_request(text, format, threads=3)
    assert (request.name, request.variant, request.threads) == (name, variant, 3)
    assert str(request) == (text or name)


def test_an_unknown_backend_lists_the_known_ones() -> None:
    with pytest.raises(UsageError, match="no backend 'tensorrt'; use one of litert, onnxruntime"):
        parse_request("tensorrt", Format.ONNX)


@pytest.mark.parametrize(
    ("text", "format"), [("onnxruntime", Format.TFLITE), ("litert:xnnpack", Format.ONNX)]
)
def test_a_backend_runs_its_own_format_alone(text: str, format: Format) -> None:
    with pytest.raises(UsageError, match=f"this is a .{format.value}"):
        parse_request(text, format)


@pytest.mark.parametrize("threads", [0, -1, 257])
def test_threads_are_a_sensible_number(threads: int) -> None:
    with pytest.raises(UsageError, match=f"1 to 256, found {threads}"):
        parse_request(None, Format.TFLITE, threads=threads)


def test_the_usual_threads_are_the_usable_cpus_up_to_four(monkeypatch) -> None:
    for usable, wanted in ((1, 1), (3, 3), (64, 4)):
        cpus = set(range(usable))
        monkeypatch.setattr("os.sched_getaffinity", lambda _, cpus=cpus: cpus, raising=False)
        assert default_threads() == wanted
    monkeypatch.delattr("os.sched_getaffinity")
    monkeypatch.setattr("os.cpu_count", lambda: None)
    assert default_threads() == 1


def test_what_really_runs_is_said_in_words() -> None:
    info = BackendInfo("litert", "ai-edge-litert", "2.3.0", "XNNPACK", 1, "litert")
    assert str(info) == "ai-edge-litert 2.3.0, XNNPACK, 1 thread"
    assert info.to_json()["fallback"] is None
    other = BackendInfo("litert", "tflite-runtime", "2.14.0", "XNNPACK", 2, "litert:x", "x broke")
    assert str(other) == "tflite-runtime 2.14.0, XNNPACK, 2 threads (FALLBACK: x broke)"


# Opening, with engines whose verdicts are given.


@pytest.fixture
def engines(monkeypatch) -> Any:
    """Return a function that installs a backend with these engines; some do not work here."""

    def install(*names: str, broken: tuple[str, ...] = ()) -> list[str]:
        opened: list[str] = []

        class Opened:
            def __init__(self, request: BackendRequest) -> None:
                engine = request.variant or names[0]
                opened.append(engine)
                self.info = BackendInfo("litert", engine, "1", "none", 1, str(request))

        module = ModuleType("given_engines")
        vars(module).update(
            installed=lambda: names,
            version_of=lambda engine: "1.0",
            choose=lambda request: (request.variant or names[0], None),
            open_file=lambda path, request: Opened(request),
        )
        monkeypatch.setitem(sys.modules, module.__name__, module)
        monkeypatch.setitem(BACKENDS, "litert", BackendRow(Format.TFLITE, module.__name__))

        def probe(path: Any, request: Any, engine: str, version: str, precision: Any) -> Verdict:
            if engine in broken:
                return Verdict(engine, version, works=False, reason="was killed by SIGILL")
            return Verdict(engine, version, works=True)

        monkeypatch.setattr("mejiro_runtime.backends.probe.probe", probe)
        return opened

    return install


PATH = Path("model.tflite")


def test_an_engine_that_works_is_opened(engines) -> None:
    engines("first", "second")
    backend = open_backend(PATH, BackendRequest("litert"))
    assert backend.info.engine == "first"
    assert backend.info.fallback is None


def test_an_engine_that_crashes_is_refused_by_name(engines) -> None:
    opened = engines("first", "second", broken=("first",))
    with pytest.raises(BackendError, match=r"first 1\.0 was killed by SIGILL; install .*fallback"):
        open_backend(PATH, BackendRequest("litert"))
    assert opened == []


def test_another_engine_runs_only_where_that_is_allowed_and_says_so(engines) -> None:
    engines("first", "second", broken=("first",))
    backend = open_backend(PATH, BackendRequest("litert", allow_fallback=True))
    assert backend.info.engine == "second"
    assert backend.info.requested == "litert"
    assert backend.info.fallback == "first 1.0 was killed by SIGILL"


def test_where_no_engine_works_there_is_no_fallback(engines) -> None:
    engines("first", "second", broken=("first", "second"))
    with pytest.raises(BackendError, match="first 1.0 was killed"):
        open_backend(PATH, BackendRequest("litert", allow_fallback=True))


# Real engines and files that are no models.


@pytest.fixture
def own_engine_cache(tmp_path, monkeypatch) -> None:
    """Have every engine probed again: a verdict from before protects from no broken file."""
    monkeypatch.setenv("MEJIRO_CACHE", str(tmp_path / "verdicts"))


@pytest.mark.parametrize("what", ["empty", "text", "truncated", "absent", "folder"])
def test_what_is_no_model_is_refused_in_one_line(
    model_fixtures, real_format, tmp_path, own_engine_cache, what: str
) -> None:
    whole = (model_fixtures / "models" / f"colours-int8.{real_format.value}").read_bytes()
    path = tmp_path / f"broken.{real_format.value}"
    if what == "folder":
        path.mkdir()
    elif what != "absent":
        content = {
            "empty": b"",
            "text": b"not a model\n" * 99,
            "truncated": whole[: len(whole) // 2],
        }
        path.write_bytes(content[what])
    # Older engines crash on some of these, which the probe turns into a BackendError.
    with pytest.raises((ModelError, BackendError), match=r"broken\.") as caught:
        open_backend(path, parse_request(None, real_format, threads=1))
    assert "\n" not in str(caught.value)


def test_a_model_that_fails_only_when_it_runs_is_a_model_error(model_fixtures, real_format) -> None:
    path = model_fixtures / "odd" / f"fails.{real_format.value}"
    backend = open_backend(path, parse_request(None, real_format, threads=1))
    with pytest.raises(ModelError, match="failed to run this model"):
        backend.infer(np.zeros(backend.inputs[0].shape, np.float32))
    backend.close()


def test_two_inputs_are_described_and_run(model_fixtures, real_format) -> None:
    path = model_fixtures / "odd" / f"two-inputs.{real_format.value}"
    backend = open_backend(path, parse_request(None, real_format, threads=1))
    assert [value.shape for value in backend.inputs] == [(1, 4), (1, 4)]
    with pytest.raises(ValueError, match="argument"):
        backend.infer(np.zeros((1, 4), np.float32))
    (scores,) = backend.infer(*[np.zeros((1, 4), np.float32)] * 2)
    np.testing.assert_allclose(scores, np.full((1, 4), 0.25))
    backend.close()


def test_outputs_belong_to_the_caller(model_fixtures, real_format) -> None:
    path = model_fixtures / "models" / f"colours-fp32.{real_format.value}"
    backend = open_backend(path, parse_request(None, real_format, threads=1))
    rng = np.random.default_rng(0)
    tensors = [rng.integers(0, 256, (1, 32, 32, 3), dtype=np.uint8) for _ in range(2)]
    (first,) = backend.infer(tensors[0])
    kept = first.copy()
    backend.infer(tensors[1])
    backend.invoke()
    np.testing.assert_array_equal(first, kept)
    (again,) = backend.infer(tensors[0])
    np.testing.assert_array_equal(again, kept)
    backend.close()


@pytest.mark.parametrize("precision", ["int8", "fp32"])
def test_a_filled_input_gives_what_a_given_tensor_gives(
    model_fixtures, real_format, precision
) -> None:
    path = model_fixtures / "models" / f"colours-{precision}.{real_format.value}"
    backend = open_backend(path, parse_request(None, real_format, threads=1))
    rng = np.random.default_rng(1)
    for _ in range(3):
        tensor = rng.integers(0, 256, backend.inputs[0].shape, dtype=np.uint8)
        (expected,) = backend.infer(tensor)
        backend.borrow_input()[...] = 0
        assert not np.array_equal(backend.run()[0], expected)
        backend.borrow_input()[...] = tensor
        (made,) = backend.run()
        assert np.array_equal(made, expected)
    backend.close()

"""An engine that would kill the program ends in a process of its own, and is asked once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import mejiro_runtime
from mejiro_runtime.backends import BACKENDS, BackendRequest, open_backend, probe
from mejiro_runtime.card import Precision
from mejiro_runtime.errors import BackendError, ModelError
from mejiro_runtime.files import write_json

REQUEST = BackendRequest("litert", threads=2)
MODEL = Path("model.tflite")


@pytest.fixture
def cache(tmp_path, monkeypatch) -> Path:
    """Return an empty folder where verdicts are kept."""
    folder: Path = tmp_path / "verdicts"
    monkeypatch.setenv("MEJIRO_CACHE", str(folder))
    return folder


@pytest.fixture
def child(tmp_path, monkeypatch) -> Any:
    """Return a function that replaces what the child does; the calls are counted in a file."""
    count = tmp_path / "calls"
    count.write_text("", encoding="ascii")

    def behave(code: str) -> None:
        program = f"import os, signal, sys\nopen({str(count)!r}, 'a').write('x')\n{code}\n"
        monkeypatch.setattr(probe, "_CHILD", program)

    behave.calls = lambda: len(count.read_text(encoding="ascii"))  # type: ignore[attr-defined]
    return behave


def ask(version: str = "1.0", precision: Precision = Precision.INT8) -> probe.Verdict:
    return probe.probe(MODEL, REQUEST, "ai-edge-litert", version, precision)


def test_an_illegal_instruction_refuses_the_engine_for_good(cache, child) -> None:
    child("os.kill(os.getpid(), signal.SIGILL)")
    verdict = ask()
    assert not verdict.works
    assert verdict.lasting
    assert verdict.reason == "was killed by SIGILL when it tried model.tflite"
    child("pass")
    assert ask() == verdict
    assert child.calls() == 1
    assert len(list(cache.iterdir())) == 1


@pytest.mark.parametrize("name", ["SIGSEGV", "SIGABRT", "SIGBUS", "SIGFPE"])
def test_another_crash_may_be_this_files_fault_and_is_not_kept(cache, child, name: str) -> None:
    child(f"os.kill(os.getpid(), signal.{name})")
    verdict = ask()
    assert not verdict.works
    assert verdict.reason == f"was killed by {name} when it tried model.tflite"
    child("pass")
    assert ask().works
    assert child.calls() == 2


@pytest.mark.parametrize(("code", "name"), [(132, "SIGILL"), (139, "SIGSEGV")])
def test_emulators_report_signals_as_exit_codes(cache, child, code: int, name: str) -> None:
    child(f"sys.exit({code})")
    verdict = ask()
    assert not verdict.works
    assert name in verdict.reason
    assert verdict.lasting is (name == "SIGILL")


def test_an_engine_that_works_is_asked_once(cache, child) -> None:
    child("pass")
    assert ask().works
    assert ask().works
    assert child.calls() == 1


def test_a_childs_own_exception_speaks_neither_for_nor_against(cache, child) -> None:
    child("raise ValueError('not a model')")
    assert ask().works
    assert ask().works
    assert child.calls() == 2
    assert not cache.exists() or not list(cache.iterdir())


def test_a_file_that_the_child_refused_is_not_loaded_here(cache, child, monkeypatch) -> None:
    """tflite-runtime refuses a damaged file in one process and crashes on it in the next."""
    child(f"print('noise'); print('model.tflite is no model'); sys.exit({probe.REFUSED})")
    module = BACKENDS["litert"].load()
    monkeypatch.setattr(module, "choose", lambda request: ("ai-edge-litert", None))
    monkeypatch.setattr(module, "version_of", lambda engine: "1.0")
    monkeypatch.setattr(module, "open_file", lambda path, request: pytest.fail("it was loaded"))
    with pytest.raises(ModelError, match=r"^model\.tflite is no model$"):
        open_backend(MODEL, REQUEST)
    assert not cache.exists() or not list(cache.iterdir())


def test_what_changes_the_answer_is_asked_anew(cache, child, monkeypatch) -> None:
    child("pass")
    asked = [
        ask,
        lambda: ask(version="1.1"),
        lambda: ask(precision=Precision.FP32),
        lambda: probe.probe(
            MODEL, BackendRequest("litert", "builtin"), "ai-edge-litert", "1.0", Precision.INT8
        ),
        lambda: probe.probe(MODEL, REQUEST, "tflite-runtime", "1.0", Precision.INT8),
    ]
    for number, question in enumerate(asked, start=1):
        question()
        question()
        assert child.calls() == number
    monkeypatch.setattr(probe, "cpu_identity", lambda: "another CPU")
    ask()
    assert child.calls() == len(asked) + 1
    monkeypatch.setattr("numpy.__version__", "1.99")
    ask()
    assert child.calls() == len(asked) + 2


def test_a_child_that_hangs_is_refused(cache, child, monkeypatch) -> None:
    child("import time; time.sleep(600)")
    monkeypatch.setattr(probe, "TIMEOUT_S", 0.2)
    verdict = ask()
    assert not verdict.works
    assert "gave no answer in 0.2 s" in verdict.reason
    assert not verdict.lasting


def test_a_child_that_cannot_be_started_is_refused(cache, monkeypatch) -> None:
    monkeypatch.setattr(sys, "executable", "/does/not/exist")
    verdict = ask()
    assert not verdict.works
    assert "could not be tried" in verdict.reason
    assert not verdict.lasting


def test_a_cache_that_cannot_be_written_costs_only_time(tmp_path, child, monkeypatch) -> None:
    (tmp_path / "file").write_text("", encoding="ascii")
    monkeypatch.setenv("MEJIRO_CACHE", str(tmp_path / "file" / "below"))
    child("pass")
    assert ask().works
    assert ask().works
    assert child.calls() == 2


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b'{"works": true}', b"\xff"])
def test_a_damaged_verdict_is_asked_anew(cache, child, content: bytes) -> None:
    child("os.kill(os.getpid(), signal.SIGILL)")
    ask()
    (kept,) = cache.iterdir()
    kept.write_bytes(content)
    child("pass")
    assert ask().works
    assert child.calls() == 2
    assert json.loads(kept.read_text(encoding="utf-8")) == {"works": True, "reason": ""}


def test_verdicts_lie_in_the_users_cache(monkeypatch, tmp_path) -> None:
    monkeypatch.delenv("MEJIRO_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert probe.cache_folder() == tmp_path / "mejiro"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert probe.cache_folder() == tmp_path / "home" / ".cache" / "mejiro"


def test_a_user_without_a_home_has_no_cache(monkeypatch, child) -> None:
    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("MEJIRO_CACHE")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", homeless)
    child("pass")
    assert probe.cache_folder() is None
    assert ask().works
    assert ask().works
    assert child.calls() == 2


def test_tensorflow_runs_here_already_and_is_not_probed(cache, child) -> None:
    child("os.kill(os.getpid(), signal.SIGILL)")
    assert probe.probe(MODEL, REQUEST, "tensorflow", "2.21", Precision.INT8).works
    assert child.calls() == 0


def test_a_cpu_is_known_by_its_instructions(tmp_path) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text("processor: 0\nmodel name: A\nflags: avx2 fma\ncpu MHz: 800\n", "utf-8")
    one = probe.cpu_identity(cpuinfo)
    cpuinfo.write_text("processor: 0\nmodel name: A\nflags: avx2 fma\ncpu MHz: 3100\n", "utf-8")
    assert probe.cpu_identity(cpuinfo) == one
    cpuinfo.write_text("processor: 0\nmodel name: A\nflags: sse2\ncpu MHz: 800\n", "utf-8")
    assert probe.cpu_identity(cpuinfo) != one
    assert probe.cpu_identity(tmp_path / "absent")


# The real child.


def test_the_child_runs_one_inference(cache, model_fixtures, real_format) -> None:
    name = next(name for name, row in BACKENDS.items() if row.format is real_format)
    module = BACKENDS[name].load()
    request = BackendRequest(name)
    engine, _ = module.choose(request)
    path = model_fixtures / "models" / f"colours-int8.{real_format.value}"
    verdict = probe.probe(path, request, engine, "1", Precision.INT8)
    assert verdict == probe.Verdict(engine, "1", works=True, lasting=True)
    # A model that fails when it runs is no fault of the engine, and settles nothing.
    failing = model_fixtures / "odd" / f"fails.{real_format.value}"
    again = probe.probe(failing, request, engine, "2", Precision.INT8)
    assert again == probe.Verdict(engine, "2", works=True, lasting=False)


KILLER = "import os, signal\nos.kill(os.getpid(), signal.SIGILL)\n"


def test_an_engine_that_dies_at_import_is_refused_and_this_process_lives(
    cache, tmp_path, monkeypatch
) -> None:
    # A wheel for another CPU: it looks installed, and importing it kills whoever does.
    package = tmp_path / "site" / "ai_edge_litert"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("", encoding="ascii")
    (package / "interpreter.py").write_text(KILLER, encoding="ascii")
    program = (
        "import sys\n"
        "from pathlib import Path\n"
        "from mejiro_runtime.backends import BackendRequest, open_backend\n"
        "from mejiro_runtime.errors import BackendError\n"
        "for _ in range(2):\n"
        "    try:\n"
        "        open_backend(Path(sys.argv[1]), BackendRequest('litert'))\n"
        "    except BackendError as error:\n"
        "        print(error)\n"
    )
    root = Path(mejiro_runtime.__file__).parents[1]
    paths = os.pathsep.join([str(package.parent), str(root)])
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "model.tflite")],
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == 2
    assert lines[0] == lines[1]
    assert "was killed by SIGILL when it tried model.tflite; install a build for this" in lines[0]
    assert len(list(cache.iterdir())) == 1


def test_a_kept_verdict_refuses_without_a_child(cache, child, simulated_engine_module) -> None:
    child("pass")
    request = BackendRequest("litert")
    file = probe._cache_file("simulated", "1.0", "", Precision.UNKNOWN)
    assert file is not None
    write_json(file, {"works": False, "reason": "was killed by SIGILL"})
    with pytest.raises(BackendError, match=r"simulated 1\.0 was killed by SIGILL"):
        open_backend(MODEL, request)
    assert child.calls() == 0


def test_the_child_imports_nothing_from_the_working_folder(cache, tmp_path, child) -> None:
    """A bundle from a stranger may hold a json.py, and one may have gone into its folder."""
    trap = tmp_path / "stranger"
    trap.mkdir()
    for name in ("json", "numpy", "mejiro_runtime", "sitecustomize"):
        (trap / f"{name}.py").write_text("open('sprung', 'w')\n", encoding="ascii")
    program = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from mejiro_runtime.backends import BackendRequest, probe\n"
        "from mejiro_runtime.card import Precision\n"
        "os.chdir(sys.argv[1])\n"
        "print(probe.probe(Path('m'), BackendRequest('litert'), 'e', '1', Precision.INT8))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", "import sys; sys.path.pop(0)\n" + program, str(trap)],
        env={**os.environ, "PYTHONPATH": str(Path(mejiro_runtime.__file__).parents[1])},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "works=True" in done.stdout
    assert not (trap / "sprung").exists()

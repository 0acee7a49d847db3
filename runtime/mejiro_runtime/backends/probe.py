"""Try an engine in a process of its own before trusting it with this one.

A wheel built for a newer CPU ends the whole program with an illegal instruction, which Python
cannot catch. So the first use of an engine on a machine runs one inference in a child process;
the verdict is kept by engine, version, numpy, CPU and arithmetic, and asked only once.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import os
import platform
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mejiro_runtime import jetson
from mejiro_runtime.backends.protocol import BackendRequest
from mejiro_runtime.card import Precision
from mejiro_runtime.errors import ModelError
from mejiro_runtime.files import write_json

TIMEOUT_S = 120
BUILD_TIMEOUT_S = 1800  # the first run with TensorRT builds an engine
_BUILDING = ("gpu", "tensorrt", "tensorrtexecutionprovider")
REFUSED = 65  # the child's exit code when the engine refused the file; sysexits.h: EX_DATAERR
# The child imports from where this process does. `python -m` would look into the working folder
# first, and that may be a stranger's bundle with a json.py in it.
_CHILD = """
import sys
sys.path[:] = sys.argv.pop(1).split("\\n")
from mejiro_runtime.backends.probe import main
sys.exit(main(sys.argv[1:]))
"""
_CPU_LINES = ("model name", "Hardware", "CPU part", "CPU implementer", "flags", "Features")


class Verdict(NamedTuple):
    """Say whether an engine survived one inference; `reason` completes "ENGINE VERSION ...".

    `lasting` is true where the same would happen again with any model. `refusal` is why the
    engine would not load this file, where it said so.
    """

    engine: str
    version: str
    works: bool
    reason: str = ""
    lasting: bool = False
    refusal: str = ""


def cache_folder() -> Path | None:
    """Return where verdicts are kept: $MEJIRO_CACHE, else the user's cache folder.

    None for a user without a home, as a service may be.
    """
    if chosen := os.environ.get("MEJIRO_CACHE"):
        return Path(chosen)
    if base := os.environ.get("XDG_CACHE_HOME"):
        return Path(base) / "mejiro"
    try:
        return Path.home() / ".cache" / "mejiro"
    except RuntimeError:
        return None


def cpu_identity(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """Return a text that changes when the CPU or its instruction set does."""
    try:
        lines = cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return f"{platform.machine()} {platform.processor()}"
    wanted = {line.strip() for line in lines if line.startswith(_CPU_LINES)}
    return platform.machine() + "\n" + "\n".join(sorted(wanted))


def _cache_file(engine: str, version: str, variant: str, precision: Precision) -> Path | None:
    folder = cache_folder()
    if folder is None:
        return None
    key = "\n".join(
        [engine, version, variant, precision.value, np.__version__, sys.version, cpu_identity()]
    )
    digest = hashlib.sha256(key.encode()).hexdigest()[:24]
    return folder / f"engine-{digest}.json"


def probe(
    path: Path, request: BackendRequest, engine: str, version: str, precision: Precision
) -> Verdict:
    """Return the verdict on `engine`, from the cache or from one inference of `path` in a child.

    A child that ends with an exception of its own does not speak against the engine: the caller
    will meet the same exception and report it. Only a file that the engine refused must not be
    loaded again: engines that check no bounds refuse a damaged file in one process and crash on
    it in the next. TensorFlow runs in this process already, so there is nothing to protect.
    """
    if engine == "tensorflow":
        return Verdict(engine, version, works=True)
    cache = _cache_file(engine, version, request.variant, precision)
    if cache and (kept := _read_verdict(cache, engine, version)):
        return kept
    verdict = _try_engine(path, request, engine, version)
    # An illegal instruction is the engine's fault; any other crash may be this one file's.
    if cache and verdict.lasting:
        try:
            write_json(cache, {"works": verdict.works, "reason": verdict.reason})
        except OSError:
            pass  # a read-only home costs a probe at each start, nothing more
    return verdict


def _read_verdict(cache: Path, engine: str, version: str) -> Verdict | None:
    try:
        kept = json.loads(cache.read_text(encoding="utf-8"))
        return Verdict(engine, version, bool(kept["works"]), str(kept["reason"]), lasting=True)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def patience_s(request: BackendRequest) -> int:
    """Return the seconds that an engine gets for its first answer."""
    default = request.name == "onnxruntime" and not request.variant and jetson.is_jetson()
    return BUILD_TIMEOUT_S if default or request.variant.lower() in _BUILDING else TIMEOUT_S


def _try_engine(path: Path, request: BackendRequest, engine: str, version: str) -> Verdict:
    # These cost milliseconds, and most starts find a verdict in the cache.
    import signal
    import subprocess

    timeout_s = patience_s(request)
    command = [sys.executable, "-c", _CHILD, "\n".join(sys.path)]
    command += [str(path), str(request), str(request.threads)]
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Verdict(engine, version, False, f"gave no answer in {timeout_s} s")
    except OSError as error:
        return Verdict(engine, version, False, f"could not be tried ({error})")
    # 132 and 139 are how a shell, or an emulator, reports the same signals.
    number = -done.returncode if done.returncode < 0 else done.returncode - 128
    if number in (signal.SIGILL, signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGABRT):
        reason = f"was killed by {signal.Signals(number).name} when it tried {path.name}"
        return Verdict(engine, version, False, reason, lasting=number == signal.SIGILL)
    said = done.stdout.decode("utf-8", "replace").splitlines()
    refusal = said[-1] if said and done.returncode == REFUSED else ""
    lasting = done.returncode == 0
    return Verdict(engine, version, works=True, lasting=lasting, refusal=refusal)


def main(arguments: list[str]) -> int:
    """Load a model and run it once on zeros: the child's whole life."""
    path, wanted, threads = arguments
    name, _, variant = wanted.partition(":")
    request = BackendRequest(name, variant, int(threads), allow_fallback=True)
    module = importlib.import_module(f"mejiro_runtime.backends.{name}")
    try:
        backend = module.open_file(Path(path), request)
    except ModelError as error:
        sys.stdout.write(f"\n{error}\n")
        return REFUSED
    tensors = [
        np.zeros([max(1, size) for size in value.shape], dtype=value.dtype)
        for value in backend.inputs
    ]
    backend.infer(*tensors)
    return 0

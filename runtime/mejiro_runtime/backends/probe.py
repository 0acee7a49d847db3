"""Try an engine in a process of its own before trusting it with this one.

A wheel built for a newer CPU ends the whole program with an illegal instruction, which Python
cannot catch. So the first use of an engine on a machine runs one inference in a child process;
the verdict is kept by engine, version, numpy, CPU and arithmetic, and asked only once.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mejiro_runtime.backends.protocol import BackendRequest
from mejiro_runtime.card import Precision
from mejiro_runtime.files import write_json

TIMEOUT_S = 120
_CPU_LINES = ("model name", "Hardware", "CPU part", "CPU implementer", "flags", "Features")


@dataclass(frozen=True)
class Verdict:
    """Say whether an engine survived one inference; `reason` completes "ENGINE VERSION ...".

    `lasting` is true where the same would happen again with any model.
    """

    engine: str
    version: str
    works: bool
    reason: str = ""
    lasting: bool = False


def cache_folder() -> Path:
    """Return where verdicts are kept: $MEJIRO_CACHE, else the user's cache folder."""
    if chosen := os.environ.get("MEJIRO_CACHE"):
        return Path(chosen)
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "mejiro"


def cpu_identity(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """Return a text that changes when the CPU or its instruction set does."""
    try:
        lines = cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return f"{platform.machine()} {platform.processor()}"
    wanted = {line.strip() for line in lines if line.startswith(_CPU_LINES)}
    return platform.machine() + "\n" + "\n".join(sorted(wanted))


def _cache_file(engine: str, version: str, variant: str, precision: Precision) -> Path:
    key = "\n".join(
        [engine, version, variant, precision.value, np.__version__, sys.version, cpu_identity()]
    )
    digest = hashlib.sha256(key.encode()).hexdigest()[:24]
    return cache_folder() / f"engine-{digest}.json"


def probe(
    path: Path, request: BackendRequest, engine: str, version: str, precision: Precision
) -> Verdict:
    """Return the verdict on `engine`, from the cache or from one inference of `path` in a child.

    A child that ends with an exception of its own does not speak against the engine: the caller
    will meet the same exception and report it. TensorFlow runs in this process already,
    so there is nothing to protect.
    """
    if engine == "tensorflow" or os.environ.get("MEJIRO_PROBING"):
        return Verdict(engine, version, works=True)
    cache = _cache_file(engine, version, request.variant, precision)
    kept = _read_verdict(cache, engine, version)
    if kept is not None:
        return kept
    verdict = _try_engine(path, request, engine, version)
    # An illegal instruction is the engine's fault; any other crash may be this one file's.
    if verdict.lasting:
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


def _try_engine(path: Path, request: BackendRequest, engine: str, version: str) -> Verdict:
    command = [sys.executable, "-m", "mejiro_runtime.backends.probe"]
    command += [str(path), str(request), str(request.threads)]
    # The child must find this very package, wherever it was imported from.
    root = str(Path(__file__).resolve().parents[2])
    paths = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "MEJIRO_PROBING": "1", "PYTHONPATH": os.pathsep.join(paths)}
    try:
        done = subprocess.run(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Verdict(engine, version, False, f"gave no answer in {TIMEOUT_S} s")
    except OSError as error:
        return Verdict(engine, version, False, f"could not be tried ({error})")
    # 132 and 139 are how a shell, or an emulator, reports the same signals.
    number = -done.returncode if done.returncode < 0 else done.returncode - 128
    if number in (signal.SIGILL, signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGABRT):
        reason = f"was killed by {signal.Signals(number).name} when it tried {path.name}"
        return Verdict(engine, version, False, reason, lasting=number == signal.SIGILL)
    return Verdict(engine, version, works=True, lasting=done.returncode == 0)


def main(arguments: list[str]) -> int:
    """Load a model and run it once on zeros: the child's whole life."""
    from mejiro_runtime.backends import BACKENDS

    path, wanted, threads = arguments
    name, _, variant = wanted.partition(":")
    row = BACKENDS[name]
    request = BackendRequest(name, variant, int(threads), allow_fallback=True)
    backend = getattr(row.load(), row.type_name)(Path(path), request)
    tensors = [
        np.zeros([max(1, size) for size in value.shape], dtype=value.dtype)
        for value in backend.inputs
    ]
    backend.infer(*tensors)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Run a user's benchmark_model on a phone, and report what it measured as a device's report.

It measures the engine alone, on random input: no camera, no preprocessing, no labels. So the report
is of the kind "engine" and has no time from frame to label.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from mejiro.errors import PhoneError, UsageError
from mejiro.model import Artifact
from mejiro.phone.adb import Adb
from mejiro.phone.benchmark_output import (
    BenchmarkResult,
    parse_benchmark,
    said_wrong,
    unknown_flags,
)
from mejiro_runtime.bundle import open_bundle
from mejiro_runtime.card import Format, card_path
from mejiro_runtime.files import sha256_of

DEFAULT_BACKEND = "cpu"
RUN_S = 900.0
MAX_SECONDS = 150
FOLDER = "/data/local/tmp"

# What may be asked for -> the flags that ask for it, and what a delegate that did it is called.
# LITERT_CL is LiteRT's on OpenCL.
BACKENDS = MappingProxyType(
    {
        "cpu": (("--use_xnnpack=true",), None),
        "builtin": (("--use_xnnpack=false",), None),
        "gpu": (("--use_gpu=true",), re.compile("gpu|litert_cl", re.IGNORECASE)),
        "nnapi": (("--use_nnapi=true",), re.compile("nnapi", re.IGNORECASE)),
    }
)
# e_machine of an ELF file -> Android's names of what runs it. Source: the ELF specifications.
_MACHINES = {0xB7: ("arm64-v8a",), 0x28: ("armeabi-v7a", "arm64-v8a"), 0x3E: ("x86_64",),
             0x03: ("x86", "x86_64"), 0xF3: ("riscv64",)}  # fmt: skip


@dataclass(frozen=True)
class BenchmarkOptions:
    """Hold what is measured, and on what."""

    backend: str = DEFAULT_BACKEND
    threads: int = 1
    runs: int = 50
    artifact: str | None = None

    def __post_init__(self) -> None:
        if self.backend not in BACKENDS:
            known = ", ".join(BACKENDS)
            raise UsageError(f"benchmark_model runs on {known}, found --backend '{self.backend}'")


@dataclass(frozen=True)
class Subject:
    """Hold a model to measure: its file, and its precision where a card tells it."""

    path: Path
    precision: str = ""


def find_subject(path: Path, artifact: str | None = None) -> Subject:
    """Return the .tflite file at `path`, or of the bundle there; UsageError if there is none."""
    if path.is_dir():
        bundle = open_bundle(path)
        cards = [card for card in bundle.manifest.artifacts if card.format is Format.TFLITE]
        if artifact is not None:
            cards = [card for card in cards if artifact in (card.file, card.name)]
        if not cards:
            told = f" called {artifact}" if artifact else ""
            raise UsageError(f"the bundle {path} has no .tflite file{told}")
        return Subject(bundle.model_path(cards[0]), cards[0].precision.value)
    if path.suffix != ".tflite" or not path.is_file():
        raise UsageError(
            f"{path} is neither a bundle nor a .tflite file; benchmark_model runs those"
        )
    known = card_path(path).is_file()
    return Subject(path, Artifact.open(path).card.precision.value if known else "")


def benchmark(
    adb: Adb, binary: Path, subject: Subject, options: BenchmarkOptions
) -> dict[str, Any]:
    """Run `binary` on the phone with the model, and return a report that `mejiro compare` reads.

    Both are put into a fresh folder, which is removed at the end. Raises PhoneError if it fails, or
    if the model did not run on what was asked for.
    """
    facts = adb.properties()
    _check_binary(binary, facts.get("ro.product.cpu.abi", ""))
    with _folder_on(adb) as folder:
        adb.push(binary, f"{folder}/benchmark_model")
        adb.push(subject.path, f"{folder}/model.tflite")
        _must(adb, "chmod", "755", f"{folder}/benchmark_model")
        words = [f"{folder}/benchmark_model", *_flags(f"{folder}/model.tflite", options)]
        done = adb.shell(*words, timeout_s=RUN_S)
    printed = f"{done.out}\n{done.err}"
    if done.code:
        raise PhoneError(f"benchmark_model ended with {done.code}: {said_wrong(printed)}")
    result = parse_benchmark(printed)
    _check_delegate(result, options, printed)
    return _report(facts, binary, subject, options, result)


def _flags(model: str, options: BenchmarkOptions) -> list[str]:
    return [
        f"--graph={model}",
        f"--num_threads={options.threads}",
        f"--num_runs={options.runs}",
        f"--max_secs={MAX_SECONDS}",
        "--report_peak_memory_footprint=true",
        *BACKENDS[options.backend][0],
    ]


def _check_binary(path: Path, abi: str) -> None:
    """Raise UsageError for what no phone runs, or this phone does not."""
    try:
        with path.open("rb") as stream:
            head = stream.read(20)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from None
    if head[:2] == b"#!":
        return  # a script around it
    if head[:4] != b"\x7fELF" or len(head) < 20:
        raise UsageError(f"{path} is no program; give the benchmark_model made for Android")
    machine = int.from_bytes(head[18:20], "little" if head[5] == 1 else "big")
    runs_on = _MACHINES.get(machine, ())
    if abi and abi not in runs_on:
        made_for = " or ".join(runs_on) or f"machine {machine}"
        raise UsageError(f"{path} is made for {made_for}, and the phone is {abi}")


@contextmanager
def _folder_on(adb: Adb) -> Iterator[str]:
    folder = f"{FOLDER}/mejiro-{secrets.token_hex(6)}"
    _must(adb, "mkdir", folder)
    try:
        yield folder
    finally:
        adb.shell("rm", "-rf", folder)


def _must(adb: Adb, *words: str) -> None:
    done = adb.shell(*words)
    if done.code:
        raise PhoneError(f"`{words[0]}` failed on the phone: {said_wrong(done.out + done.err)}")


def _check_delegate(result: BenchmarkResult, options: BenchmarkOptions, printed: str) -> None:
    flags, wanted = BACKENDS[options.backend]
    names = [one.name for one in result.delegates]
    # XNNPACK is what a version that does not know its flag takes by itself.
    passed_over = {flag.removeprefix("--").partition("=")[0] for flag in flags}
    passed_over &= unknown_flags(printed)
    if passed_over and options.backend != DEFAULT_BACKEND:
        raise PhoneError(
            f"this benchmark_model knows no --{passed_over.pop()}, so nothing ran on "
            f"{options.backend}; leave --backend out"
        )
    if wanted is not None and not any(wanted.search(name) for name in names):
        raise PhoneError(
            f"the model did not run on {options.backend}: benchmark_model names "
            f"{', '.join(names) or 'no delegate'}; leave --backend out"
        )


def _report(
    facts: dict[str, str],
    binary: Path,
    subject: Subject,
    options: BenchmarkOptions,
    result: BenchmarkResult,
) -> dict[str, Any]:
    return {
        "kind": "engine",
        "artifact": subject.path.name,
        "precision": subject.precision,
        "backend": {
            "name": "benchmark_model",
            "engine": "benchmark_model",
            # It prints no version of its own.
            "version": sha256_of(binary)[:12],
            "accelerator": _accelerator(result),
            "threads": options.threads,
            "requested": options.backend,
            "fallback": None,
        },
        "source": "random input",
        "device": describe_phone(facts),
        "frames": result.count,
        "load_ns": result.init_ns,
        "first_infer_ns": result.first_ns,
        "warmup_frames": result.warmup_count,
        "stages": {"infer": result.infer()},
        "peak_memory_bytes": result.peak_memory_bytes,
        "memory_growth_bytes": result.memory_growth_bytes,
    }


def _accelerator(result: BenchmarkResult) -> str:
    """Say what ran the model, and how much of it where that was not all."""
    parts = [
        one.name
        if one.whole or one.nodes is None
        else f"{one.name} ({one.nodes} of {one.total} operators)"
        for one in result.delegates
    ]
    return " and ".join(parts) or "CPU"


def describe_phone(facts: dict[str, str]) -> dict[str, Any]:
    """Return a phone's properties as the device of a report; no serial number is in it."""

    def get(name: str) -> str | None:
        value = facts.get(name, "").strip()
        return value if value.isprintable() and value else None

    maker, model = get("ro.product.manufacturer") or "", get("ro.product.model") or ""
    board = model if model.lower().startswith(maker.lower()) else f"{maker} {model}"
    chip = [get("ro.soc.manufacturer"), get("ro.soc.model")]
    return {
        "board": board.strip() or None,
        "cpu": " ".join(part for part in chip if part) or get("ro.hardware"),
        "machine": get("ro.product.cpu.abi"),
        "system": f"Android {get('ro.build.version.release') or '?'}",
        "sdk": get("ro.build.version.sdk"),
    }

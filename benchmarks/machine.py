"""Describe the machine that a benchmark ran on, without naming it or whose it is.

Every benchmark writes this beside what it measured, since a figure without its machine says
nothing. Run alone it prints the description.
"""

from __future__ import annotations

import json
import os
import platform
from importlib import metadata
from typing import Any

from mejiro_runtime.telemetry import describe_machine

PACKAGES = (
    "mejiro",
    "mejiro-runtime",
    "ai-edge-litert",
    "keras",
    "numpy",
    "onnx",
    "onnxruntime",
    "opencv-python-headless",
    "tensorflow",
    "tf2onnx",
)


def describe() -> dict[str, Any]:
    """Return CPU, cores, memory, operating system, Python and the versions of PACKAGES."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    # A kernel's release goes on with what its builder called it; the number is enough.
    release = ".".join(platform.release().split("-")[0].split(".")[:2])
    return {
        **describe_machine(),
        "system": f"{platform.system()} {release}",
        "cpus_usable": usable,
        "memory_gib": _memory_gib(),
        "distribution": _distribution(),
        "packages": {name: version for name in PACKAGES if (version := _version(name))},
    }


def _memory_gib() -> float | None:
    try:
        size_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None
    return round(size_bytes / 2**30, 1)


def _distribution() -> str | None:
    try:
        return platform.freedesktop_os_release().get("PRETTY_NAME")
    except OSError:
        return None


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


if __name__ == "__main__":
    print(json.dumps(describe(), indent=2))

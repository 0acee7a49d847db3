"""Read what the operating system tells of this process and machine; absent readings are None."""

from __future__ import annotations

import os
import platform
import sys
from pathlib import Path
from typing import Any

from mejiro_runtime import android


def peak_memory_bytes() -> int | None:
    """Return the most memory this process ever held resident, in bytes; None off Unix."""
    # Linux lets `ru_maxrss` of a new program begin at what its parent held before the exec, so a
    # small program started by a large one would report the large one's memory.
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
        for line in status.splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError, IndexError):
        pass
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(peak) if sys.platform == "darwin" else int(peak) * 1024


def _first_line(*paths: str) -> str | None:
    for path in paths:
        try:
            text = Path(path).read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        # A device tree ends its texts with a NUL.
        if line := text.replace("\0", "").strip():
            return line.splitlines()[0]
    return None


def board() -> str | None:
    """Return the board's name from its device tree, or what Android calls the phone."""
    found = _first_line("/proc/device-tree/model", "/sys/firmware/devicetree/base/model")
    return found or android.phone()


def cpu_model() -> str | None:
    """Return the CPU's name as the kernel gives it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return platform.processor() or None
    for key in ("model name", "Model", "Hardware"):
        for line in lines:
            if line.startswith(key) and ":" in line:
                return line.split(":", 1)[1].strip()
    return None


def temperature_celsius() -> float | None:
    """Return the first thermal zone's temperature, in degrees Celsius."""
    text = _first_line("/sys/class/thermal/thermal_zone0/temp")
    try:
        return None if text is None else int(text) / 1000
    except ValueError:
        return None


def describe_machine() -> dict[str, Any]:
    """Return what identifies this kind of machine, without its name or its user's."""
    # Only reports need it, and a start should not pay for it.
    from mejiro_runtime.jetson import jetson_linux

    release = jetson_linux()
    return {
        "board": board(),
        "cpu": cpu_model(),
        "cpus": os.cpu_count(),
        "machine": platform.machine(),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        **({"jetson_linux": release} if release else {}),
    }

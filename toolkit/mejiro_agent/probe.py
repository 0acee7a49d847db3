"""Find out what this device is and has; nothing is changed."""

from __future__ import annotations

import contextlib
import os
import platform
import pwd
import shutil
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from mejiro_agent import termux
from mejiro_agent.errors import one_line
from mejiro_agent.root import Root
from mejiro_agent.services import find_managers

COMMAND_TIMEOUT_S = 20


def probe(root: Root) -> dict[str, Any]:
    """Return the board, its system, its room and its cameras, as plain JSON values."""
    return {
        "host": platform.node(),
        "user": user_name(),
        "board": _board() or termux.phone(),
        "machine": machine(),
        "cpu_features": _cpu_features(),
        "cpus": os.cpu_count(),
        "kernel": platform.release(),
        "system": _system_name() or termux.system(),
        "glibc": _glibc(),
        "python": platform.python_version(),
        "memory_bytes": _memory_bytes(),
        "clock": time.time(),
        "temperature_celsius": temperature_celsius(),
        "root": str(root.folder),
        "writable": _why_not_writable(root.folder),
        "free_bytes": free_bytes(root.folder),
        "cameras": _cameras(),
        "sudo": _can_sudo(),
        "managers": find_managers(),
        "ssh_keygen": shutil.which("ssh-keygen") is not None,
        "signers": root.signers.is_file(),
    }


def user_name() -> str:
    """Return who this is; the number where the system has no name for it."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())


def machine() -> str:
    """Return the architecture that programs here are built for, as wheels name it.

    A 32-bit system on a 64-bit kernel is told as 32-bit.
    """
    name = platform.machine()
    if struct.calcsize("P") == 4:
        return {"aarch64": "armv7l", "armv8l": "armv7l", "x86_64": "i686"}.get(name, name)
    return {"arm64": "aarch64", "amd64": "x86_64"}.get(name.lower(), name)


def _read(*paths: str) -> str | None:
    for path in paths:
        with contextlib.suppress(OSError):
            text = Path(path).read_text(encoding="utf-8", errors="replace").replace("\0", "")
            if text.strip():
                return text.strip()
    return None


def _board() -> str | None:
    return _read("/proc/device-tree/model", "/sys/firmware/devicetree/base/model")


def _cpu_features() -> list[str]:
    for line in (_read("/proc/cpuinfo") or "").splitlines():
        key, _, value = line.partition(":")
        if key.strip() in ("Features", "flags"):
            return sorted(value.split())
    return []


def _system_name() -> str | None:
    for line in (_read("/etc/os-release", "/usr/lib/os-release") or "").splitlines():
        key, _, value = line.partition("=")
        if key == "PRETTY_NAME":
            return value.strip("\"'")
    return None


def _glibc() -> str | None:
    with contextlib.suppress(ValueError, OSError):
        name, _, version = (os.confstr("CS_GNU_LIBC_VERSION") or "").partition(" ")
        if name == "glibc" and version:
            return version
    return None


def _memory_bytes() -> int | None:
    for line in (_read("/proc/meminfo") or "").splitlines():
        if line.startswith("MemTotal:"):
            return int(line.split()[1]) * 1024
    return None


def temperature_celsius() -> float | None:
    """Return the first thermal zone's temperature, in degrees Celsius."""
    with contextlib.suppress(ValueError):
        text = _read("/sys/class/thermal/thermal_zone0/temp")
        return None if text is None else int(text) / 1000
    return None


def _existing(folder: Path) -> Path:
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return folder


def free_bytes(folder: Path) -> int:
    """Return the room on the disk that holds `folder`, or will."""
    return shutil.disk_usage(_existing(folder)).free


def _why_not_writable(folder: Path) -> str | None:
    """Return None if files can be written where `folder` is or will be, else why not."""
    try:
        with tempfile.TemporaryFile(dir=_existing(folder)) as stream:
            stream.write(b"x")
    except OSError as error:
        return one_line(error)
    try:
        with tempfile.TemporaryDirectory(prefix=".mejiro-", dir=_existing(folder)) as name:
            Path(name, "link").symlink_to("x")
    except OSError:
        return "symbolic links cannot be made there, as on a phone's shared storage or a FAT disk"
    return None


def _cameras() -> list[str]:
    found = []
    for path in sorted(Path("/dev").glob("video[0-9]*")):
        name = _read(f"/sys/class/video4linux/{path.name}/name")
        found.append(f"camera:{path.name[5:]} ({name})" if name else f"camera:{path.name[5:]}")
    return found


def _can_sudo() -> bool:
    if os.getuid() == 0:
        return True
    if shutil.which("sudo") is None:
        return False
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        done = subprocess.run(
            ["sudo", "-n", "true"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=COMMAND_TIMEOUT_S,
            check=False,
        )
        return done.returncode == 0
    return False


def set_clock(seconds: float) -> None:
    """Set the device's clock to `seconds` since 1970; OSError where that is not allowed."""
    command = ["date", "-u", "-s", f"@{seconds:.0f}"]
    if os.getuid() != 0:
        command = ["sudo", "-n", *command]
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        told = done.stderr.strip() or f"exit code {done.returncode}"
        raise OSError(f"the clock cannot be set ({told}); set it with `sudo date -s`")


def python_version() -> str:
    """Return the version of this Python."""
    return ".".join(map(str, sys.version_info[:3]))

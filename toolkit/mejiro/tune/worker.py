"""Know which process works on a trial, and whether it still does."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

# A process of another machine is given up after so long without a sign of it.
SILENCE_S = 600.0
BEAT_S = 30.0


@dataclass(frozen=True)
class Worker:
    """Name a process: `machine` tells apart whose process numbers mean the same.

    `started` is when it was, in the clock ticks that the kernel counts; numbers are used again.
    """

    host: str
    machine: str
    pid: int
    started: int

    @classmethod
    def this(cls) -> Worker:
        """Return the worker that runs this."""
        pid = os.getpid()
        return cls(socket.gethostname(), _machine(), pid, _start_of(pid) or 0)

    @classmethod
    def from_json(cls, value: Any) -> Worker | None:
        """Read what `to_json` wrote; None for anything else, which some other program kept."""
        if not isinstance(value, Mapping):
            return None
        host, machine = value.get("host"), value.get("machine")
        pid, started = value.get("pid"), value.get("started")
        if not isinstance(host, str) or not isinstance(machine, str):
            return None
        if not isinstance(pid, int) or not isinstance(started, int):
            return None
        return cls(host, machine, pid, started)

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return asdict(self)

    def is_gone(self, silent_s: float) -> bool:
        """Say whether the process has ended, or may be taken to have after `silent_s` seconds."""
        if self.machine == _machine():
            return _start_of(self.pid) != self.started
        return silent_s > SILENCE_S


def _machine() -> str:
    """Return what is the same for processes that see each other's numbers."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    return f"{boot} {Path('/proc/self/ns/pid').readlink()}"


def _start_of(pid: int) -> int | None:
    """Return when the process `pid` was started, None if there is none that runs."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    # The program's name stands in brackets and may hold anything; fields are counted after it.
    fields = text.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else int(fields[19])

"""Read what the launcher tells of the service."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import signal
import time
from pathlib import Path
from typing import Any

from mejiro_agent.root import Root

FRESH_TIMEOUT_S = 2.0


def launcher_lock(root: Root) -> Path:
    """Return the file that a running launcher holds; its own number stands in it."""
    return root.run / "launcher.lock"


def launcher_pid(root: Root) -> int | None:
    """Return the process number of the launcher that runs, or None."""
    try:
        with launcher_lock(root).open("r+") as stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                text = stream.read().strip()
                return int(text) if text.isdigit() else None
    except OSError:
        return None
    return None


def program_digest(root: Root) -> str | None:
    """Return what tells one version of the installed launcher from another."""
    with contextlib.suppress(OSError):
        return hashlib.sha256(root.program.read_bytes()).hexdigest()[:16]
    return None


def read_status(root: Root) -> dict[str, Any]:
    """Return what the launcher wrote last; empty where it wrote nothing."""
    with contextlib.suppress(OSError, ValueError):
        value = json.loads(root.status.read_bytes())
        if isinstance(value, dict):
            return value
    return {}


def ask_status(root: Root) -> dict[str, Any]:
    """Return what the launcher tells now; empty if none runs."""
    pid = launcher_pid(root)
    if pid is None:
        return {}
    before = read_status(root).get("count")
    with contextlib.suppress(OSError):
        os.kill(pid, signal.SIGUSR1)
    end_s = time.monotonic() + FRESH_TIMEOUT_S
    while (found := read_status(root)).get("count") == before and time.monotonic() < end_s:
        time.sleep(0.02)
    return found

"""Keep what a service says: for the journal, or in a file that cannot fill the disk."""

from __future__ import annotations

import contextlib
import sys
import time
from pathlib import Path

MAX_LOG_BYTES = 1024 * 1024


class Log:
    """Write lines to standard error, or with a time to `path`, of which one old part is kept."""

    def __init__(self, path: Path | None) -> None:
        self.path = path

    def write(self, line: str) -> None:
        """Write one line; a full disk is no reason to end."""
        with contextlib.suppress(OSError):
            if self.path is None:
                sys.stderr.write(f"{line}\n")
                sys.stderr.flush()
                return
            if self.path.exists() and self.path.stat().st_size > MAX_LOG_BYTES:
                self.path.replace(self.path.with_name(f"{self.path.name}.1"))
            with self.path.open("a", encoding="utf-8", errors="replace") as stream:
                stream.write(f"{time.strftime('%Y-%m-%dT%H:%M:%S')} {line}\n")

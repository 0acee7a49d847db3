"""Let files that are in no release race on this device, for a host that makes them smaller."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mejiro_agent.errors import AgentError
from mejiro_agent.prepare import parse
from mejiro_agent.programs import run
from mejiro_agent.root import Root
from mejiro_agent.wire import Reader

MAX_BYTES = 2 * 1024**3
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


class Scratch:
    """Take in files for a while, each from its beginning; `close` removes them all."""

    def __init__(self, root: Root) -> None:
        self.failure: str | None = None
        self.folder = Path(tempfile.mkdtemp(prefix="race-", dir=root.cache))
        self._open: int | None = None
        self._taken = 0

    def open_at(self, path: str, offset: int) -> None:
        """Be ready to write a new file `path`, a plain name."""
        self._end()
        if not _NAME.fullmatch(path) or offset != 0:
            raise AgentError(f"'{path}' cannot be taken in for a race")
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        self._open = os.open(self.folder / path, flags, 0o600)

    def write(self, data: bytes) -> None:
        """Write the next piece of the open file."""
        if self._open is None:
            raise AgentError("no file is open")
        self._taken += len(data)
        if self._taken > MAX_BYTES:
            raise AgentError(f"files for a race may have {MAX_BYTES // 1024**3} GiB, not more")
        view = memoryview(data)
        while view:
            view = view[os.write(self._open, view) :]

    def _end(self) -> None:
        if self._open is not None:
            os.close(self._open)
            self._open = None

    def close(self) -> None:
        """Forget all that was taken in."""
        self._end()
        shutil.rmtree(self.folder, ignore_errors=True)

    def race(
        self,
        root: Root,
        reader: Reader,
        release: str,
        names: Sequence[str],
        words: Sequence[str],
        timeout_s: float,
    ) -> dict[str, Any]:
        """Return what ``mejiro-run race --json`` of a release prints of the files `names`."""
        self._end()
        if self.failure is not None:
            raise AgentError(f"the files for the race did not arrive: {self.failure}")
        files = [self.folder / name for name in names if _NAME.fullmatch(name)]
        if len(files) != len(names) or not all(path.is_file() for path in files):
            raise AgentError("a race needs files that were sent before")
        done = run(
            [str(root.mejiro_run(release)), "race", *map(str, files), "--json", *words],
            root=root, reader=reader, timeout_s=timeout_s, folder=self.folder,
        )  # fmt: skip
        value = parse(done.output)
        if done.code != 0 or not value:
            raise AgentError(f"race: {done.reason}")
        return value

"""Hold one connection's work: root, lock, upload; and undo what it leaves unfinished."""

from __future__ import annotations

import contextlib
import os
from typing import Any, Protocol

from mejiro_agent import trial
from mejiro_agent.errors import AgentError
from mejiro_agent.programs import STEP_MARK, kill_marked
from mejiro_agent.root import Root, make_folders, read_state, take_lock, write_whole
from mejiro_agent.wire import Frame, Reader, send


class Receiver(Protocol):
    """Take in files that the host sends; `failure` says what went wrong on the way."""

    failure: str | None

    def open_at(self, path: str, offset: int) -> None:
        """Be ready to write the file `path` from `offset` on."""
        ...

    def write(self, data: bytes) -> None:
        """Write the next piece."""
        ...

    def close(self) -> None:
        """Close what is open."""
        ...


class Session:
    """Hold what one host does on this device, over one pair of pipes."""

    def __init__(self, reader: Reader, output: int, program: bytes) -> None:
        self.reader, self._output, self.program = reader, output, program
        self.root = Root.at("~/mejiro")
        self.upload: Receiver | None = None
        self._lock: int | None = None

    def send(self, **header: Any) -> None:
        """Send the host one message; Cut if it is gone."""
        send(self._output, Frame(header))

    def tell(self, line: str) -> None:
        """Let the host show one line of what a step says."""
        self.send(line=line)

    @property
    def locked(self) -> bool:
        """Whether this session may change anything."""
        return self._lock is not None

    def lock(self) -> dict[str, Any] | None:
        """Take the lock, undo what an earlier session left, and return the trial that it left."""
        if self.locked:
            return None
        make_folders(self.root)
        self._lock = take_lock(self.root)
        kill_marked(self.root, STEP_MARK)
        return trial.undo(self.root)

    def demand_lock(self) -> Root:
        """Return the root, to change something there."""
        if not self.locked:
            raise AgentError("the host did not ask for the lock first")
        return self.root

    def install_program(self) -> None:
        """Put this agent's code where the service manager starts the launcher from."""
        root = self.demand_lock()
        if not root.program.is_file() or root.program.read_bytes() != self.program:
            write_whole(root.program, self.program)

    def close(self) -> None:
        """Undo a trial that nobody confirmed, and free the lock."""
        if self.upload is not None:
            self.upload.close()
        if self._lock is None:
            return
        try:
            if self.root.state.exists() and read_state(self.root)["trial"] is not None:
                trial.undo(self.root)
        finally:
            with contextlib.suppress(OSError):
                os.close(self._lock)
            self._lock = None

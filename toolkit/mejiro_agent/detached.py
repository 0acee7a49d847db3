"""Keep the launcher running by nobody but itself, and know whether it runs."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time

from mejiro_agent.errors import AgentError
from mejiro_agent.programs import SERVICE_MARK, environment
from mejiro_agent.root import Root
from mejiro_agent.told import launcher_pid, program_digest, read_status
from mejiro_agent.units import launcher_command

START_TIMEOUT_S = 30.0


class Detached:
    """Run the launcher in a session of its own, where there is no systemd; no boot starts it."""

    def install(self, root: Root, release: str) -> None:
        """See `Manager.install`."""
        if runs(root):
            return
        # The new launcher ends the old one itself, so that nothing that happens to this process
        # leaves the device with none.
        process = subprocess.Popen(
            launcher_command(root, "--detached"),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=environment(root, SERVICE_MARK),
            cwd=root.folder,
            start_new_session=True,
        )
        end_s = time.monotonic() + START_TIMEOUT_S
        while not runs(root):
            if process.poll() is not None or time.monotonic() > end_s:
                raise AgentError(f"the launcher did not start; see {root.run / 'service.log'}")
            time.sleep(0.05)

    def remove(self, root: Root) -> None:
        """See `Manager.remove`."""
        end_s = time.monotonic() + START_TIMEOUT_S
        number = signal.SIGTERM
        while (pid := launcher_pid(root)) is not None:
            with contextlib.suppress(OSError):
                os.kill(pid, number)
            if time.monotonic() > end_s - START_TIMEOUT_S / 2:
                number = signal.SIGKILL
            if time.monotonic() > end_s:
                raise AgentError(f"the launcher (process {pid}) does not end; end it by hand")
            time.sleep(0.05)

    def log(self, root: Root, lines: int) -> list[str]:
        """See `Manager.log`."""
        return ["tail", "-n", str(lines), str(root.run / "service.log")]


def runs(root: Root) -> bool:
    """Say whether a launcher runs with the code that is installed now."""
    pid = launcher_pid(root)
    status = read_status(root)
    return (
        pid is not None
        and status.get("pid") == pid
        and status.get("program") == program_digest(root)
    )

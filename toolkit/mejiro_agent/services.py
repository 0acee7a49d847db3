"""Keep the launcher running: by systemd, a user's systemd, Termux, or nobody but itself.

What a service manager starts is always the launcher, which follows state.json. So a manager is
only touched when its unit or the launcher's code has changed.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from mejiro_agent import termux
from mejiro_agent.detached import Detached, runs
from mejiro_agent.errors import AgentError
from mejiro_agent.programs import call, must
from mejiro_agent.root import Root, write_whole
from mejiro_agent.termux_services import TermuxBoot, TermuxServices, why_not_services
from mejiro_agent.units import quote, template_of, unit_text

SERVICE = "mejiro"
UNIT_NAME = f"{SERVICE}.service"
SYSTEM_UNIT = Path("/etc/systemd/system") / UNIT_NAME
_RUNNING = {"running", "degraded", "starting", "initializing", "maintenance"}


class Manager(Protocol):
    """What keeps the launcher running."""

    def install(self, root: Root, release: str) -> None:
        """Let the launcher run now and after each boot; AgentError if it cannot be done."""

    def remove(self, root: Root) -> None:
        """Stop the launcher, now and for ever."""

    def log(self, root: Root, lines: int) -> list[str]:
        """Return the command that prints the log's last lines, to which `-f` may be added."""


def find_managers() -> dict[str, str | None]:
    """Return each manager that could be used, with None, or with why it cannot."""
    found: dict[str, str | None] = {}
    for name in ("systemd", "systemd-user"):
        found[name] = _why_not(name)
    if termux.prefix() is not None:
        found["termux-services"] = why_not_services()
        found["termux-boot"] = None
    found["detached"] = None
    return found


def _why_not(name: str) -> str | None:
    if shutil.which("systemctl") is None:
        return "there is no systemctl"
    words = ["--user"] if name == "systemd-user" else []
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        done = call(["systemctl", *words, "is-system-running"])
        if done.stdout.strip() not in _RUNNING:
            return f"systemd does not run here ({done.stdout.strip() or 'no answer'})"
        if name == "systemd" and os.getuid() != 0 and call(["sudo", "-n", "true"]).returncode:
            return "sudo demands a password, or refuses"
        return None
    return "systemctl gives no answer, or there is no sudo"


class Systemd:
    """Run the launcher as a unit of the system, or of the user with `user`."""

    def __init__(self, *, user: bool) -> None:
        self.user = user
        self._sudo = [] if user or os.getuid() == 0 else ["sudo", "-n"]
        self._words = ["--user"] if user else []

    @property
    def unit(self) -> Path:
        """Where the unit's file lies."""
        if not self.user:
            return SYSTEM_UNIT
        home = os.environ.get("XDG_CONFIG_HOME") or Path("~/.config").expanduser()
        return Path(home) / "systemd" / "user" / UNIT_NAME

    def _systemctl(self, *words: str) -> str:
        return must([*self._sudo, "systemctl", *self._words, *words])

    def install(self, root: Root, release: str) -> None:
        """See `Manager.install`."""
        text = unit_text(root, template_of(root, release, user=self.user))
        found = self._found()
        if found is not None and not self.serves(root):
            raise AgentError(
                f"{self.unit} belongs to another folder than {root.folder}; remove that service "
                "first (`mejiro device uninstall` with its --root), or deploy to the same folder"
            )
        changed = found != text
        if changed:
            self._write(root, text)
            self._systemctl("daemon-reload")
            self._systemctl("enable", UNIT_NAME)
        if changed or not runs(root):
            self._systemctl("restart", UNIT_NAME)
        if self.user:
            with contextlib.suppress(OSError, subprocess.SubprocessError):
                call(["loginctl", "enable-linger"])

    def _found(self) -> str | None:
        try:
            return self.unit.read_text(encoding="utf-8", errors="replace")
        except OSError:
            return None

    def serves(self, root: Root) -> bool:
        """Say whether there is a unit, and it is this root's."""
        return f"launch {quote(str(root.folder))}\n" in (self._found() or "")

    def _write(self, root: Root, text: str) -> None:
        if self.user:
            self.unit.parent.mkdir(parents=True, exist_ok=True)
            write_whole(self.unit, text.encode())
            return
        beside = root.run / UNIT_NAME
        write_whole(beside, text.encode())
        # `install` writes beside and renames, so that a unit is never half there.
        must([*self._sudo, "install", "-m", "644", str(beside), str(self.unit)])

    def remove(self, root: Root) -> None:
        """See `Manager.remove`."""
        if not self.serves(root):
            return
        self._systemctl("disable", "--now", UNIT_NAME)
        must([*self._sudo, "rm", "-f", str(self.unit)])
        self._systemctl("daemon-reload")

    def log(self, root: Root, lines: int) -> list[str]:
        """See `Manager.log`."""
        words = [*self._words, "-u", UNIT_NAME, "-n", str(lines), "-o", "short-iso", "--no-pager"]
        return [*self._sudo, "journalctl", *words]


# The name of each manager -> what makes it.
MANAGERS: dict[str, Callable[[], Manager]] = {
    "systemd": lambda: Systemd(user=False),
    "systemd-user": lambda: Systemd(user=True),
    "termux-services": TermuxServices,
    "termux-boot": TermuxBoot,
    "detached": Detached,
}


def remove_all(root: Root) -> None:
    """Stop whatever keeps a launcher of this root running."""
    for make in MANAGERS.values():
        make().remove(root)


def manager_of(run: dict[str, Any] | None) -> Manager | None:
    """Return what keeps a setting's launcher running, or None for one without a service."""
    if run is None:
        return None
    name = run["manager"]
    if name not in MANAGERS:
        raise AgentError(f"there is no service manager '{name}'")
    return MANAGERS[name]()

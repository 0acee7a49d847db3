"""Keep the launcher running on a phone: by Termux's runit, or from the app Termux:Boot alone.

runsvdir looks after every folder of $PREFIX/var/service; the package termux-services brings it.
Nothing of Termux starts with the phone but what lies in ~/.termux/boot, and that only where the
app Termux:Boot is installed. Sources: runsv(8), https://wiki.termux.dev/wiki/Termux-services and
https://wiki.termux.dev/wiki/Termux:Boot
"""

from __future__ import annotations

import contextlib
import shlex
import shutil
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from mejiro_agent import termux
from mejiro_agent.detached import START_TIMEOUT_S, Detached, runs
from mejiro_agent.errors import AgentError
from mejiro_agent.programs import call, must
from mejiro_agent.root import Root, write_whole
from mejiro_agent.units import launcher_command

SERVICE = "mejiro"
STOP_WAIT_S = 30
POLL_S = 0.1
# svlogd(8): the newest file and two old ones, a million bytes each.
_LOG_CONFIG = "s1000000\nn3\n"


def why_not_services() -> str | None:
    """Return why runit cannot keep a service, None if it can; there must be a Termux."""
    lacking = [name for name in ("sv", "svlogd", "service-daemon") if shutil.which(name) is None]
    if lacking:
        return f"there is no {lacking[0]}; run `pkg install termux-services` on the phone"
    return None


def _prefix() -> Path:
    folder = termux.prefix()
    if folder is None:
        raise AgentError("this is no Termux; deploy again and leave the manager to the deploy")
    return folder


def _script(words: Sequence[str], *, root: Root) -> bytes:
    """Return a shell script that runs a command as Termux's shells would."""
    lines = [f"#!{_prefix() / 'bin' / 'sh'}", "# Written by `mejiro deploy`, which replaces it."]
    settings = {**termux.environment(), "MEJIRO_CACHE": str(root.cache)}
    lines += [f"export {name}={shlex.quote(value)}" for name, value in settings.items()]
    return "\n".join([*lines, *words, ""]).encode()


def _write_script(path: Path, data: bytes) -> bool:
    """Write a script that can be run; say whether it was another before."""
    with contextlib.suppress(OSError):
        if path.read_bytes() == data:
            return False
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, data)
    path.chmod(0o700)
    return True


def _is_of(path: Path, root: Root) -> bool | None:
    """Say whether a script starts the launcher of `root`; None where there is none."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    return f"MEJIRO_CACHE={shlex.quote(str(root.cache))}\n" in text


def _refuse_others(path: Path, root: Root) -> None:
    if _is_of(path, root) is False:
        raise AgentError(
            f"{path} belongs to another folder than {root.folder}; remove that service first "
            "(`mejiro device uninstall` with its --root), or deploy to the same folder"
        )


class Boot:
    """Keep the script that Termux:Boot runs once after the phone has started."""

    def __init__(self) -> None:
        self.path = Path("~/.termux/boot").expanduser() / SERVICE

    def write(self, root: Root, words: Sequence[str]) -> None:
        """Let `words` be run at boot; AgentError if the script is another folder's."""
        _refuse_others(self.path, root)
        # Android lets the processor sleep with the screen, and a service with it.
        wake = "command -v termux-wake-lock >/dev/null && termux-wake-lock"
        _write_script(self.path, _script([wake, *words], root=root))

    def remove(self, root: Root) -> None:
        """Let nothing of `root` start with the phone."""
        if _is_of(self.path, root):
            self.path.unlink()


class TermuxServices:
    """Run the launcher as a service of termux-services."""

    @property
    def folder(self) -> Path:
        """Where runsvdir finds the service."""
        return _prefix() / "var" / "service" / SERVICE

    def install(self, root: Root, release: str) -> None:
        """See `Manager.install`."""
        run = self.folder / "run"
        _refuse_others(run, root)
        command = f"exec {shlex.join(launcher_command(root))}"
        words = [f"cd {shlex.quote(str(root.folder))} || exit 1", command]
        changed = self._write(root, _script(["exec 2>&1", *words], root=root))
        Boot().write(root, ["exec service-daemon start"])
        self._start_daemon()
        with contextlib.suppress(FileNotFoundError):
            (self.folder / "down").unlink()  # what `sv-disable` leaves
        self._wait_for_runsv()
        if changed or not runs(root):
            self._sv("restart", self.folder)
        self._wait_for_launcher(root)

    def _write(self, root: Root, script: bytes) -> bool:
        """Write the service's folder; say whether a service that ran has to start again."""
        log = root.run / "log"
        log.mkdir(parents=True, exist_ok=True)
        write_whole(log / "config", _LOG_CONFIG.encode())
        logger = _script([f"exec svlogd -tt {shlex.quote(str(log))}"], root=root)
        if self.folder.is_dir():
            _write_script(self.folder / "log" / "run", logger)
            return _write_script(self.folder / "run", script)
        # runsvdir passes over names with a dot, so it never meets half a service.
        beside = self.folder.with_name(f".{SERVICE}.new")
        shutil.rmtree(beside, ignore_errors=True)
        _write_script(beside / "log" / "run", logger)
        _write_script(beside / "run", script)
        beside.rename(self.folder)
        return False

    def _start_daemon(self) -> None:
        """Start runsvdir unless it runs: only a shell of the app does so by itself."""
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            subprocess.run(
                ["service-daemon", "start"],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                timeout=START_TIMEOUT_S,
                start_new_session=True,
                check=False,  # it fails where one runs
            )

    def _sv(self, word: str, folder: Path) -> None:
        must(["sv", "-w", str(STOP_WAIT_S), word, str(folder)])

    def _supervised(self) -> bool:
        return call(["sv", "status", str(self.folder)]).returncode == 0

    def _wait_for_runsv(self) -> None:
        end_s = time.monotonic() + START_TIMEOUT_S
        while not self._supervised():
            if time.monotonic() > end_s:
                raise AgentError(
                    "runsvdir does not take the service up; close and open Termux on the phone, "
                    "or deploy with --manager termux-boot"
                )
            time.sleep(POLL_S)

    def _wait_for_launcher(self, root: Root) -> None:
        end_s = time.monotonic() + START_TIMEOUT_S
        while not runs(root):
            if time.monotonic() > end_s:
                raise AgentError(f"the launcher did not start; see {root.run / 'log' / 'current'}")
            time.sleep(POLL_S)

    def remove(self, root: Root) -> None:
        """See `Manager.remove`."""
        if termux.prefix() is None:
            return
        Boot().remove(root)
        if not _is_of(self.folder / "run", root):
            return
        # Under another name runsvdir does not start it again while it ends.
        old = self.folder.with_name(f".{SERVICE}.old")
        shutil.rmtree(old, ignore_errors=True)
        self.folder.rename(old)
        with contextlib.suppress(AgentError):  # no runsv, and then nothing to end but a launcher
            self._sv("force-shutdown", old)
        Detached().remove(root)
        shutil.rmtree(old, ignore_errors=True)

    def log(self, root: Root, lines: int) -> list[str]:
        """See `Manager.log`."""
        return ["tail", "-n", str(lines), str(root.run / "log" / "current")]


class TermuxBoot:
    """Run the launcher in a session of its own, which Termux:Boot starts again after a boot."""

    def install(self, root: Root, release: str) -> None:
        """See `Manager.install`."""
        command = f"exec {shlex.join(launcher_command(root, '--detached'))} </dev/null"
        Boot().write(root, [f"cd {shlex.quote(str(root.folder))} || exit 1", command])
        Detached().install(root, release)

    def remove(self, root: Root) -> None:
        """See `Manager.remove`."""
        if termux.prefix() is None:
            return
        Boot().remove(root)
        Detached().remove(root)

    def log(self, root: Root, lines: int) -> list[str]:
        """See `Manager.log`."""
        return Detached().log(root, lines)

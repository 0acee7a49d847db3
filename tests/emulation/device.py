"""Start an emulated device, use it over ssh, stop it, and give it a fresh card."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from tests.emulation.boards import BOARDS
from tests.emulation.inside import Setup
from tests.emulation.needs import require_emulation
from tests.emulation.root import USER, cache_folder, client_key, make_root

PROJECT = Path(__file__).resolve().parents[2]
START_TIMEOUT_S = 60.0
START_ATTEMPTS = 3
STOP_TIMEOUT_S = 10.0


class DeviceError(Exception):
    """Say what an emulated device did not do."""


@dataclass(frozen=True)
class Options:
    """Say what kind of device is wanted.

    `board` is one of `BOARDS`; `cpu` another CPU of QEMU than the board's, which then promises
    instructions that it has not. `port` 0 takes a free one. `network` False gives the device a
    network of its own with no route to anywhere; with True it shares this machine's. `home_bytes`
    makes the home folder a file system of that size, empty after each start. `clock` moves its
    clock, in libfaketime's words: "-900d". Without `sudo` the user may not use it. `binds` are
    folders of this machine, for reading alone, by their place in the device.
    """

    board: str = "pi5"
    cpu: str | None = None
    port: int = 0
    network: bool = False
    home_bytes: int | None = None
    clock: str | None = None
    sudo: bool = True
    binds: Mapping[str, Path] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.board not in BOARDS:
            raise ValueError(f"there is no board '{self.board}'; use one of {', '.join(BOARDS)}")


@dataclass(frozen=True)
class Running:
    """Hold what a later process needs to know of a device: its process and its port."""

    pid: int
    port: int
    board: str


class Device:
    """Be one emulated device, with a name of its own; in a `with` block it is stopped at the end.

    What is written to it stays until `reset`. Its folder `state` holds `ssh_config`, which
    `ssh -F` takes, with the device's name as the host, and `log`, what its ssh server said.
    """

    def __init__(self, name: str = "pi", *, cache: Path | None = None) -> None:
        self.name = name
        self.cache = cache or cache_folder()
        self.state = self.cache / "devices" / name
        self._leash: int | None = None

    @property
    def ssh_config(self) -> Path:
        """The settings for `ssh -F`."""
        return self.state / "ssh_config"

    def running(self) -> Running | None:
        """Return what runs, or None; a process that took over the number is not it."""
        try:
            found = Running(**json.loads((self.state / "running.json").read_text(encoding="utf-8")))
            command = Path(f"/proc/{found.pid}/cmdline").read_bytes()
        except (OSError, ValueError, TypeError):
            return None
        return found if str(self.state).encode() in command else None

    @property
    def port(self) -> int:
        """The port on 127.0.0.1; raises DeviceError unless the device runs."""
        if (found := self.running()) is None:
            raise DeviceError(f"the device {self.name} does not run; start it")
        return found.port

    def start(self, options: Options | None = None, *, leashed: bool = False) -> Device:
        """Start the device, and return it once it answers.

        `leashed` lets it end with this process, however that ends. Raises Unavailable where there
        can be none, DeviceError if it runs already or does not start.
        """
        options = options or Options()
        if self.running() is not None:
            raise DeviceError(f"the device {self.name} runs already; stop it first")
        require_emulation()
        base = make_root(self.cache)
        self.state.mkdir(parents=True, exist_ok=True)
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                listener.bind(("127.0.0.1", options.port))
            except OSError as error:
                raise DeviceError(f"port {options.port} cannot be had: {error.strerror}") from None
            listener.listen(64)
            setup = self._setup(options, base, listener.fileno(), leashed)
            pid = self._launch(setup, listener.fileno(), leashed)
            running = Running(pid, listener.getsockname()[1], options.board)
        text = json.dumps(asdict(running))
        (self.state / "running.json").write_text(text, encoding="utf-8")
        self._write_ssh_files(base, running.port)
        self._await_answer()
        return self

    def _setup(self, options: Options, base: Path, listen_fd: int, leashed: bool) -> Setup:
        return Setup(
            base=str(base),
            state=str(self.state),
            board=options.board,
            cpu=options.cpu or BOARDS[options.board].cpu,
            home_bytes=options.home_bytes,
            clock=options.clock,
            sudo=options.sudo,
            binds={place: str(folder) for place, folder in options.binds.items()},
            listen_fd=listen_fd,
            own_network=not options.network,
            leashed=leashed,
        )

    def _launch(self, setup: Setup, listen_fd: int, leashed: bool) -> int:
        """Start process 1 of the device's namespaces; return the number of its parent."""
        hold = subprocess.DEVNULL
        if leashed:
            hold, self._leash = os.pipe()
        with (self.state / "log").open("ab") as log:
            process = subprocess.Popen(
                unshared(setup),
                cwd=PROJECT,
                stdin=hold,
                stdout=log,
                stderr=log,
                pass_fds=[listen_fd],
                start_new_session=True,
            )
        if leashed:
            os.close(hold)
        self._process = process
        return process.pid

    def _write_ssh_files(self, base: Path, port: int) -> None:
        public = (base / "etc/ssh/ssh_host_ed25519_key.pub").read_text(encoding="utf-8")
        known = self.state / "known_hosts"
        known.write_text(f"[127.0.0.1]:{port} {public}", encoding="utf-8")
        self.ssh_config.write_text(
            f"Host {self.name}\n"
            "  HostName 127.0.0.1\n"
            f"  Port {port}\n"
            f"  User {USER}\n"
            f'  IdentityFile "{client_key(base)}"\n'
            "  IdentitiesOnly yes\n"
            f'  UserKnownHostsFile "{known}"\n'
            "  StrictHostKeyChecking yes\n"
            "  LogLevel ERROR\n",
            encoding="utf-8",
        )

    def _await_answer(self) -> None:
        """Wait for the device to answer a command, or raise DeviceError with its last words."""
        # The socket takes connections before the device does, so the first command waits.
        for _ in range(START_ATTEMPTS):
            if self.run("true", check=False, timeout=START_TIMEOUT_S).returncode == 0:
                return
            if self._process.poll() is not None:
                break
        self.stop()
        lines = (self.state / "log").read_text(encoding="utf-8", errors="replace").splitlines()
        raise DeviceError(f"the device {self.name} did not start: {' / '.join(lines[-5:])}")

    def run(
        self,
        command: str | Sequence[str],
        *,
        stdin: bytes | None = None,
        check: bool = True,
        timeout: float | None = 300,
    ) -> subprocess.CompletedProcess[bytes]:
        """Run a command on the device as its user, through ssh, and return what came of it.

        A list is quoted word by word; a text is for the device's shell. Raises DeviceError if
        `check` and it fails.
        """
        line = command if isinstance(command, str) else shlex.join(command)
        done = subprocess.run(
            ["ssh", "-F", str(self.ssh_config), self.name, line],
            input=b"" if stdin is None else stdin,
            capture_output=True,
            timeout=timeout,
            check=False,
        )
        if check and done.returncode:
            said = done.stderr.decode("utf-8", "replace").strip().splitlines()[-5:]
            raise DeviceError(f"'{line}' ended with {done.returncode}: {' / '.join(said)}")
        return done

    def read(self, command: str | Sequence[str], *, timeout: float | None = 300) -> str:
        """Return what a command prints, without the last newline; raises DeviceError."""
        return self.run(command, timeout=timeout).stdout.decode("utf-8").rstrip("\n")

    def put(self, data: bytes, path: str) -> None:
        """Write a file on the device."""
        self.run(f"cat > {shlex.quote(path)}", stdin=data)

    def stop(self) -> None:
        """End everything that runs on the device, at once, as pulling the plug does."""
        found = self.running()
        if found is not None:
            # unshare has --kill-child: process 1 ends with it, and all others with process 1.
            with contextlib.suppress(ProcessLookupError):
                os.kill(found.pid, signal.SIGKILL)
            until = time.monotonic() + STOP_TIMEOUT_S
            while self.running() is not None and time.monotonic() < until:
                self._reap()
                time.sleep(0.01)
        self._reap()
        if self._leash is not None:
            os.close(self._leash)
            self._leash = None
        (self.state / "running.json").unlink(missing_ok=True)

    def _reap(self) -> None:
        process: subprocess.Popen[bytes] | None = getattr(self, "_process", None)
        if process is not None:
            process.poll()

    def reset(self) -> None:
        """Stop the device and forget what was written to it: a fresh card."""
        self.stop()
        shutil.rmtree(self.state, ignore_errors=True)

    def __enter__(self) -> Device:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def unshared(setup: Setup) -> list[str]:
    """Return the command that makes the namespaces and enters them."""
    kinds = ["--mount", "--propagation", "private", "--uts", "--pid", "--fork"]
    if setup.own_network:
        kinds.append("--net")
    inside = [sys.executable, "-m", "tests.emulation.inside", setup.to_json()]
    return ["unshare", *kinds, "--kill-child=KILL", *inside]

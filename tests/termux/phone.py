"""Start a phone's stand-in, use it over ssh, and pull its plug."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import time
from collections.abc import Sequence
from pathlib import Path

from tests.termux.inside import Setup
from tests.termux.root import HOME, PREFIX, USER, inside, make_root, require_phone

PROJECT = Path(__file__).resolve().parents[2]
# What `pkg install python-numpy opencv-python python-onnxruntime` brings.
PACKAGES = ("cv2", "numpy", "onnxruntime")
_BESIDE = ("numpy.libs", "opencv_python_headless.libs", "numpy-*.dist-info")
_BESIDE += ("onnxruntime-*.dist-info",)
START_TIMEOUT_S = 30.0


class PhoneError(Exception):
    """Say what a phone did not do."""


class Phone:
    """Be one phone whose files lie in the folder `root`; in a `with` block it ends with it.

    `lacking` are packages of Python that nobody installed yet; `packages` are folders of some that
    come before this environment's own. With `android` Python says where it runs.
    """

    def __init__(
        self,
        root: Path,
        *,
        lacking: Sequence[str] = (),
        packages: Sequence[Path] = (),
        android: bool = True,
    ) -> None:
        self.root, self.android = root, android
        self.lacking, self.packages = tuple(lacking), tuple(packages)
        self.port = 0
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """What `mejiro deploy` takes."""
        return f"ssh://{USER}@127.0.0.1:{self.port}"

    @property
    def ssh_config(self) -> Path:
        """The settings for `ssh -F`."""
        return self.root / "ssh_config"

    @property
    def home(self) -> Path:
        """Where the user's home lies here."""
        return inside(self.root, HOME)

    @property
    def prefix(self) -> Path:
        """Where Termux's programs lie here."""
        return inside(self.root, PREFIX)

    def start(self) -> Phone:
        """Switch the phone on and return it once it answers; raises Unavailable, or PhoneError."""
        require_phone()
        if not self.root.is_dir():
            make_root(self.root)
        if self.android:
            site = self.prefix / "lib" / "packages" / "sitecustomize.py"
            shutil.copy(Path(__file__).with_name("android_site.py"), site)
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        library = sysconfig.get_path("stdlib", vars={"base": sys.base_prefix})
        setup = Setup(str(self.root), self.port, library, self._lent())
        kinds = ["--mount", "--propagation", "private", "--pid", "--fork", "--kill-child=KILL"]
        with (self.root / "log").open("ab") as log:
            self._process = subprocess.Popen(
                ["unshare", *kinds, sys.executable, "-m", "tests.termux.inside", setup.to_json()],
                cwd=PROJECT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._write_ssh_files()
        self._await_answer()
        return self

    def _lent(self) -> dict[str, str]:
        """Return what is lent, by name: a package is that of the first folder that has it."""
        found: dict[str, str] = {}
        for name in (*PACKAGES, *_BESIDE):
            for folder in (*self.packages, Path(sysconfig.get_path("purelib"))):
                if paths := sorted(folder.glob(name)):
                    found.update({path.name: str(path) for path in paths})
                    break
        return {name: path for name, path in found.items() if name not in self.lacking}

    def _write_ssh_files(self) -> None:
        public = (self.prefix / "etc" / "ssh_host_ed25519_key.pub").read_text(encoding="utf-8")
        known = self.root / "known_hosts"
        known.write_text(f"[127.0.0.1]:{self.port} {public}", encoding="utf-8")
        self.ssh_config.write_text(
            f'IdentityFile "{self.root / "client"}"\nIdentitiesOnly yes\n'
            f'UserKnownHostsFile "{known}"\nStrictHostKeyChecking yes\nLogLevel ERROR\n',
            encoding="utf-8",
        )

    def _await_answer(self) -> None:
        end_s = time.monotonic() + START_TIMEOUT_S
        while self.run("true", check=False).returncode:
            if (
                time.monotonic() > end_s
                or self._process is None
                or self._process.poll() is not None
            ):
                self.stop()
                lines = (self.root / "log").read_text("utf-8", "replace").splitlines()
                raise PhoneError(f"the phone did not start: {' / '.join(lines[-5:])}")
            time.sleep(0.1)

    def run(
        self, command: str | Sequence[str], *, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Run a command as the app's user, through ssh; PhoneError if `check` and it fails."""
        line = command if isinstance(command, str) else shlex.join(command)
        words = ["ssh", "-F", str(self.ssh_config), "-p", str(self.port), f"{USER}@127.0.0.1", line]
        done = subprocess.run(
            words, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )
        if check and done.returncode:
            raise PhoneError(f"'{line}' ended with {done.returncode}: {done.stderr.strip()}")
        return done

    def read(self, command: str | Sequence[str]) -> str:
        """Return what a command prints, without the last newline."""
        return self.run(command).stdout.rstrip("\n")

    def reboot(self) -> None:
        """Pull the plug, switch the phone on, and let Termux:Boot run its scripts."""
        self.stop()
        for path in ("service-daemon.pid", "wake-lock"):
            (self.prefix / "var" / "run" / path).unlink(missing_ok=True)
        self.start()
        self.run("for script in ~/.termux/boot/*; do $script </dev/null >/dev/null 2>&1 & done")

    def stop(self) -> None:
        """End all that runs on the phone, at once."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def __enter__(self) -> Phone:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

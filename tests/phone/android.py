"""Stand in for what runs behind a phone's adbd: properties, packages, activities, and a shell."""

from __future__ import annotations

import re
import shlex
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

PROPERTIES = {
    "ro.product.manufacturer": "Google",
    "ro.product.model": "Pixel 8",
    "ro.product.cpu.abi": "arm64-v8a",
    "ro.build.version.release": "15",
    "ro.build.version.sdk": "35",
    "ro.soc.manufacturer": "Google",
    "ro.soc.model": "Tensor G3",
}
SHARED = "/data/local/tmp"


class Done(NamedTuple):
    code: int
    out: bytes
    err: bytes


class Android:
    """Run what adbd's shell is asked for; `on_open` gets the address that a browser should open.

    `refusal` is what the package manager answers instead of "Success".
    """

    def __init__(self, root: Path, on_open: Callable[[str], None] | None = None) -> None:
        self.root = root
        self.place(SHARED).mkdir(parents=True)
        self.properties = dict(PROPERTIES)
        self.on_open = on_open
        self.opened: list[str] = []
        self.started: list[str] = []
        self.installed: list[bytes] = []
        self.refusal: str | None = None
        self.has_browser = True
        self.commands: list[str] = []

    def place(self, path: str) -> Path:
        return self.root / path.lstrip("/")

    def stat(self, path: str) -> tuple[int, int, int]:
        """Return mode, size and time, all 0 for what is not there."""
        place = self.place(path)
        if not place.exists():
            return 0, 0, 0
        found = place.stat()
        return found.st_mode, found.st_size, int(found.st_mtime)

    def write(self, path: str, data: bytes, mode: int) -> None:
        place = self.place(path)
        place.write_bytes(data)
        place.chmod(stat.S_IMODE(mode))

    def run(self, command: str, read: Callable[[int], bytes] | None) -> Done:
        """Run one command line; `read` gives what comes after it, for a streamed package."""
        self.commands.append(command)
        words = shlex.split(command)
        if words[:1] == ["getprop"]:
            return self._getprop(words[1:])
        if words[:2] == ["am", "start"]:
            return self._start(words)
        if words[:2] == ["pm", "install"]:
            return self._install(self.place(words[-1]).read_bytes())
        if words[:3] == ["cmd", "package", "install"]:
            if read is None or "-S" not in words:
                return Done(1, b"", b"Error: no package\n")
            return self._install(read(int(words[words.index("-S") + 1])))
        if words[:1] == ["input"]:
            return Done(0, b"", b"")
        return self._sh(command)

    def _getprop(self, words: list[str]) -> Done:
        if words:
            return Done(0, f"{self.properties.get(words[0], '')}\n".encode(), b"")
        lines = [f"[{name}]: [{value}]\n" for name, value in self.properties.items()]
        return Done(0, "".join(lines).encode(), b"")

    def _start(self, words: list[str]) -> Done:
        if "-n" in words:
            self.started.append(words[words.index("-n") + 1])
            return Done(0, b"Starting: Intent { }\n", b"")
        if not self.has_browser:
            return Done(0, b"Error: Activity not started, unable to resolve Intent { }\n", b"")
        url = words[words.index("-d") + 1]
        self.opened.append(url)
        if self.on_open is not None:
            self.on_open(url)
        return Done(0, b"Starting: Intent { act=android.intent.action.VIEW }\n", b"")

    def _install(self, package: bytes) -> Done:
        if self.refusal is not None:
            return Done(1, f"Failure [{self.refusal}]\n".encode(), b"")
        self.installed.append(package)
        return Done(0, b"Success\n", b"")

    def _sh(self, command: str) -> Done:
        """Run it here, with the phone's folder in place of ours, and back again in the answer."""
        ours = str(self.place(SHARED))
        here = re.sub(re.escape(SHARED), ours, command)
        done = subprocess.run(["sh", "-c", here], capture_output=True, timeout=60, check=False)
        out, err = (
            text.replace(ours.encode(), SHARED.encode()) for text in (done.stdout, done.stderr)
        )
        return Done(done.returncode % 256, out, err)

"""Run in the phone's namespaces: mount what is this machine's, then serve ssh as the app's user.

`python -m tests.termux.inside SETUP` is started by `phone.py` through unshare(1), and is process 1.
"""

from __future__ import annotations

import json
import os
import platform
import stat
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.termux.root import HOME, PREFIX, USER_ID, VERSION, inside

_DEVICES = {"null": (1, 3), "zero": (1, 5), "random": (1, 8), "urandom": (1, 9)}


@dataclass(frozen=True)
class Setup:
    """Say where the root is, the folder of Python's library, and each package to be seen there."""

    root: str
    port: int
    library: str
    packages: dict[str, str]

    def to_json(self) -> str:
        """Return the setup as one word of a command line."""
        return json.dumps(asdict(self))


def _mount(*words: str | Path) -> None:
    subprocess.run(["mount", *map(str, words)], check=True)


def _bind(source: str | Path, target: Path) -> None:
    """Show a folder or file of this machine at `target`, for reading alone."""
    if Path(source).is_dir():
        target.mkdir(parents=True, exist_ok=True)
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.touch()
    _mount("--bind", source, target)
    _mount("-o", "remount,bind,ro", target)


def furnish(setup: Setup, root: Path) -> None:
    """Mount what a running phone has, and what is lent."""
    _mount("-t", "proc", "-o", "hidepid=2", "proc", root / "proc")
    _mount("-t", "tmpfs", "-o", "mode=755", "tmpfs", root / "dev")
    for name, numbers in _DEVICES.items():
        os.mknod(root / "dev" / name, stat.S_IFCHR | 0o666, os.makedev(*numbers))
        (root / "dev" / name).chmod(0o666)
    (root / "dev" / "fd").symlink_to("/proc/self/fd")
    (root / "dev" / "shm").mkdir()
    machine = f"{platform.machine()}-linux-gnu"
    _bind(f"/usr/lib/{machine}", root / "lib" / machine)
    for loader in Path("/lib64").glob("ld-linux*"):
        _bind(loader.resolve(), root / "lib64" / loader.name)
    packages = inside(root, PREFIX) / "lib" / "packages"
    for name, source in setup.packages.items():
        _bind(source, packages / name)
    library = inside(root, PREFIX) / "lib" / VERSION
    _bind(setup.library, library)
    # Debian's own Python looks for packages in another place.
    plain, debian = library / "site-packages", library.parent / "python3" / "dist-packages"
    if not plain.is_dir():
        debian.mkdir(parents=True, exist_ok=True)
    _mount("--rbind", packages, plain if plain.is_dir() else debian)


def serve(port: int) -> None:
    """Start the ssh server, and gather what ends until it does."""
    server = os.fork()
    if server == 0:
        os.setsid()
        os.setgroups([])
        os.setgid(USER_ID)
        os.setuid(USER_ID)
        os.chdir(HOME)
        os.umask(0o077)
        # What the app gives its shells, in which a user starts sshd.
        environment = {
            "HOME": str(HOME),
            "PREFIX": str(PREFIX),
            "PATH": str(PREFIX / "bin"),
            "TMPDIR": str(PREFIX / "tmp"),
            "LD_LIBRARY_PATH": str(PREFIX / "lib"),
        }
        program = str(PREFIX / "bin" / "sshd")
        words = [program, "-D", "-e", "-f", str(PREFIX / "etc" / "sshd_config"), "-p", str(port)]
        os.execve(program, [*words, "-o", "ListenAddress=127.0.0.1"], environment)
    while True:
        pid, _ = os.wait()
        if pid == server:
            return


def main(argument: str) -> None:
    """Become the phone that `argument` describes."""
    setup = Setup(**json.loads(argument))
    root = Path(setup.root)
    furnish(setup, root)
    os.chroot(root)
    os.chdir("/")
    serve(setup.port)


if __name__ == "__main__":
    main(sys.argv[1])

"""Make the device's root file system: Debian's own arm64 packages, unpacked, with a user `pi`.

Nothing of it runs while it is made, so that takes seconds; what the packages' scripts would have
done is written by hand. It is made once for each list of packages and kept in the cache.
"""

from __future__ import annotations

import compileall
import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.emulation.needs import Unavailable

PACKAGES = (
    "bash",
    "coreutils",
    "dash",
    "findutils",
    "grep",
    "gzip",
    "hostname",
    "libc-bin",
    "libfaketime",
    "libgomp1",
    "libstdc++6",
    "login",
    "mawk",
    "openssh-client",
    "openssh-server",
    "openssh-sftp-server",
    "passwd",
    "procps",
    "python3",
    "python3-venv",
    "rsync",
    "sed",
    "sudo",
    "tar",
    "util-linux",
)
# What no program reads, a third of the bytes.
_LEFT_OUT = ("usr/share/doc/*", "usr/share/man/*", "usr/share/locale/*", "usr/share/perl/*")
USER = "pi"
USER_ID = 1000
_USERS = f"""\
root:x:0:0:root:/root:/bin/bash
daemon:x:1:1::/usr/sbin:/usr/sbin/nologin
sshd:x:101:65534::/run/sshd:/usr/sbin/nologin
nobody:x:65534:65534::/nonexistent:/usr/sbin/nologin
{USER}:x:{USER_ID}:{USER_ID}::/home/{USER}:/bin/bash
"""
_GROUPS = f"""\
root:x:0:
daemon:x:1:
tty:x:5:
sudo:x:27:{USER}
video:x:44:{USER}
nogroup:x:65534:
{USER}:x:{USER_ID}:
"""
# There is no password to ask for, so PAM has nothing to decide.
_PAM = """\
auth sufficient pam_permit.so
account sufficient pam_permit.so
session sufficient pam_permit.so
"""
# Path -> text and mode.
_FILES = {
    "etc/passwd": (_USERS, 0o644),
    "etc/group": (_GROUPS, 0o644),
    "etc/shadow": (re.sub(r":.*", ":*:19000:0:99999:7:::", _USERS), 0o640),
    "etc/nsswitch.conf": ("passwd: files\ngroup: files\nshadow: files\nhosts: files\n", 0o644),
    "etc/fstab": ("", 0o644),
    "etc/pam.d/sudo": (_PAM, 0o644),
    "etc/pam.d/other": (_PAM, 0o644),
    "var/log/lastlog": ("", 0o664),
    "var/log/wtmp": ("", 0o664),
}
_FOLDERS = {
    "dev": 0o755,
    "etc/ssh": 0o755,
    "home": 0o755,
    "mnt": 0o755,
    "opt": 0o755,
    "proc": 0o755,
    "root": 0o700,
    "run/sshd": 0o755,
    "run/sudo": 0o711,
    "sys": 0o755,
    "tmp": 0o1777,
    "var/tmp": 0o1777,
}


def cache_folder() -> Path:
    """Return where roots and packages are kept: in $MEJIRO_CACHE or the user's cache folder."""
    if chosen := os.environ.get("MEJIRO_CACHE"):
        return Path(chosen) / "emulation"
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "mejiro" / "emulation"


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Let one process at a time make what is at `path`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_name(path.name + ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def make_root(cache: Path) -> Path:
    """Return the root file system, made now unless it was before; raises Unavailable."""
    # What is in it follows from the packages, from this file, and from the release of Debian.
    release = Path("/etc/os-release").read_bytes()
    digest = hashlib.sha256(Path(__file__).read_bytes() + release).hexdigest()[:12]
    root = cache / f"root-{digest}"
    with locked(root):
        if not root.is_dir():
            beside = root.with_name(root.name + ".part")
            shutil.rmtree(beside, ignore_errors=True)
            beside.mkdir(parents=True)
            _unpack(_download(cache / "apt"), beside)
            _finish(beside)
            beside.rename(root)
    return root


def python_of(root: Path) -> str:
    """Return the version of the device's Python, such as 3.11."""
    (found,) = root.glob("usr/lib/python3.*/os.py")
    return found.parent.name.removeprefix("python")


def compile_python(folder: Path, version: str, at: str) -> None:
    """Compile the modules in `folder`, which the device sees at `at`, if this Python can.

    An emulated Python would do it at each start: `pi` may not write there.
    """
    if version == f"{sys.version_info[0]}.{sys.version_info[1]}":
        compileall.compile_dir(
            str(folder), quiet=2, stripdir=str(folder), prependdir=at, workers=1, maxlevels=20
        )


def _download(apt: Path) -> list[Path]:
    """Download the packages and all they need, with an apt that knows of no installed package."""
    archives = apt / "archives"
    shutil.rmtree(archives, ignore_errors=True)  # another list's packages
    for folder in (apt / "lists" / "partial", archives / "partial"):
        folder.mkdir(parents=True, exist_ok=True)
    (apt / "status").touch()
    settings = [
        "APT::Architecture=arm64",
        "APT::Architectures=arm64",
        "APT::Install-Recommends=false",
        "APT::Sandbox::User=root",
        "APT::Keep-Downloaded-Packages=true",
        "Acquire::Languages=none",
        "Debug::NoLocking=1",
        f"Dir::State::lists={apt}/lists",
        f"Dir::State::status={apt}/status",
        f"Dir::Cache={apt}",
        f"Dir::Cache::archives={archives}",
    ]
    sources = Path("/etc/apt/sources.list.d/debian.sources")
    if sources.is_file():  # Debian's alone: others may have nothing for arm64
        settings += [f"Dir::Etc::SourceList={sources}", "Dir::Etc::SourceParts=/dev/null"]
    command = ["apt-get", "-qq", *(word for value in settings for word in ("-o", value))]
    _run([*command, "update"])
    _run([*command, "install", "-y", "--download-only", *PACKAGES])
    return sorted(archives.glob("*.deb"))


def _run(command: Sequence[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip() or "it said nothing").splitlines()[-1]
        raise Unavailable(f"arm64 packages cannot be had from Debian: {last}")


def _unpack(packages: Sequence[Path], root: Path) -> None:
    for name in ("bin", "sbin", "lib"):  # the merged /usr, which packages expect
        (root / "usr" / name).mkdir(parents=True)
        (root / name).symlink_to(f"usr/{name}")
    tar = ["tar", "--extract", "--keep-directory-symlink", "--numeric-owner", "-C", str(root)]
    tar += [f"--exclude=./{pattern}" for pattern in _LEFT_OUT]
    for package in packages:
        with subprocess.Popen(
            ["dpkg-deb", "--fsys-tarfile", str(package)], stdout=subprocess.PIPE
        ) as reader:
            subprocess.run(tar, stdin=reader.stdout, check=True)
        if reader.returncode:
            raise Unavailable(f"{package} cannot be unpacked; delete it and try again")


def _finish(root: Path) -> None:
    """Do what the packages' scripts would have done, and make the user and the keys."""
    for name, mode in _FOLDERS.items():
        (root / name).mkdir(parents=True, exist_ok=True)
        (root / name).chmod(mode)
    for name, (text, mode) in _FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")
        (root / name).chmod(mode)
    (root / "usr/bin/awk").unlink(missing_ok=True)
    (root / "usr/bin/awk").symlink_to("mawk")
    for key in (root / "etc/ssh/ssh_host_ed25519_key", client_key(root)):
        _run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "emulation", "-f", str(key)])
    version = python_of(root)
    for folder in (f"usr/lib/python{version}", "usr/lib/python3"):
        compile_python(root / folder, version, f"/{folder}")


def client_key(root: Path) -> Path:
    """Return the key that opens the device; beside its user's folders, where nobody looks."""
    return root / "root" / "client_ed25519"

"""Make the phone's file system: Termux's folder of programs, and a home."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

from tests.emulation.needs import Unavailable
from tests.emulation.root import cache_folder, locked

# Read before the tests' own cache folder takes its place: what is downloaded is kept.
CACHE = cache_folder() / "termux"
FILES = Path("/data/data/com.termux/files")
PREFIX, HOME = FILES / "usr", FILES / "home"
# Android's number and name for the first app that a user installed.
USER, USER_ID = "u0_a123", 10123
# Programs that Termux has from the start, or by `pkg install openssh`.
_NAMES = """
basename bash cat chmod cksum cp cut date dirname echo env false grep head id ln ls mkdir mkfifo
mktemp mv nohup printf pwd readlink realpath rm rmdir setsid sh sha256sum sleep sort ssh-keygen
tail tar touch tr true uname wc whoami
"""
PLAIN = tuple(_NAMES.split())
RUNIT = ("runsv", "runsvdir", "sv", "svlogd")
NEEDED = {
    "apt-get": "apt",
    "dpkg-deb": "dpkg",
    "mount": "mount",
    "ssh": "openssh-client",
    "ssh-keygen": "openssh-client",
    "unshare": "util-linux",
}
_DOWNLOADED = ("libwrap0", "openssh-server", "runit")
_PROGRAMS = Path(__file__).with_name("programs")
_ETC = {
    "passwd": f"{USER}:x:{USER_ID}:{USER_ID}::{HOME}:{PREFIX}/bin/sh\n",
    "group": f"{USER}:x:{USER_ID}:\n",
    "nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\n",
    "hosts": "127.0.0.1 localhost\n",
}
VERSION = f"python{sys.version_info[0]}.{sys.version_info[1]}"


def require_phone() -> None:
    """Raise Unavailable where there can be no phone: what is refused before what is missing."""
    if platform.system() != "Linux" or os.geteuid() != 0:
        raise Unavailable("a phone's stand-in needs Linux and root, for mounts", refused=True)
    if not Path("/etc/debian_version").is_file():
        raise Unavailable("a phone's stand-in takes its programs from Debian", refused=True)
    for program, package in NEEDED.items():
        if shutil.which(program) is None:
            raise Unavailable(f"{program} is not installed (apt-get install {package})")
    command = ["unshare", "--mount", "--pid", "--fork", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        raise Unavailable("namespaces and mounts are refused here", refused=True)


def debian_programs() -> Path:
    """Return a folder with sshd and runit, downloaded and unpacked once, not installed."""
    folder = CACHE / "debian"
    with locked(folder):
        if not folder.is_dir():
            beside = folder.with_name("debian.part")
            shutil.rmtree(beside, ignore_errors=True)
            (beside / "lists" / "partial").mkdir(parents=True)
            apt = ["apt-get", "-qq", "-o", f"Dir::State::lists={beside}/lists"]
            apt += ["-o", "APT::Sandbox::User=root", "-o", "Acquire::Languages=none"]
            _run([*apt, "update"], beside)
            _run([*apt, "download", *_DOWNLOADED], beside)
            for package in sorted(beside.glob("*.deb")):
                _run(["dpkg-deb", "-x", str(package), str(beside)], beside)
                package.unlink()
            shutil.rmtree(beside / "lists")
            beside.rename(folder)
    return folder


def _run(command: list[str], folder: Path) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip() or "it said nothing").splitlines()[-1]
        raise Unavailable(f"programs cannot be had from Debian: {last}")


def make_root(root: Path) -> None:
    """Write the file system into the folder `root`, all of Termux owned by the app's user."""
    prefix, home = inside(root, PREFIX), inside(root, HOME)
    for name in ("bin", "etc", "lib", "tmp", "var/log/sv", "var/run", "var/service"):
        (prefix / name).mkdir(parents=True)
    for folder in (home / ".ssh", root / "dev", root / "proc", root / "lib64", root / "etc"):
        folder.mkdir(parents=True)
    for name, text in _ETC.items():  # the C library's, which Android's would not read
        (root / "etc" / name).write_text(text, encoding="utf-8")
    _copy_programs(prefix)
    _copy_python(prefix)
    _make_keys(prefix, home, root)
    for path in (inside(root, FILES), *inside(root, FILES).rglob("*")):
        os.chown(path, USER_ID, USER_ID, follow_symlinks=False)
    (home / ".ssh").chmod(0o700)
    (prefix / "tmp").chmod(0o700)


def inside(root: Path, path: Path) -> Path:
    """Return where a path of the phone lies here."""
    return root / path.relative_to("/")


def _copy_programs(prefix: Path) -> None:
    debian = debian_programs()
    for name in PLAIN:
        found = shutil.which("dash" if name == "sh" else name)
        if found is None:
            raise Unavailable(f"{name} is not installed")
        shutil.copy(found, prefix / "bin" / name)
    for name in RUNIT:
        shutil.copy(debian / "usr" / "bin" / name, prefix / "bin" / name)
    shutil.copy(debian / "usr" / "sbin" / "sshd", prefix / "bin" / "sshd")
    for library in debian.glob("lib/*/libwrap.so.0*"):
        shutil.copy(library, prefix / "lib" / library.name, follow_symlinks=False)
    for library in debian.glob("usr/lib/*/libwrap.so.0*"):
        shutil.copy(library, prefix / "lib" / library.name, follow_symlinks=False)
    for path in _PROGRAMS.iterdir():
        text = path.read_text(encoding="utf-8").replace("@PREFIX@", str(PREFIX))
        (prefix / "bin" / path.name).write_text(text, encoding="utf-8")
        (prefix / "bin" / path.name).chmod(0o755)


def _copy_python(prefix: Path) -> None:
    """Copy the interpreter alone; its library is mounted, and the packages beside it."""
    program = Path(sys.base_prefix, "bin", VERSION).resolve()
    shutil.copy(program, prefix / "bin" / VERSION)
    for name in ("python3", "python"):
        (prefix / "bin" / name).symlink_to(VERSION)
    for library in Path(str(sysconfig.get_config_var("LIBDIR"))).glob(f"lib{VERSION}*.so*"):
        shutil.copy(library, prefix / "lib" / library.name)
    (prefix / "lib" / VERSION).mkdir()
    (prefix / "lib" / "packages").mkdir()


def _make_keys(prefix: Path, home: Path, root: Path) -> None:
    for key in (prefix / "etc" / "ssh_host_ed25519_key", root / "client"):
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "phone", "-f", str(key)]
        subprocess.run(command, check=True)
    keys = home / ".ssh" / "authorized_keys"
    keys.write_bytes((root / "client.pub").read_bytes())
    keys.chmod(0o600)
    settings = {
        "PREFIX": PREFIX,
        "PATH": PREFIX / "bin",
        "TMPDIR": PREFIX / "tmp",
        "TERMUX_VERSION": "0.118.3",
        "LD_LIBRARY_PATH": PREFIX / "lib",  # Android's own way to find libraries is another
    }
    set_env = " ".join(f"{name}={value}" for name, value in settings.items())
    (prefix / "etc" / "sshd_config").write_text(
        f"HostKey {PREFIX}/etc/ssh_host_ed25519_key\n"
        "UsePAM no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n"
        f"UseDNS no\nPidFile none\nSetEnv {set_env}\n",
        encoding="utf-8",
    )

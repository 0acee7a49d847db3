"""Say what an emulated device takes, and let the kernel run programs for arm64."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from pathlib import Path

# Program -> the Debian package that brings it.
PROGRAMS = {
    "apt-get": "apt",
    "dpkg-deb": "dpkg",
    "mount": "mount",
    "qemu-aarch64-static": "qemu-user-static",
    "ssh": "openssh-client",
    "ssh-keygen": "openssh-client",
    "tar": "tar",
    "unshare": "util-linux",
}
DEBIAN = Path("/etc/debian_version")
BINFMT = Path("/proc/sys/fs/binfmt_misc")
ENTRY = "mejiro-aarch64"
# The first 20 bytes of an ELF file for AArch64, and which of their bits count.
_MAGIC = rb"\x7f\x45\x4c\x46\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00"
_MASK = rb"\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff"
# P: QEMU keeps argv[0]. F: the kernel holds the interpreter open, so that it works from another
# root. O and C: programs are opened for it, and a setuid bit (sudo) counts.
_FLAGS = "OPCF"


class Unavailable(Exception):
    """Say why there can be no emulated device here.

    `refused` tells what this machine does not allow from what somebody could install or download.
    """

    def __init__(self, reason: str, *, refused: bool = False) -> None:
        super().__init__(reason)
        self.refused = refused


def require_emulation() -> None:
    """Make this machine ready to run arm64 programs in a root of their own, or raise Unavailable.

    What it may not do comes before what is missing: without the first no program helps.
    """
    if platform.system() != "Linux" or platform.machine() != "x86_64":
        raise Unavailable("devices are emulated on Linux on x86-64 alone", refused=True)
    if os.geteuid() != 0:
        raise Unavailable("an emulated device needs root, for mounts and namespaces", refused=True)
    if not DEBIAN.is_file():
        reason = "an emulated device is made of Debian's packages, with its apt-get"
        raise Unavailable(reason, refused=True)
    for program, package in PROGRAMS.items():
        if shutil.which(program) is None:
            raise Unavailable(f"{program} is not installed (apt-get install {package})")
    _require_namespaces()
    _require_binfmt()


def _require_namespaces() -> None:
    kinds = ["--mount", "--propagation", "private", "--uts", "--net", "--pid", "--fork"]
    tried = subprocess.run(
        ["unshare", *kinds, "mount", "-t", "tmpfs", "tmpfs", "/mnt"],
        capture_output=True,
        text=True,
        check=False,
    )
    if tried.returncode:
        reason = f"namespaces and mounts are refused here: {tried.stderr.strip()}"
        raise Unavailable(reason, refused=True)


def _require_binfmt() -> None:
    """Register QEMU for arm64 unless that was done, in a way that works from another root."""
    try:
        if not (BINFMT / "register").exists():
            subprocess.run(
                ["mount", "-t", "binfmt_misc", "binfmt_misc", str(BINFMT)],
                check=True,
                capture_output=True,
            )
        if any(_serves(entry) for entry in BINFMT.glob("*aarch64")):  # not aarch64_be
            return
        (BINFMT / "register").write_bytes(_registration())
    except FileExistsError:
        return  # another process was quicker
    except (OSError, subprocess.CalledProcessError) as error:
        reason = f"the kernel takes no programs for arm64 (binfmt_misc): {error}"
        raise Unavailable(reason, refused=True) from None


def _serves(entry: Path) -> bool:
    lines = entry.read_text(encoding="utf-8").splitlines()
    flags = next((line for line in lines if line.startswith("flags:")), "")
    return "enabled" in lines and "F" in flags


def _registration() -> bytes:
    """Return what the kernel is told; QEMU knows by its own name's end that P was given."""
    libexec = Path("/usr/libexec/qemu-binfmt/aarch64-binfmt-P")
    program = str(libexec if libexec.exists() else shutil.which("qemu-aarch64-static"))
    parts = [b"", ENTRY.encode(), b"M", b"", _MAGIC, _MASK, program.encode(), _FLAGS.encode()]
    return b":".join(parts)

"""Count the instructions of a program on an emulated board, between the marks that it sets.

`benchmarks/programs/count_instructions.c` counts, inside of QEMU. Only the QEMU that is linked to
shared libraries can load it, so that one and its libraries are lent to the device.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from tests.emulation.boards import BOARDS
from tests.emulation.device import PROJECT, DeviceError, unshared
from tests.emulation.inside import Setup, written
from tests.emulation.needs import Unavailable, require_emulation
from tests.emulation.root import locked, make_root

SOURCE = PROJECT / "benchmarks" / "programs" / "count_instructions.c"
PROGRAMS = {"gcc": "gcc", "qemu-aarch64": "qemu-user"}
# Where the device sees QEMU, its libraries and the plugin.
_LENT = "/opt/counting"
_LIBRARIES = Path("/usr/lib/x86_64-linux-gnu")
_COUNTS = "tmp/counts.txt"


class Mark(NamedTuple):
    """Hold a mark's number, and the instructions since the mark before."""

    number: int
    instructions: int


def build_plugin(cache: Path) -> Path:
    """Return a folder that holds the counting plugin; raises Unavailable without a compiler."""
    for program, package in PROGRAMS.items():
        if shutil.which(program) is None:
            raise Unavailable(f"{program} is not installed (apt-get install {package})")
    digest = hashlib.sha256(SOURCE.read_bytes()).hexdigest()[:12]
    folder = cache / f"counting-{digest}"
    with locked(folder):
        if not folder.is_dir():
            beside = folder.with_name(folder.name + ".part")
            beside.mkdir(parents=True, exist_ok=True)
            build = ["gcc", "-shared", "-fPIC", "-O2", "-Wall", "-Wextra"]
            done = subprocess.run(
                [*build, "-o", str(beside / "count.so"), str(SOURCE)],
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode:
                raise Unavailable(f"{SOURCE.name} cannot be built: {done.stderr.strip()}")
            beside.rename(folder)
    return folder


def count_instructions(
    command: Sequence[str],
    *,
    board: str,
    cache: Path,
    state: Path,
    binds: Mapping[str, Path],
    environment: Mapping[str, str],
) -> list[Mark]:
    """Run `command` on a board and return its marks; `inside.written(state)` has what it writes.

    The command's first word is a path on the device. Raises Unavailable where there is no
    emulation, DeviceError if the command fails.
    """
    require_emulation()
    lent = {
        f"{_LENT}/plugin": build_plugin(cache),
        f"{_LENT}/bin": Path(shutil.which("qemu-aarch64") or "").parent,
        f"{_LENT}/lib": _LIBRARIES,
    }
    setup = Setup(
        base=str(make_root(cache)),
        state=str(state),
        board=board,
        cpu=BOARDS[board].cpu,
        binds={place: str(folder) for place, folder in {**lent, **binds}.items()},
        command=(*_counting(board, environment), *command),
    )
    done = subprocess.run(
        unshared(setup), cwd=PROJECT, stdin=subprocess.DEVNULL, capture_output=True, check=False
    )
    if done.returncode:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()[-5:]
        raise DeviceError(f"'{command[0]}' ended with {done.returncode}: {' / '.join(said)}")
    lines = (written(state) / _COUNTS).read_text(encoding="utf-8").splitlines()
    return [Mark(*map(int, line.split())) for line in lines]


def _counting(board: str, environment: Mapping[str, str]) -> list[str]:
    """Return the words before a command that is counted: the lent QEMU, by the lent loader."""
    words = [f"{_LENT}/lib/ld-linux-x86-64.so.2", "--library-path", f"{_LENT}/lib"]
    words += [f"{_LENT}/bin/qemu-aarch64", "-cpu", BOARDS[board].cpu]
    words += ["-plugin", f"{_LENT}/plugin/count.so,out=/{_COUNTS}"]
    # Python's order of hashing would be another in each run.
    for name, value in {"PYTHONHASHSEED": "0", **environment}.items():
        words += ["-E", f"{name}={value}"]
    return words

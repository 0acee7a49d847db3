"""Read a stranger's HDF5 file whole in a process of its own, before Keras reads it in this one.

A damaged file can keep the HDF5 library in a loop for ever, with Python's lock held: not even
Ctrl-C would end it.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

from mejiro.child import child_command
from mejiro_runtime.errors import ModelError

TIMEOUT_S = 120
MAX_UNPACKED_BYTES = 4 << 30
_PART = "model.weights.h5"


def check_keras_file(path: Path) -> None:
    """Raise ModelError unless the HDF5 file that `path` is can be read to its end.

    For a `.keras` file that is the one inside, which is unpacked for it into a temporary folder.
    """
    if path.suffix != ".keras":
        check_hdf5(path, str(path))
        return
    with tempfile.TemporaryDirectory(prefix="mejiro-") as folder:
        try:
            with zipfile.ZipFile(path) as archive:
                size = archive.getinfo(_PART).file_size
                if size <= MAX_UNPACKED_BYTES:
                    archive.extract(_PART, folder)
        except Exception as error:  # noqa: BLE001 - zipfile lets EOFError, zlib.error and more out
            reason = " ".join(str(error).split()) or type(error).__name__
            raise ModelError(f"{path} is no Keras file ({reason})") from None
        if size > MAX_UNPACKED_BYTES:
            raise ModelError(f"{path} unpacks to more than {MAX_UNPACKED_BYTES} bytes")
        check_hdf5(Path(folder, _PART), str(path))


def check_hdf5(path: Path, name: str) -> None:
    """Raise ModelError if the HDF5 file `path`, `name` in messages, cannot be read to its end.

    Fails for a file that crashes its reader, raises, or takes longer than `TIMEOUT_S`.
    """
    try:
        done = subprocess.run(
            child_command("mejiro.zoo.hdf5", str(path)),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise ModelError(
            f"{name} keeps the HDF5 library busy for more than {TIMEOUT_S} s, as a damaged file "
            "does; save the model again"
        ) from None
    if done.returncode != 0:
        lines = done.stderr.decode("utf-8", "replace").strip().splitlines()
        reason = lines[-1] if lines else f"its reader ended with {done.returncode}"
        raise ModelError(f"{name} is no HDF5 file that can be read ({reason}); save it again")


def read_all(path: Path) -> int:
    """Read every attribute and every number of an HDF5 file; return how many objects it has."""
    import h5py

    count = 0

    def read(_: str, thing: Any) -> None:
        nonlocal count
        count += 1
        for name in thing.attrs:
            thing.attrs[name]
        if isinstance(thing, h5py.Dataset):
            if thing.external:
                raise ValueError(f"{thing.name} lies in another file")
            for block in thing.iter_chunks() if thing.chunks else [()]:
                thing[block]

    with h5py.File(path, "r") as file:
        read("/", file)
        file.visititems(read)
    return count


def main() -> int:
    """Read the file that the command line names: the child's whole life."""
    try:
        read_all(Path(sys.argv[1]))
    except Exception as error:  # noqa: BLE001 - h5py raises whatever HDF5 stumbles over
        text = " ".join(str(error).split()) or type(error).__name__
        sys.stderr.write(f"{text}\n")
        return 1
    return 0

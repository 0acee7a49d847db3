"""Read the golden frames of a bundle, and find the tolerance that counts on this device."""

from __future__ import annotations

import platform
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mejiro_runtime.errors import BundleError
from mejiro_runtime.manifest import Tolerance

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAX_ARRAYS = 64
MAX_UNPACKED_BYTES = 512 * 1024 * 1024


def machine() -> str:
    """Return this machine's architecture as tolerances name it: x86_64, aarch64, armv7l."""
    name = platform.machine().lower()
    return {"amd64": "x86_64", "arm64": "aarch64"}.get(name, name)


def array_name(index: int) -> str:
    """Return the name of golden array number `index` in its .npz file."""
    return f"{index:02d}"


def read_arrays(path: Path, count: int) -> list[NDArray[Any]]:
    """Read the `count` arrays of a golden .npz file; nothing in it is executed.

    Raises BundleError if the file is not one, holds others, or unpacks to too much.
    """
    again = "write the bundle again with `mejiro bundle`"
    if not 1 <= count <= MAX_ARRAYS:
        raise BundleError(f"a bundle has 1 to {MAX_ARRAYS} golden frames, found {count}; {again}")
    try:
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(info.file_size for info in archive.infolist())
        if unpacked > MAX_UNPACKED_BYTES:
            raise BundleError(
                f"{path.name} unpacks to {unpacked} bytes, which is too much; {again}"
            )
        with np.load(path, allow_pickle=False) as members:
            arrays = [members[array_name(index)] for index in range(count)]
        # A member that is no array comes back as its bytes.
        if not all(isinstance(array, np.ndarray) for array in arrays):
            raise BundleError(f"{path.name} holds what is not an array; {again}")
        return arrays
    except BundleError:
        raise
    # What zipfile and numpy raise for a damaged file is open-ended: zlib.error, struct.error,
    # EOFError, MemoryError for a shape that nobody has room for, and more.
    except Exception as error:  # noqa: BLE001
        reason = str(error) or type(error).__name__
        raise BundleError(f"{path.name} cannot be read: {reason}; {again}") from None


def tolerance_for(
    tolerances: tuple[Tolerance, ...], backend: str, where: str, *, other_engine: bool = False
) -> Tolerance:
    """Return the first tolerance that fits `backend` on the machine type `where`.

    With `other_engine` one for any backend counts where there is one: engines of one backend, such
    as LiteRT and the older tflite-runtime, have kernels as different as those of two backends.
    """
    for_any = tuple(one for one in tolerances if one.backend == "*")
    for tolerance in for_any if other_engine and for_any else tolerances:
        if tolerance.backend in (backend, "*") and tolerance.machine in (where, "*"):
            return tolerance
    raise BundleError(
        f"the bundle records no golden tolerance for {backend} on {where}; write it again"
    )

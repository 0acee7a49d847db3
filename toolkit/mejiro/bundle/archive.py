"""Write zip files whose bytes depend on their content alone."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mejiro_runtime.golden import array_name

# The earliest date a zip file can hold: a real one would make each writing different.
_EPOCH = (1980, 1, 1, 0, 0, 0)
_READABLE_BY_ALL = 0o100644 << 16


def write_zip(path: Path, members: Mapping[str, bytes]) -> None:
    """Write `members`, by name and in the order given, with fixed dates and rights."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, data in members.items():
            info = zipfile.ZipInfo(name, date_time=_EPOCH)
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = _READABLE_BY_ALL
            info.create_system = 3  # Unix, wherever this runs
            archive.writestr(info, data)


def write_arrays(path: Path, arrays: Sequence[NDArray[Any]]) -> None:
    """Write arrays as an .npz file that `mejiro_runtime.golden.read_arrays` reads."""
    members = {}
    for index, array in enumerate(arrays):
        stream = io.BytesIO()
        np.lib.format.write_array(stream, np.ascontiguousarray(array), allow_pickle=False)
        members[f"{array_name(index)}.npy"] = stream.getvalue()
    write_zip(path, members)

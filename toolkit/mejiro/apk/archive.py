"""Write the zip file that an Android package is: aligned, and the same bytes each time."""

from __future__ import annotations

import struct
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

# The earliest date a zip file can hold: a real one would make each writing different.
_EPOCH = (1980, 1, 1, 0, 0, 0)
_READABLE_BY_ALL = 0o100644 << 16
# Android maps stored files into memory; `zipalign -c 4` and Android 11 (resources.arsc) ask for it.
_ALIGNMENT = 4
_LOCAL_HEADER_BYTES = 30
# The extra field that apksigner fills up with: its alignment, then zeros.
_PADDING_ID = 0xD935
_PADDING = struct.Struct("<HHH")
# Android reads it out of the file; from a target of 30 on it refuses one that is compressed.
_ALWAYS_STORED = "resources.arsc"
# Below a saving of an eighth, time at each start is worth more than bytes once: a network's
# weights, pictures.
_LEAST_SAVING = 1 / 8


@dataclass(frozen=True)
class Member:
    """Name a file of the archive and what it holds: bytes, or a file to be read."""

    name: str
    content: bytes | Path

    def read(self) -> bytes:
        """Return the bytes."""
        return self.content if isinstance(self.content, bytes) else self.content.read_bytes()


def write_archive(path: Path, members: list[Member]) -> None:
    """Write members in the order given, compressed where that saves an eighth."""
    with zipfile.ZipFile(path, "w", allowZip64=False) as archive:
        for member in members:
            _write(archive, member.name, member.read())


def _write(archive: zipfile.ZipFile, name: str, data: bytes) -> None:
    info = zipfile.ZipInfo(name, date_time=_EPOCH)
    info.external_attr = _READABLE_BY_ALL
    info.create_system = 3  # Unix, wherever this runs
    if name != _ALWAYS_STORED and _is_worth_it(data):
        info.compress_type = zipfile.ZIP_DEFLATED
    else:
        info.compress_type = zipfile.ZIP_STORED
        info.extra = _padding(archive.start_dir, name)
    archive.writestr(info, data, compresslevel=6)


def _is_worth_it(data: bytes) -> bool:
    return len(zlib.compress(data, 1)) <= len(data) * (1 - _LEAST_SAVING)


def _padding(offset: int, name: str) -> bytes:
    """Return the extra field that puts what follows a header at `offset` on a multiple of 4."""
    begin = offset + _LOCAL_HEADER_BYTES + len(name.encode()) + _PADDING.size
    filling = -begin % _ALIGNMENT
    return _PADDING.pack(_PADDING_ID, 2 + filling, _ALIGNMENT) + bytes(filling)

"""Read and write files so that what is named is what is meant, whole or not at all."""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_PIECE_BYTES = 1 << 18  # stays in a CPU's cache


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, as 64 lower-case hexadecimal digits."""
    digest = hashlib.sha256()
    with path.open("rb", buffering=0) as stream:
        piece = memoryview(bytearray(_PIECE_BYTES))
        while count := stream.readinto(piece):
            digest.update(piece[:count])
    return digest.hexdigest()


def plain_files(folder: Path, refused: Callable[[str], Exception]) -> Iterator[str]:
    """Give every file below `folder` by its relative path, with slashes.

    Raises what `refused` makes of the path of anything that is neither file nor folder, such as a
    link or a device.
    """
    waiting = [""]
    while waiting:
        prefix = waiting.pop()
        with os.scandir(folder / prefix) as entries:
            for entry in entries:
                mode = entry.stat(follow_symlinks=False).st_mode
                path = f"{prefix}{entry.name}"
                if stat.S_ISDIR(mode):
                    waiting.append(f"{path}/")
                elif stat.S_ISREG(mode):
                    yield path
                else:
                    raise refused(path)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a path beside `path` to write to; on success it becomes `path`, else it is removed.

    Whoever reads `path` meanwhile sees the old file or the new one, never half of either.
    """
    import tempfile  # only writers need it, and it costs every reader milliseconds

    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=path.suffix, dir=path.parent)
    os.close(handle)
    beside = Path(name)
    try:
        yield beside
        # mkstemp makes files that only their owner can read; what is published follows the umask.
        umask = os.umask(0)
        os.umask(umask)
        beside.chmod(0o666 & ~umask)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> None:
    """Write JSON with sorted keys and a final newline: equal values give equal bytes."""
    text = json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False)
    with replacing(path) as beside:
        beside.write_text(text + "\n", encoding="utf-8")

"""Hash picture files by their bytes, and find out which of them are pictures."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from mejiro_runtime.errors import SourceError
from mejiro_runtime.files import sha256_of
from mejiro_runtime.sources.pictures import read_picture

# Decoding is bound by the CPU, and each thread holds one decoded picture.
MAX_THREADS = 4

Item = TypeVar("Item")
Made = TypeVar("Made")


@dataclass(frozen=True)
class HashedPicture:
    """Hold one picture file, the index of its class, and the SHA-256 of the file's bytes."""

    path: Path
    label_index: int
    sha256: str


def hash_readable(
    paths: Sequence[Path], *, on_progress: Callable[[int, int], None] | None = None
) -> list[str | None]:
    """Return the SHA-256 of each file in `paths`, or None where it cannot be read as a picture.

    Each is decoded to find that out, small where its format allows it. Raises MissingPackage
    without OpenCV.
    """
    found = []
    for digest in in_threads(_hash, paths):
        found.append(digest)
        if on_progress is not None:
            on_progress(len(found), len(paths))
    return found


def _hash(path: Path) -> str | None:
    try:
        read_picture(path, reduced=True)
        return sha256_of(path)
    except (SourceError, OSError):
        return None


def in_threads(function: Callable[[Item], Made], items: Sequence[Item]) -> Iterator[Made]:
    """Yield what `function` makes of each item, in their order, from a few threads.

    The first exception ends it all, and so does whoever stops asking: what has not begun by then
    never does.
    """
    executor = ThreadPoolExecutor(min(MAX_THREADS, os.cpu_count() or 1))
    try:
        yield from executor.map(function, items)
    finally:
        executor.shutdown(cancel_futures=True)

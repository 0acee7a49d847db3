"""Decode pictures once, into one file of pixels that training reads without decoding again."""

from __future__ import annotations

import errno
import hashlib
import json
import math
import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mejiro.data.hashing import HashedPicture, in_threads
from mejiro.errors import DataError
from mejiro_runtime.errors import SourceError
from mejiro_runtime.files import replacing
from mejiro_runtime.preprocess import InputSpec, Layout, Preprocessor, TensorType
from mejiro_runtime.sources.pictures import read_picture
from mejiro_runtime.types import PixelOrder

# Part of each file's name: a file of another version is not read but made anew.
VERSION = 1


def decode_pixels(
    pictures: Sequence[HashedPicture],
    spec: InputSpec,
    folder: Path,
    *,
    on_progress: Callable[[int, int], None] | None = None,
) -> NDArray[np.uint8]:
    """Return the pixels that the runtime's preprocessing makes of `pictures` for `spec`.

    uint8 (pictures, height, width, channels) in the order of `spec`, before scale and offset: a
    read-only memory map of a file in `folder`, which is named by what it holds, written whole or
    not at all, and used again by whoever asks for the same. Raises DataError if a picture cannot
    be read any more, or the file cannot be written.
    """
    spec = pixels_only(spec)
    shape = (len(pictures), *spec.shape[1:])
    path = folder / f"pixels-{_key(pictures, spec)}.npy"
    found = _whole(path, shape)
    if found is not None:
        return found
    try:
        with replacing(path) as beside:
            _write(beside, pictures, spec, shape, on_progress)
    except OSError as error:
        raise DataError(
            f"{path} cannot be written: {error.strerror or error}; "
            f"the pixels need {math.prod(shape) / 1e6:.0f} MB"
        ) from None
    made = _whole(path, shape)
    if made is None:
        raise DataError(f"{path} changed as it was written; let no one else write there")
    return made


def _whole(path: Path, shape: tuple[int, ...]) -> NDArray[np.uint8] | None:
    """Return the array in the file `path`, or None if it is absent or not what it should be."""
    try:
        pixels: np.memmap[Any, Any] = np.load(path, mmap_mode="r")
        size = path.stat().st_size
    except (OSError, ValueError, EOFError):  # what is no array, or shorter than it says
        return None
    if pixels.shape != shape or pixels.dtype != np.uint8 or pixels.offset + pixels.nbytes != size:
        return None
    return pixels


def pixels_only(spec: InputSpec) -> InputSpec:
    """Return `spec` with all that comes after the pixels left out."""
    return replace(
        spec,
        scale=(1.0,),
        offset=(0.0,),
        dtype=TensorType.UINT8,
        quantization=None,
        layout=Layout.NHWC,
    )


def _key(pictures: Sequence[HashedPicture], spec: InputSpec) -> str:
    digest = hashlib.sha256(json.dumps([VERSION, spec.to_json()], sort_keys=True).encode())
    for picture in pictures:
        digest.update(picture.sha256.encode("ascii"))
    return digest.hexdigest()[:32]


def _write(
    path: Path,
    pictures: Sequence[HashedPicture],
    spec: InputSpec,
    shape: tuple[int, ...],
    on_progress: Callable[[int, int], None] | None,
) -> None:
    """Write a .npy file of `shape`, each picture at its place as soon as it is decoded."""
    header = {"descr": "|u1", "fortran_order": False, "shape": shape}
    size = math.prod(shape[1:])
    local = threading.local()
    with path.open("wb") as stream:
        np.lib.format.write_array_header_1_0(stream, header)
        stream.flush()
        start = stream.tell()

        def decode(index: int) -> None:
            if not hasattr(local, "preprocessor"):
                local.preprocessor = Preprocessor(spec)
            try:
                pixels = read_picture(pictures[index].path)
            except SourceError as error:
                raise DataError(f"{error} (it could be read before)") from None
            tensor = local.preprocessor(pixels, PixelOrder.BGR)
            # Written rather than mapped: then a full disk is an error and no signal, and the
            # pages are the system's, not this process's.
            if os.pwrite(stream.fileno(), tensor.data, start + index * size) != size:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        for done, _ in enumerate(in_threads(decode, range(len(pictures))), start=1):
            if on_progress is not None:
                on_progress(done, len(pictures))

"""Read pictures from files, one or a folder of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mejiro_runtime import opencv
from mejiro_runtime.errors import SourceError
from mejiro_runtime.kernels import Pixels

PICTURE_SUFFIXES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})
MAX_PICTURE_BYTES = 256 * 1024 * 1024


def read_picture(path: Path) -> Pixels:
    """Return a picture file's pixels, (height, width, 3) uint8 in BGR order, turned upright.

    Grey and palette pictures are widened to three channels, transparency is dropped, 16 bits
    are reduced to 8, and of an animation the first frame is taken. Raises SourceError if the
    file is absent, empty, too large or no picture, and MissingPackage without OpenCV.
    """
    cv2 = opencv.load("reading pictures")
    try:
        if path.stat().st_size > MAX_PICTURE_BYTES:
            raise SourceError(f"{path} is larger than {MAX_PICTURE_BYTES} bytes; make it smaller")
        data = np.fromfile(path, dtype=np.uint8)
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror or error}") from None
    if data.size == 0:
        raise SourceError(f"{path} is empty; a picture was expected")
    try:
        pixels = cv2.imdecode(data, cv2.IMREAD_COLOR)
    except cv2.error:
        pixels = None
    if pixels is None:
        raise SourceError(
            f"{path} is not a picture that OpenCV can read; convert it to PNG or JPEG"
        )
    result: Pixels = pixels
    return result


def picture_files(folder: Path) -> list[Path]:
    """Return the files of `folder` that are named like pictures, by name; not its subfolders."""
    return sorted(
        path
        for path in folder.iterdir()
        if path.suffix.lower() in PICTURE_SUFFIXES
        and not path.name.startswith(".")
        and path.is_file()
    )

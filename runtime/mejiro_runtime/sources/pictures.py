"""Read pictures from files, one or a folder of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from time import perf_counter_ns
from types import TracebackType

import numpy as np

from mejiro_runtime import opencv
from mejiro_runtime.errors import SourceError
from mejiro_runtime.kernels import Pixels
from mejiro_runtime.types import Frame, PixelOrder

PICTURE_SUFFIXES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})
MAX_PICTURE_BYTES = 256 * 1024 * 1024


def read_picture(path: Path, *, reduced: bool = False) -> Pixels:
    """Return a picture file's pixels, (height, width, 3) uint8 in BGR order, turned upright.

    Grey and palette pictures are widened to three channels, transparency is dropped, 16 bits
    are reduced to 8, and of an animation the first frame is taken. `reduced` gives an eighth of
    the height and width, sooner: enough to find out whether it can be read. Raises SourceError
    if the file is absent, empty, too large or no picture, and MissingPackage without OpenCV.
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
        flags = cv2.IMREAD_REDUCED_COLOR_8 if reduced else cv2.IMREAD_COLOR
        pixels = cv2.imdecode(data, flags)
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


class PictureSource:
    """Give the pictures of a list of files; an unreadable one is skipped and named."""

    live = False

    def __init__(self, files: list[Path], *, description: str) -> None:
        if not files:
            endings = ", ".join(sorted(PICTURE_SUFFIXES))
            raise SourceError(f"no pictures in {description}; files ending in {endings} count")
        self.files = files
        self.description = description
        self.skipped: list[str] = []

    def frames(self) -> Iterator[Frame]:
        """Give one frame a file. Raises SourceError if not one of them could be read."""
        given = 0
        reason: SourceError | None = None
        for path in self.files:
            start = perf_counter_ns()
            try:
                pixels = read_picture(path)
            except SourceError as error:
                self.skipped.append(path.name)
                if len(self.files) == 1:
                    raise
                reason = error
                continue
            now = perf_counter_ns()
            yield Frame(pixels, PixelOrder.BGR, given, now, now - start, path.name)
            given += 1
        if not given:
            raise SourceError(
                f"none of {len(self.files)} pictures could be read; the last: {reason}"
            )

    def __enter__(self) -> PictureSource:
        opencv.load("reading pictures")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        return None

"""Write small sets of labelled pictures, each picture unlike the others."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

WritePicture = Callable[..., Path]
WriteSet = Callable[..., Path]


@pytest.fixture
def write_picture() -> WritePicture:
    """Return a function that writes a picture of noise; the same number gives the same bytes."""

    def write(path: Path, number: int = 0, *, side: int = 12) -> Path:
        pixels = np.random.default_rng(number).integers(0, 256, (side, side, 3)).astype(np.uint8)
        path.parent.mkdir(parents=True, exist_ok=True)
        # imencode and not imwrite: OpenCV cannot write to every name that Python can.
        path.write_bytes(cv2.imencode(path.suffix, pixels)[1].tobytes())
        return path

    return write


@pytest.fixture
def write_set(tmp_path: Path, write_picture: WritePicture) -> WriteSet:
    """Return a function that writes `each` pictures into a folder for each class."""

    def write(*classes: str, each: int = 5, root: Path | None = None, first: int = 0) -> Path:
        root = root or tmp_path / "set"
        for place, name in enumerate(classes):
            for index in range(each):
                write_picture(root / name / f"{index}.png", first + 1000 * place + index)
        return root

    return write

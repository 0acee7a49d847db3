"""Decode the JPEG pictures of streams, whole or at a fraction of their size."""

from __future__ import annotations

from typing import Any

import numpy as np

from mejiro_runtime import opencv
from mejiro_runtime.kernels import Pixels

MAX_PIXELS = 4 * 3840 * 2160  # a small file can unpack to gigabytes
UNREADABLE = 30  # pictures one after another that are passed over


def reduction(text: str) -> int:
    """Read by how much a picture's sides are divided in decoding: 1, 2, 4 or 8."""
    if text not in ("1", "2", "4", "8"):
        raise ValueError("1, 2, 4 or 8")
    return int(text)


def pixel_count(data: Any) -> int:
    """Return how many pixels a JPEG says it has; 0 where it does not say.

    Source: ITU-T T.81, B.2.2: the start of frame, behind other segments with their lengths.
    """
    at = 2
    while at + 9 <= len(data) and data[at] == 0xFF:
        kind = int(data[at + 1])
        if 0xC0 <= kind <= 0xCF and kind not in (0xC4, 0xC8, 0xCC):
            height, width = (256 * int(data[at + n]) + int(data[at + n + 1]) for n in (5, 7))
            return height * width
        at += 1 if kind == 0xFF else 2 + 256 * int(data[at + 2]) + int(data[at + 3])
    return 0


def decode(data: Any, reduce: int = 1) -> Pixels | None:
    """Return a JPEG's pixels, (height, width, 3) uint8 BGR; None for what is none or too large.

    `data` is bytes, or a contiguous array of uint8. `reduce` divides the sides, and leaves out
    that part of the work: the inverse cosine transform of each block then gives fewer pixels.
    """
    cv2 = opencv.load("reading a camera")
    data = np.frombuffer(data, np.uint8)
    if not 0 < pixel_count(data) <= MAX_PIXELS:
        return None
    flag = cv2.IMREAD_COLOR if reduce == 1 else getattr(cv2, f"IMREAD_REDUCED_COLOR_{reduce}")
    try:
        pixels: Pixels | None = cv2.imdecode(data, flag)
    except cv2.error:
        return None
    return pixels

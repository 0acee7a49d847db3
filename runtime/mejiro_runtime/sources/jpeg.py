"""Decode the JPEG pictures of streams, whole or at a fraction of their size."""

from __future__ import annotations

from typing import Any

import numpy as np

from mejiro_runtime import opencv
from mejiro_runtime.kernels import Pixels

UNREADABLE = 30  # pictures one after another that are passed over


def reduction(text: str) -> int:
    """Read by how much a picture's sides are divided in decoding: 1, 2, 4 or 8."""
    if text not in ("1", "2", "4", "8"):
        raise ValueError("1, 2, 4 or 8")
    return int(text)


def decode(data: Any, reduce: int = 1) -> Pixels | None:
    """Return a JPEG's pixels, (height, width, 3) uint8 BGR; None for what is none.

    `data` is bytes or uint8. `reduce` divides the sides, and leaves out that part of the work:
    the inverse cosine transform of each block then gives fewer pixels.
    """
    cv2 = opencv.load("reading a camera")
    data = np.frombuffer(data, np.uint8) if isinstance(data, bytes) else data.reshape(-1)
    if not data.size:
        return None
    flag = cv2.IMREAD_COLOR if reduce == 1 else getattr(cv2, f"IMREAD_REDUCED_COLOR_{reduce}")
    try:
        pixels: Pixels | None = cv2.imdecode(data, flag)
    except cv2.error:
        return None
    return pixels

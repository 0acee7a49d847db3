"""Put photographs into pages and drawings: smaller, cropped, and inside the file itself."""

from __future__ import annotations

import base64

from mejiro_runtime import opencv
from mejiro_runtime.kernels import Pixels

THUMBNAIL_QUALITY = 82


def crop_to(pixels: Pixels, width: int, height: int) -> Pixels:
    """Return the largest centred part of `pixels` (H, W, 3), resized to (height, width, 3)."""
    cv2 = opencv.load("making thumbnails")
    rows, columns = pixels.shape[:2]
    fit = min(columns / width, rows / height)
    inner_w, inner_h = max(1, round(width * fit)), max(1, round(height * fit))
    left, top = (columns - inner_w) // 2, (rows - inner_h) // 2
    region = pixels[top : top + inner_h, left : left + inner_w]
    # Nothing is inferred from a thumbnail, so the smoothest way to shrink is the right one.
    method = cv2.INTER_AREA if fit > 1 else cv2.INTER_CUBIC
    resized: Pixels = cv2.resize(region, (width, height), interpolation=method)
    return resized


def data_uri(pixels: Pixels) -> str:
    """Return BGR `pixels` (H, W, 3) as a JPEG in a data: address."""
    cv2 = opencv.load("making thumbnails")
    done, data = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, THUMBNAIL_QUALITY])
    if not done:
        raise ValueError(f"OpenCV cannot write pixels shaped {pixels.shape} as JPEG")
    return f"data:image/jpeg;base64,{base64.b64encode(data.tobytes()).decode('ascii')}"

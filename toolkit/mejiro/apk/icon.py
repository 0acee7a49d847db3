"""Make an app's icon out of one square picture, at the sizes that Android's screens have."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

from mejiro.errors import ApkError, UsageError

# An icon is 48 dp wide; a dp is one pixel at 160 dpi.
SIZES = {"mdpi": 48, "hdpi": 72, "xhdpi": 96, "xxhdpi": 144, "xxxhdpi": 192}
MIN_SIDE = SIZES["xxxhdpi"]
# What a picture may take before it is read: 64 MB of pixels of 16 bits at most.
MAX_SIDE = 2048
MAX_BYTES = 4 << 20
_PNG = b"\x89PNG\r\n\x1a\n"
_HEADER = struct.Struct(">I4sII")


def read_icon(path: Path) -> bytes:
    """Return the bytes of a square PNG; UsageError says what is wrong with any other file."""
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise UsageError(f"{path} has {size} bytes; an icon has at most {MAX_BYTES}")
        data = path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from None
    if data[: len(_PNG)] != _PNG or len(data) < len(_PNG) + _HEADER.size:
        raise UsageError(f"{path} is no PNG picture, as an icon must be")
    _, chunk, width, height = _HEADER.unpack_from(data, len(_PNG))
    if chunk != b"IHDR":
        raise UsageError(f"{path} is a damaged PNG picture")
    if width != height or not MIN_SIDE <= width <= MAX_SIDE:
        raise UsageError(
            f"{path} is {width}×{height} pixels; an icon is square, of {MIN_SIDE} to {MAX_SIDE}"
        )
    _decode(data, str(path))
    return data


def draw_sizes(data: bytes) -> dict[str, bytes]:
    """Return the PNG of an icon for each density of screens."""
    picture = _decode(data, "the icon")
    return {density: _encode(_shrink(picture, side)) for density, side in SIZES.items()}


def background_of(data: bytes) -> int:
    """Return the colour (ARGB) to lay behind an icon that a launcher cuts to its own shape.

    It is that of the middle of the upper edge, so that a picture with a ground of one colour goes
    on in it; white where the picture is transparent there.
    """
    picture = _decode(data, "the icon")
    blue, green, red, opaque = (int(value) for value in picture[0, picture.shape[1] // 2])
    return 0xFF << 24 | red << 16 | green << 8 | blue if opaque == 255 else 0xFFFFFFFF


def _decode(data: bytes, what: str) -> Any:
    """Return the picture as BGRA, one byte for each."""
    import cv2
    import numpy as np

    try:
        picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error:
        picture = None
    if picture is None:
        raise UsageError(f"{what} is a damaged PNG picture")
    if picture.dtype == np.uint16:
        picture = (picture >> 8).astype(np.uint8)
    channels = 1 if picture.ndim == 2 else picture.shape[2]
    codes = {1: cv2.COLOR_GRAY2BGRA, 3: cv2.COLOR_BGR2BGRA}
    return picture if channels == 4 else cv2.cvtColor(picture, codes[channels])


def _shrink(picture: Any, side: int) -> Any:
    """Resize by area, each pixel weighed by how opaque it is: no edge takes a hidden colour."""
    import cv2
    import numpy as np

    weighed = picture.astype(np.float32)
    weighed[..., :3] *= weighed[..., 3:] / 255
    small = cv2.resize(weighed, (side, side), interpolation=cv2.INTER_AREA)
    opaque = small[..., 3:]
    small[..., :3] *= np.divide(255, opaque, out=np.zeros_like(opaque), where=opaque > 0)
    return np.clip(np.rint(small), 0, 255).astype(np.uint8)


def _encode(picture: Any) -> bytes:
    import cv2

    done, data = cv2.imencode(".png", picture, [cv2.IMWRITE_PNG_COMPRESSION, 9])
    if not done:
        raise ApkError("an icon could not be written as PNG")
    return bytes(data)

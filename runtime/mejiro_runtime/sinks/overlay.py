"""Draw on a picture what was seen in it; the page, the window and the video file share this."""

from __future__ import annotations

import colorsys
import threading
import unicodedata
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from mejiro_runtime import opencv
from mejiro_runtime.types import ActivationMap, Box, Frame, PixelOrder, Result, Segmentation

if TYPE_CHECKING:
    from numpy.typing import NDArray

INK = (255, 255, 255)
PAPER = (38, 30, 26)
BACKGROUND = "background"
MASK_OPACITY = 0.55
HEAT_OPACITY = 0.7
GOLDEN_ANGLE = 0.381966  # of a turn: neighbouring classes get hues far apart
MAX_TEXT = 48


class Canvas(NamedTuple):
    """Hold a BGR picture to draw on, and how many of its pixels make one of the frame's."""

    pixels: NDArray[np.uint8]
    scale: float


def fit(frame: Frame, longest_side: int | None = None) -> Canvas:
    """Return a copy of a frame to draw on: BGR, no side longer than `longest_side` pixels."""
    cv2 = opencv.load("drawing results")
    pixels = frame.pixels
    height, width = pixels.shape[:2]
    scale = min(1.0, (longest_side or max(height, width)) / max(height, width))
    if scale < 1.0:
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        pixels = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    if frame.order is PixelOrder.BGR:
        return Canvas(pixels.copy() if pixels is frame.pixels else pixels, scale)
    code = {
        PixelOrder.RGB: cv2.COLOR_RGB2BGR,
        PixelOrder.RGBA: cv2.COLOR_RGBA2BGR,
        PixelOrder.BGRA: cv2.COLOR_BGRA2BGR,
        PixelOrder.GRAY: cv2.COLOR_GRAY2BGR,
    }[frame.order]
    return Canvas(cv2.cvtColor(pixels, code), scale)


def paint(frame: Frame, result: Result, *, longest_side: int | None = None) -> NDArray[np.uint8]:
    """Return a BGR copy of `frame` with all that `result` holds drawn on it."""
    canvas = fit(frame, longest_side)
    if result.heat is not None:
        lay_heat(canvas, result.heat)
    draw(canvas, result)
    return canvas.pixels


def draw(canvas: Canvas, result: Result) -> None:
    """Draw the answers of the model's task: a label, boxes, or a mask with its legend."""
    if result.mask is not None:
        _lay_mask(canvas, result.mask)
    if result.boxes is not None:
        for one in result.boxes:
            text = f"{one.label.short} {one.score:.0%}"
            _draw_box(canvas, one.box, text, colour_of(one.label.index))
    elif result.mask is None and result.top:
        best = result.top[0]
        _draw_chip(canvas, f"{best.label.short} {best.score:.0%}", (0, 0), PAPER)


@lru_cache(maxsize=256)
def colour_of(index: int) -> tuple[int, int, int]:
    """Return the colour of class `index`, in BGR: the same in every frame and every run."""
    red, green, blue = colorsys.hsv_to_rgb((0.58 + index * GOLDEN_ANGLE) % 1.0, 0.72, 0.86)
    return round(255 * blue), round(255 * green), round(255 * red)


class _Region(NamedTuple):
    """Say which part of a canvas a box covers, and how its pixels map to those of a map."""

    rows: slice
    columns: slice
    matrix: NDArray[np.float64]

    @property
    def size(self) -> tuple[int, int]:
        return (self.columns.stop - self.columns.start, self.rows.stop - self.rows.start)


def _region(canvas: Canvas, box: Box, shape: tuple[int, ...]) -> _Region | None:
    height, width = canvas.pixels.shape[:2]
    left, top, right, bottom = (edge * canvas.scale for edge in box)
    columns = slice(max(0, round(left)), min(width, round(right)))
    rows = slice(max(0, round(top)), min(height, round(bottom)))
    if columns.stop <= columns.start or rows.stop <= rows.start:
        return None
    # Pixel centres lie at halves on both sides.
    across, down = shape[1] / (right - left), shape[0] / (bottom - top)
    x = (columns.start + 0.5 - left) * across - 0.5
    y = (rows.start + 0.5 - top) * down - 0.5
    return _Region(rows, columns, np.array([[across, 0, x], [0, down, y]]))


def _spread(values: Any, region: _Region, *, smooth: bool) -> Any:
    """Return the map `values` as it lies over `region`, to the pixel."""
    cv2 = opencv.load("drawing results")
    flags = (cv2.INTER_LINEAR if smooth else cv2.INTER_NEAREST) | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(
        values, region.matrix, region.size, flags=flags, borderMode=cv2.BORDER_REPLICATE
    )


def lay_heat(canvas: Canvas, heat: ActivationMap) -> None:
    """Lay an activation map over the picture: what speaks for the class glows, the rest fades."""
    cv2 = opencv.load("drawing results")
    region = _region(canvas, heat.box, heat.values.shape)
    peak = float(heat.values.max(initial=0.0))
    if region is None or not peak > 0.0:
        return
    share = (255 * np.clip(heat.values / peak, 0.0, 1.0)).astype(np.uint8)
    spread = _spread(share, region, smooth=True)
    part = canvas.pixels[region.rows, region.columns]
    # Where nothing speaks for the class the picture turns grey and dark, so that the map's
    # colours are not taken for the scene's.
    grey = cv2.cvtColor(cv2.cvtColor(part, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)
    dim = cv2.addWeighted(part, 0.25, grey, 0.45, 0.0)
    opacity = cv2.merge([cv2.convertScaleAbs(spread, alpha=HEAT_OPACITY)] * 3)
    glow = cv2.multiply(cv2.applyColorMap(spread, cv2.COLORMAP_TURBO), opacity, scale=1 / 255)
    cv2.add(glow, cv2.multiply(dim, cv2.bitwise_not(opacity), scale=1 / 255), dst=part)


def _lay_mask(canvas: Canvas, mask: Segmentation) -> None:
    cv2 = opencv.load("drawing results")
    region = _region(canvas, mask.box, mask.classes.shape)
    legend = [(label, share) for label, share in mask.shares if label.name.lower() != BACKGROUND]
    if region is not None:
        table = np.zeros((256, 1, 3), dtype=np.uint8)
        for label, _ in legend:
            table[label.index] = colour_of(label.index)
        spread = _spread(mask.classes, region, smooth=False)
        tint = cv2.LUT(cv2.merge([spread] * 3), table)
        part = canvas.pixels[region.rows, region.columns]
        blend = cv2.addWeighted(part, 1.0 - MASK_OPACITY, tint, MASK_OPACITY, 0.0)
        painted = np.zeros(256, dtype=np.uint8)
        painted[[label.index for label, _ in legend]] = 1
        cv2.copyTo(blend, cv2.LUT(spread, painted), part)
    y = 0
    for label, share in legend[:4]:
        y += _draw_chip(canvas, f"{label.short} {share:.0%}", (0, y), colour_of(label.index))


def _draw_box(canvas: Canvas, box: Box, text: str, colour: tuple[int, int, int]) -> None:
    cv2 = opencv.load("drawing results")
    height, width = canvas.pixels.shape[:2]
    left, right = (min(max(round(x * canvas.scale), 0), width - 1) for x in (box.left, box.right))
    top, bottom = (min(max(round(y * canvas.scale), 0), height - 1) for y in (box.top, box.bottom))
    thick = max(2, round(max(height, width) / 320))
    cv2.rectangle(canvas.pixels, (left, top), (right, bottom), colour, thick)
    _draw_chip(canvas, text, (left, top), colour, above=True)


def _draw_chip(
    canvas: Canvas,
    text: str,
    corner: tuple[int, int],
    colour: tuple[int, int, int],
    *,
    above: bool = False,
) -> int:
    """Write `text` on a plate at `corner`, or standing on it where there is room; return height."""
    cv2 = opencv.load("drawing results")
    height, width = canvas.pixels.shape[:2]
    size: int = max(11, round(max(height, width) / 36))
    pad = max(3, size // 3)
    text = text if len(text) <= MAX_TEXT else text[: MAX_TEXT - 1] + "…"
    plate = size + 2 * pad
    text_width = _text_width(text, size)
    x = max(0, min(corner[0], width - text_width - 2 * pad))
    y = corner[1] - plate if above and corner[1] >= plate else corner[1]
    cv2.rectangle(canvas.pixels, (x, y), (x + text_width + 2 * pad, y + plate), colour, cv2.FILLED)
    # The letters' foot stands an eighth above the plate's padding, so that a "g" fits.
    _write(canvas.pixels, text, (x + pad, y + pad + round(0.86 * size)), size)
    return plate


class _Fonts(threading.local):
    """Hold OpenCV 5's font, which knows letters beyond ASCII, for one thread; None before 5."""

    def __init__(self) -> None:
        cv2 = opencv.load("drawing results")
        self.sans = cv2.FontFace("sans") if hasattr(cv2, "FontFace") else None


@lru_cache(maxsize=1)
def _fonts() -> _Fonts:
    return _Fonts()


def _plain(text: str) -> str:
    """Return `text` as OpenCV 4's font can draw it: accents go, other letters become "?"."""
    parts = unicodedata.normalize("NFKD", text.replace("…", "..."))
    bare = "".join(c for c in parts if not unicodedata.combining(c))
    return bare.encode("ascii", "replace").decode()


def _text_width(text: str, size: int) -> int:
    cv2 = opencv.load("drawing results")
    if (font := _fonts().sans) is not None:
        return int(cv2.getTextSize((0, 0), text, (0, 0), font, size, 500)[2])
    (width, _), _ = cv2.getTextSize(_plain(text), cv2.FONT_HERSHEY_SIMPLEX, size / 30, 1)
    return int(width)


def _write(pixels: NDArray[np.uint8], text: str, foot: tuple[int, int], size: int) -> None:
    cv2 = opencv.load("drawing results")
    if (font := _fonts().sans) is not None:
        cv2.putText(pixels, text, foot, INK, font, size, 500)
    else:
        face = cv2.FONT_HERSHEY_SIMPLEX
        cv2.putText(pixels, _plain(text), foot, face, size / 30, INK, 1, cv2.LINE_AA)

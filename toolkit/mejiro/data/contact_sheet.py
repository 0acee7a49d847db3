"""Draw pictures beside what augmentation makes of them, to look at before training."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mejiro.data.augment import augmentation_layer
from mejiro.data.augmentation import Augmentation
from mejiro.errors import UsageError
from mejiro.tensorflow import load_keras
from mejiro_runtime import opencv
from mejiro_runtime.files import replacing
from mejiro_runtime.kernels import Pixels
from mejiro_runtime.types import Label, PixelOrder

SUFFIXES = (".jpg", ".jpeg", ".png")
VERSIONS = 7
MAX_ROWS = 12
CELL = 144
GAP = 6
CAPTION = 18
MARGIN = 10
QUALITY = 85
_NAME: dict[str, Any] = {"size": 10, "weight": "bold", "color": "#1f2924"}
_SHARES: dict[str, Any] = {"size": 8, "color": "#66736c"}
_POINTS_PER_INCH = 72
# matplotlib's own font first; the others have what it has not, where they are installed.
_FONTS = (
    "DejaVu Sans",
    "Noto Sans CJK JP",
    "Noto Sans JP",
    "IPAexGothic",
    "Hiragino Sans",
    "Yu Gothic",
    "WenQuanYi Zen Hei",
    "Arial Unicode MS",
)


def write_contact_sheet(
    path: Path,
    pixels: NDArray[np.uint8],
    truth: Sequence[int],
    labels: Sequence[Label],
    augmentation: Augmentation,
    *,
    seed: int,
    order: PixelOrder = PixelOrder.RGB,
) -> None:
    """Write the JPEG or PNG `path`: each picture, and beside it what training would see of it.

    `pixels` is uint8 (N, H, W, C) with its channels in `order`, `truth` the index of each one's
    class in `labels`; up to `MAX_ROWS` of them are shown. What is mixed is mixed with the picture
    above, and its caption says the shares. The same seed gives the same sheet. Raises UsageError
    for another kind of file.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise UsageError(f"a contact sheet is a .jpg or .png file, found '{path.name}'")
    pixels, truth = pixels[:MAX_ROWS], truth[:MAX_ROWS]
    columns = [(_upright(pixels, order), [labels[index].short for index in truth])]
    layer = augmentation_layer(augmentation, seed=seed, order=order)
    to_numpy = load_keras().ops.convert_to_numpy
    one_hot = np.eye(len(labels), dtype=np.float32)[list(truth)]
    for _ in range(VERSIONS):
        made = layer({"images": pixels, "labels": one_hot}, training=True)
        images = np.rint(to_numpy(made["images"])).astype(np.uint8)
        shares = to_numpy(made["labels"])
        captions = [_caption(row, one_hot[index], labels) for index, row in enumerate(shares)]
        columns.append((_upright(images, order), captions))
    _draw(path, columns)


def _upright(pixels: NDArray[np.uint8], order: PixelOrder) -> NDArray[np.uint8]:
    """Return pixels in RGB order, (N, H, W, 3)."""
    if order is PixelOrder.GRAY:
        return np.repeat(pixels, 3, axis=3)
    return pixels[..., ::-1] if order is PixelOrder.BGR else pixels


def _caption(shares: NDArray[np.float32], before: NDArray[np.float32], labels: Any) -> str:
    """Return the shares of the classes in per cent, or nothing where they are as before."""
    if np.allclose(shares, before, atol=0.005):
        return ""
    parts = [index for index in np.argsort(-shares) if shares[index] >= 0.005]
    return ", ".join(f"{shares[index]:.0%} {labels[index].short}" for index in parts)


def _draw(path: Path, columns: Sequence[tuple[Pixels, Sequence[str]]]) -> None:
    """Write the sheet, whole or not at all; one column for each of `columns`."""
    from matplotlib.figure import Figure

    sides = columns[0][0].shape[1:3]
    cell_h, cell_w = (max(1, round(CELL * side / max(sides))) for side in sides)
    sheet_w = 2 * MARGIN + len(columns) * (cell_w + GAP) - GAP
    sheet_h = 2 * MARGIN + len(columns[0][1]) * (cell_h + CAPTION + GAP) - GAP
    canvas = np.full((sheet_h, sheet_w, 3), 255, np.uint8)
    figure = Figure((sheet_w / _POINTS_PER_INCH, sheet_h / _POINTS_PER_INCH))
    style: dict[str, Any] = {"family": _fonts(), "parse_math": False, "va": "center"}
    for column, (pixels, captions) in enumerate(columns):
        left = MARGIN + column * (cell_w + GAP)
        for row, caption in enumerate(captions):
            top = MARGIN + row * (cell_h + CAPTION + GAP)
            canvas[top : top + cell_h, left : left + cell_w] = _fit(pixels[row], cell_w, cell_h)
            figure.text(
                left / sheet_w,
                1 - (top + cell_h + CAPTION / 2) / sheet_h,
                _short(caption, cell_w),
                **(_NAME if column == 0 else _SHARES),
                **style,
            )
    figure.figimage(canvas, origin="upper")
    ending = path.suffix.lower().lstrip(".")
    options = {} if ending == "png" else {"quality": QUALITY}
    with replacing(path) as beside, warnings.catch_warnings():
        # A letter that no font has is drawn as a box, which says as much.
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        figure.savefig(
            beside, format=ending, dpi=_POINTS_PER_INCH, facecolor="white", pil_kwargs=options
        )


def _fonts() -> list[str]:
    """Return the names of those of `_FONTS` that are installed."""
    from matplotlib.font_manager import fontManager

    installed = {font.name for font in fontManager.ttflist}
    return [name for name in _FONTS if name in installed]


def _fit(pixels: Pixels, width: int, height: int) -> Pixels:
    cv2 = opencv.load("drawing a contact sheet")
    method = cv2.INTER_AREA if pixels.shape[0] > height else cv2.INTER_LINEAR
    fitted: Pixels = cv2.resize(pixels, (width, height), interpolation=method)
    return fitted


def _short(text: str, width: int) -> str:
    """Return `text` cut off where it would run into the next column."""
    most = width // 6
    return text if len(text) <= most else f"{text[: most - 1]}…"

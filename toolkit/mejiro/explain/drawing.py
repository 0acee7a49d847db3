"""Draw explanations as pictures: heat over a photograph with the answers, or a grid of maps."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mejiro.explain.explanation import Explanation
from mejiro.explain.heat import over_picture
from mejiro.explain.methods import Map, Method
from mejiro.explain.stages import STAGE_NAMES, strongest
from mejiro.explain.subject import Seen
from mejiro.report.palette import light
from mejiro.report.svg import POINTS_PER_INCH, plotting
from mejiro_runtime import opencv
from mejiro_runtime.files import replacing
from mejiro_runtime.kernels import Pixels
from mejiro_runtime.preprocess import Layout, TensorType, place, preprocess
from mejiro_runtime.types import Classification, PixelOrder

# All in units of a CSS pixel, of which a drawing has PIXELS_PER_UNIT by PIXELS_PER_UNIT.
WIDTH, MARGIN, GAP, PIXELS_PER_UNIT = 1080, 24, 20, 1.5
MAX_HEIGHT = 640
TITLE, CAPTION, ROW = 56, 30, 27
LEGEND_WIDTH = 76
QUALITY, GRID_QUALITY = 88, 80
# Equal steps of heat look equal in it, in grey print and to the colour-blind as well.
COLOURS = "inferno"
MAP_COLOURS = "viridis"
# How much of the photograph the greatest heat covers.
OPACITY = 0.8
DIMMED = 0.35  # what the model did not see
MAPS_A_ROW, MAP_ROWS, MAPS_OF_ONE_LAYER = 8, 2, 64
LONGEST_NAME = 46
# Where installed, for labels in letters that matplotlib's own font lacks.
OTHER_FONTS = (
    "Noto Sans CJK JP",
    "Noto Sans JP",
    "IPAexGothic",
    "Hiragino Sans",
    "Yu Gothic",
    "Noto Sans",
    "Arial Unicode MS",
)
_METHOD_NAMES = {
    Method.GRADCAM: "Grad-CAM",
    Method.GRADCAM_PLUS_PLUS: "Grad-CAM++",
    Method.OCCLUSION: "Occlusion",
    Method.FEATURES: "Feature maps",
}

NewFigure = Callable[[float, float], Any]


def write_drawing(path: Path, explanation: Explanation) -> None:
    """Write the JPEG file `path`, whole or not at all: heat over the picture, or a grid of maps."""
    with _canvas() as new_figure, replacing(path) as beside:
        grid = explanation.method is Method.FEATURES
        figure = (_draw_grid if grid else _draw_overlay)(new_figure, explanation)
        with warnings.catch_warnings():
            # A letter that no font has is drawn as a box; nothing can be done about it here.
            warnings.filterwarnings("ignore", message="Glyph .* missing from")
            figure.savefig(
                beside,
                format="jpg",
                dpi=POINTS_PER_INCH * PIXELS_PER_UNIT,
                pil_kwargs={"quality": GRID_QUALITY if grid else QUALITY},
            )


@contextmanager
def _canvas() -> Iterator[NewFigure]:
    """Give a function that makes an empty figure of (width, height) units, placed by hand."""
    with plotting(font_size=13) as new_figure:
        import matplotlib as mpl
        from matplotlib.font_manager import fontManager

        installed = set(fontManager.get_font_names())
        mpl.rcParams["font.sans-serif"] = [
            "DejaVu Sans",
            *(name for name in OTHER_FONTS if name in installed),
        ]

        def new(width: float, height: float) -> Any:
            figure = new_figure(round(width), round(height))
            figure.set_layout_engine("none")
            figure.set_facecolor(light("paper"))
            return figure

        yield new


def _axes(figure: Any, left: float, top: float, width: float, height: float) -> Any:
    """Return axes without a frame at a place in units, counted from the upper left corner."""
    whole_w, whole_h = (size * POINTS_PER_INCH for size in figure.get_size_inches())
    axes = figure.add_axes(
        (left / whole_w, 1 - (top + height) / whole_h, width / whole_w, height / whole_h)
    )
    axes.set_axis_off()
    return axes


def _write(figure: Any, left: float, top: float, text: str, **style: Any) -> None:
    """Write text with its upper left corner at a place in units."""
    whole_w, whole_h = (size * POINTS_PER_INCH for size in figure.get_size_inches())
    figure.text(left / whole_w, 1 - top / whole_h, text, **{"va": "top", **style})


def _draw_overlay(new_figure: NewFigure, explanation: Explanation) -> Any:
    rows, columns = explanation.pixels.shape[:2]
    width = (WIDTH - 2 * MARGIN - GAP - LEGEND_WIDTH) / 2
    height = min(width * rows / columns, MAX_HEIGHT)
    width = height * columns / rows
    answers = _answers(explanation)
    below = MARGIN + TITLE + height + CAPTION + GAP
    figure = new_figure(WIDTH, below + len(answers) * ROW + MARGIN)
    _draw_title(figure, explanation)
    size = (max(1, round(height * PIXELS_PER_UNIT)), max(1, round(width * PIXELS_PER_UNIT)))
    photograph = _resized(explanation.pixels, size)[..., ::-1]
    top = MARGIN + TITLE
    for left, image, caption in (
        (MARGIN, photograph, "the picture"),
        (MARGIN + width + GAP, overlay(explanation, size), _caption(explanation)),
    ):
        _axes(figure, left, top, width, height).imshow(image, aspect="auto")
        _write(figure, left, top + height + 7, caption, color=light("muted"))
    _draw_legend(figure, MARGIN + 2 * width + 2 * GAP, top, height)
    _draw_answers(figure, explanation, answers, below)
    return figure


def overlay(explanation: Explanation, size: tuple[int, int]) -> Pixels:
    """Return the picture in grey under its heat, uint8 RGB (rows, columns, 3) of `size`.

    The greatest heat has the last colour of `COLOURS`, whatever it is; what the model did not see
    of the picture is dimmed, and the border of what it saw is drawn.
    """
    rows, columns = explanation.pixels.shape[:2]
    heat = over_picture(explanation.heat, explanation.spec, rows, columns, size=size)
    greatest = float(heat.max())
    heat = heat / greatest if greatest > 0 else heat
    grey = _resized(explanation.pixels, size) @ np.array([0.114, 0.587, 0.299])
    where = place(explanation.spec, rows, columns)
    down, across = size[0] / rows, size[1] / columns
    inside = np.zeros(size, dtype=bool)
    y, x = slice(*_ends(where.y, where.height, down)), slice(*_ends(where.x, where.width, across))
    inside[y, x] = True
    grey = np.where(inside, grey, grey * DIMMED + 255 * (1 - DIMMED) * 0.35)
    mixed = _mix(grey, heat)
    if not inside.all():
        edge = inside.copy()
        edge[y, x][2:-2, 2:-2] = False
        mixed[edge] = 255
    return mixed


def _ends(start: int, length: int, scale: float) -> tuple[int, int]:
    return round(start * scale), round((start + length) * scale)


def _mix(grey: NDArray[np.float64], heat: Map) -> Pixels:
    """Return grey (0..255) covered by the colours of `heat` (0..1), the more the hotter."""
    import matplotlib as mpl

    colours = np.asarray(mpl.colormaps[COLOURS](heat))[..., :3] * 255
    share = (OPACITY * heat)[..., None]
    mixed = grey[..., None] * (1 - share) + colours * share
    pixels: Pixels = np.rint(mixed).clip(0, 255).astype(np.uint8)
    return pixels


def _resized(pixels: Pixels, size: tuple[int, int]) -> Pixels:
    """Return BGR `pixels` resized to (rows, columns)."""
    cv2 = opencv.load("drawing pictures")
    smaller = size[0] < pixels.shape[0]
    method = cv2.INTER_AREA if smaller else cv2.INTER_CUBIC
    resized: Pixels = cv2.resize(pixels, (size[1], size[0]), interpolation=method)
    return resized


def _draw_title(figure: Any, explanation: Explanation) -> None:
    _write(figure, MARGIN, MARGIN - 4, explanation.model, size=18, weight="bold")
    facts = [_METHOD_NAMES[explanation.method]]
    if explanation.layer:
        facts.append(f"layer {explanation.layer}")
    if explanation.computed:
        facts.append(explanation.computed)
    _write(figure, MARGIN, MARGIN + 24, "   ·   ".join(facts), color=light("muted"))


def _caption(explanation: Explanation) -> str:
    name = _shortened(explanation.label.short)
    if not explanation.heat.max() > 0:
        return f"nothing speaks for “{name}”"
    if explanation.method is Method.OCCLUSION:
        return f"where hiding takes most from “{name}”: {100 * explanation.heat.max():.2g} points"
    return f"what speaks for “{name}”"


def _draw_legend(figure: Any, left: float, top: float, height: float) -> None:
    """Draw the colours over mid-grey, as they lie on the picture."""
    steps = np.linspace(1, 0, 256, dtype=np.float32)[:, None]
    bar = _mix(np.full(steps.shape, 127.0), steps)
    _axes(figure, left, top, 16, height).imshow(bar, aspect="auto")
    _write(figure, left + 22, top, "most")
    _write(figure, left + 22, top + height, "none", va="bottom")


def _answers(explanation: Explanation) -> list[Classification]:
    """Return the best answers, and the class explained if it is not among them."""
    answers = list(explanation.top)
    if explanation.label.index not in {answer.label.index for answer in answers}:
        answers.append(Classification(explanation.label, explanation.score))
    return answers


def _draw_answers(
    figure: Any, explanation: Explanation, answers: list[Classification], top: float
) -> None:
    """Draw a line for each answer: its name, its probability, and that as a bar."""
    name_width = 400
    length = WIDTH - 2 * MARGIN - name_width - 70
    axes = _axes(figure, MARGIN + name_width, top, length, len(answers) * ROW)
    explained = [answer.label.index == explanation.label.index for answer in answers]
    colours = [light("leaf" if here else "moss") for here in explained]
    places = np.arange(len(answers)) + 0.5
    axes.barh(places, [answer.score for answer in answers], 0.62, color=colours)
    axes.barh(places, 1.0, 0.62, color=light("track"), zorder=0)
    axes.set_xlim(0, 1)
    axes.set_ylim(len(answers), 0)
    for place_y, answer, here in zip(places, answers, explained, strict=True):
        y = top + place_y * ROW
        weight = "bold" if here else "normal"
        name = _shortened(answer.label.short)
        _write(figure, MARGIN, y, name, va="center", weight=weight)
        _write(figure, WIDTH - MARGIN, y, f"{100 * answer.score:.1f}%", va="center", ha="right",
               weight=weight)  # fmt: skip


def _shortened(name: str) -> str:
    return name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1]}…"


def _draw_grid(new_figure: NewFigure, explanation: Explanation) -> Any:
    stages = explanation.stages
    alone = len(stages) == 1
    count = MAPS_OF_ONE_LAYER if alone else MAPS_A_ROW * MAP_ROWS
    view = _view(explanation)
    side = (WIDTH - 2 * MARGIN - (MAPS_A_ROW - 1) * 8) / MAPS_A_ROW
    cell = (side, side * view.shape[0] / view.shape[1])
    rows = [-(-min(count, seen.features.shape[2]) // MAPS_A_ROW) for seen in stages]
    picture = cell[1] * 1.6
    height = MARGIN + TITLE + picture + GAP
    height += sum(34 + n * (cell[1] + 22) + GAP for n in rows) + MARGIN
    figure = new_figure(WIDTH, height)
    _draw_title(figure, explanation)
    top = MARGIN + TITLE
    _axes(figure, MARGIN, top, cell[0] * 1.6, picture).imshow(view, aspect="auto")
    best = "\n".join(
        f"{_shortened(answer.label.short)}  {100 * answer.score:.1f}%"
        for answer in explanation.top[:3]
    )
    told = f"what the model is given; its answers:\n\n{best}"
    _write(figure, MARGIN + cell[0] * 1.6 + GAP, top, told, linespacing=1.5)
    note = "light: high, dark: low; each map has its own scale"
    _write(figure, WIDTH - MARGIN, top, note, ha="right", color=light("muted"))
    top += picture + GAP
    for number, (seen, lines) in enumerate(zip(stages, rows, strict=True)):
        name = "" if alone else f"{STAGE_NAMES[number if number < len(stages) - 1 else -1]}: "
        _draw_maps(figure, seen, name, top, cell, lines * MAPS_A_ROW)
        top += 34 + lines * (cell[1] + 22) + GAP
    return figure


def _draw_maps(
    figure: Any, seen: Seen, name: str, top: float, cell: tuple[float, float], count: int
) -> None:
    """Draw the strongest maps of one layer, under a line that says what they are."""
    height, width, channels = seen.features.shape
    shown = strongest(seen.features, count)
    what = f"{name}{seen.layer}"
    _write(figure, MARGIN, top, what, weight="bold", size=14)
    of_all = f"{len(shown)} of {channels} maps, {width}×{height} places"
    _write(figure, WIDTH - MARGIN, top, of_all, ha="right", color=light("muted"))
    for number, channel in enumerate(shown):
        left = MARGIN + (number % MAPS_A_ROW) * (cell[0] + 8)
        y = top + 28 + (number // MAPS_A_ROW) * (cell[1] + 22)
        axes = _axes(figure, left, y, *cell)
        axes.imshow(
            seen.features[..., channel], cmap=MAP_COLOURS, aspect="auto", interpolation="nearest"
        )
        _write(figure, left, y + cell[1] + 2, str(channel), size=10.5, color=light("muted"))


def _view(explanation: Explanation) -> Pixels:
    """Return what the model is given of the picture, uint8 RGB (height, width, 3)."""
    spec = replace(
        explanation.spec,
        order=PixelOrder.RGB,
        scale=(1.0,),
        offset=(0.0,),
        dtype=TensorType.UINT8,
        quantization=None,
        layout=Layout.NHWC,
    )
    view: Pixels = preprocess(explanation.pixels, PixelOrder.BGR, spec)[0]
    return view

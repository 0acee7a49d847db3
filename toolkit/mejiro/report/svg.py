"""Turn matplotlib's drawings into SVG that belongs to the page around it."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from mejiro.report.elements import Figure
from mejiro.report.palette import PALETTE, light

POINTS_PER_INCH = 72


@dataclass(frozen=True)
class Layout:
    """Say how large a drawing is: `width` and `font_size` in CSS pixels."""

    name: str
    width: int
    font_size: float

    @property
    def narrow(self) -> bool:
        """Whether this is for a phone."""
        return self.width < 600


WIDE = Layout("wide", 880, 14)
NARROW = Layout("narrow", 350, 13)

Draw = Callable[[Any, Layout], None]


def draw_figure(
    draw: Draw, height: Callable[[Layout], int], *, name: str, description: str, caption: str = ""
) -> Figure:
    """Return what `draw` puts on a matplotlib figure, laid out for wide and narrow screens.

    `draw` gets an empty figure and the layout; `height` tells its height in CSS pixels. `name`
    is unique in the page: it keeps the drawing's inner names apart from those of others.
    """
    images = [_render(draw, layout, height(layout), name) for layout in (WIDE, NARROW)]
    return Figure(wide=images[0], narrow=images[1], description=description, caption=caption)


def _render(draw: Draw, layout: Layout, height: int, name: str) -> Markup:
    with plotting(layout.font_size) as new_figure:
        figure = new_figure(layout.width, height)
        draw(figure, layout)
        stream = io.StringIO()
        with warnings.catch_warnings():
            # Text stays text: the reader's fonts draw what matplotlib's has no glyph for.
            warnings.filterwarnings("ignore", "Glyph .* missing from font", UserWarning)
            # Without a date the same numbers give the same page.
            figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None})
    # The text of labels was escaped by matplotlib's XML writer, which made all of this.
    return Markup(embed(stream.getvalue(), f"{name}-{layout.name}"))  # noqa: S704


@contextmanager
def plotting(font_size: float) -> Iterator[Callable[[int, int], Any]]:
    """Give a function that makes a matplotlib figure of (width, height) in CSS pixels.

    Within the block matplotlib draws in the style of the pages; neither its global state nor a
    display takes part.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure as Canvas

    style: dict[Any, Any] = {
        "axes.edgecolor": light("rule"),
        "axes.facecolor": "none",
        "axes.labelcolor": light("muted"),
        "axes.spines.left": False,
        "axes.spines.right": False,
        "axes.spines.top": False,
        "figure.facecolor": "none",
        "font.family": "sans-serif",
        "font.sans-serif": ["DejaVu Sans"],
        "font.size": font_size,
        "axes.labelsize": font_size,
        "legend.fontsize": font_size,
        "legend.frameon": False,
        "svg.fonttype": "none",
        "svg.hashsalt": "mejiro",
        # A label is no formula, whatever it holds.
        "text.parse_math": False,
        "text.color": light("ink"),
        "xtick.color": light("rule"),
        "xtick.labelcolor": light("muted"),
        "ytick.color": light("rule"),
        "ytick.labelcolor": light("ink"),
        "xtick.labelsize": font_size,
        "ytick.labelsize": font_size,
        "ytick.left": False,
    }
    with mpl.rc_context(style):
        yield lambda width, height: Canvas(
            figsize=(width / POINTS_PER_INCH, height / POINTS_PER_INCH), layout="constrained"
        )


def embed(svg: str, prefix: str) -> str:
    """Return an SVG document as an element of a page.

    Colours of the palette become CSS variables, inner names get `prefix`, the font is the
    page's, and the drawing takes the width that it is given.
    """
    element = svg[svg.index("<svg") :].strip()
    element = re.sub(r"<metadata>.*?</metadata>", "", element, flags=re.DOTALL)
    element = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", element, count=1)
    element = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", element, count=1)
    element = re.sub(r"font-family: [^;\"]*;? ?", "", element)
    # The shorthand names a family as well, which only its longhand can leave out.
    element = re.sub(
        r"font: (?:(\d{3}|bold) )?([\d.]+px) [^;\"]*",
        lambda found: f"font-size: {found[2]}" + (f"; font-weight: {found[1]}" if found[1] else ""),
        element,
    )
    element = re.sub(r'(\bid=")', rf"\1{prefix}-", element)
    element = re.sub(r'((?:xlink:)?href="#)', rf"\1{prefix}-", element)
    element = re.sub(r"(url\(#)", rf"\1{prefix}-", element)
    for name, (colour, _) in PALETTE.items():
        element = re.sub(re.escape(colour), f"var(--{name})", element, flags=re.IGNORECASE)
    return element.replace("<svg", '<svg aria-hidden="true"', 1)

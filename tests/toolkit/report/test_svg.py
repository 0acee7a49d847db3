"""Check that a drawing becomes a part of the page around it."""

from __future__ import annotations

import re
from typing import Any
from xml.etree import ElementTree

from mejiro.report.elements import Figure
from mejiro.report.palette import PALETTE, light
from mejiro.report.svg import NARROW, WIDE, Layout, draw_figure, embed

NAMED = re.compile(r'\bid="([^"]+)"')
USED = re.compile(r'(?:href="|url\()#([^")]+)')


def draw(figure: Any, layout: Layout) -> None:
    axes = figure.subplots()
    axes.plot([0, 1, 2], [0, 2, 1], color=light("leaf"), marker="o")
    axes.set_title("a < b & $c$ <script>alert(1)</script>")


def drawn(name: str = "line") -> Figure:
    return draw_figure(draw, lambda layout: 120, name=name, description="a line")


def test_both_layouts_have_their_own_width_and_take_the_page_s() -> None:
    figure = drawn()
    for image, layout in ((figure.wide, WIDE), (figure.narrow, NARROW)):
        root = ElementTree.fromstring(str(image))
        assert root.get("viewBox") == f"0 0 {layout.width} 120"
        assert root.get("width") is None
        assert root.get("height") is None
        assert root.get("aria-hidden") == "true"


def test_colours_follow_the_theme() -> None:
    for image in (drawn().wide, drawn().narrow):
        assert "var(--leaf)" in image
        for name, (colour, _) in PALETTE.items():
            assert colour not in image, name


def test_text_stays_text_and_is_escaped() -> None:
    image = str(drawn().wide)
    assert "<script" not in image
    root = ElementTree.fromstring(image)
    texts = [node.text for node in root.iter("{http://www.w3.org/2000/svg}text")]
    assert "a < b & $c$ <script>alert(1)</script>" in texts
    assert "DejaVu" not in image


def test_inner_names_are_unique_in_a_page_and_found() -> None:
    seen: set[str] = set()
    for figure in (drawn("one"), drawn("two")):
        for image in (figure.wide, figure.narrow):
            names = set(NAMED.findall(image))
            assert names
            assert not names & seen
            assert set(USED.findall(image)) <= names
            seen |= names


def test_the_same_numbers_give_the_same_drawing() -> None:
    assert drawn() == drawn()


def test_font_shorthand_loses_its_family_only() -> None:
    svg = '<svg width="1pt"><text style="font: 700 12px \'DejaVu Sans\'; fill: red">x</text></svg>'
    assert embed(svg, "p") == (
        '<svg aria-hidden="true"><text style="font-size: 12px; font-weight: 700; fill: red">x'
        "</text></svg>"
    )


def test_global_settings_of_matplotlib_stay_as_they_were() -> None:
    import matplotlib as mpl

    before = dict(mpl.rcParams)
    drawn()
    assert dict(mpl.rcParams) == before

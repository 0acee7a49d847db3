"""Check that colours can be told apart and text can be read, on light screens and dark ones."""

from __future__ import annotations

import pytest

from mejiro.report.palette import PALETTE, style_variables

TEXT = ("ink", "muted", "leaf", "clay", "sky")


def luminance(colour: str) -> float:
    """Return the relative luminance of ``#rrggbb``, as WCAG 2.2 defines it."""
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    """Return the contrast ratio of two colours, 1 to 21."""
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_the_ruler_is_right() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)


@pytest.mark.parametrize("name", TEXT)
@pytest.mark.parametrize("theme", [0, 1])
@pytest.mark.parametrize("ground", ["paper", "panel"])
def test_text_can_be_read(name: str, theme: int, ground: str) -> None:
    assert contrast(PALETTE[name][theme], PALETTE[ground][theme]) >= 4.5


def test_a_plot_colour_stands_for_one_name() -> None:
    lights = [pair[0] for pair in PALETTE.values()]
    assert len(set(lights)) == len(lights)


def test_both_themes_set_every_colour() -> None:
    for dark in (False, True):
        text = style_variables(dark=dark)
        for name, pair in PALETTE.items():
            assert f"--{name}: {pair[dark]};" in text

"""Name the colours of pages and plots, once, for light screens and dark ones.

Plots are drawn by matplotlib in the light colours; in an SVG each is then replaced by the name
of its CSS variable, so that a plot in a page follows the reader's setting.
"""

from __future__ import annotations

# Name -> (light, dark). All light colours differ, since they stand for their names in plots.
# Text has a contrast of 4.5 : 1 or more against `paper` and `panel`, in both (WCAG 2.2, AA).
PALETTE: dict[str, tuple[str, str]] = {
    "paper": ("#fdfdfb", "#141613"),
    "panel": ("#f4f5f0", "#1d201b"),
    "rule": ("#dfe2d9", "#343930"),
    "ink": ("#1c211a", "#e9ece3"),
    "muted": ("#5e665a", "#a3ab9c"),
    "leaf": ("#567617", "#a9c964"),
    "moss": ("#c3d18f", "#566b2a"),
    "sky": ("#2f6f93", "#79b8d9"),
    "clay": ("#a84d28", "#e39a75"),
    "track": ("#e8ebe1", "#2a2e27"),
}


def light(name: str) -> str:
    """Return the colour `name` as plots use it."""
    return PALETTE[name][0]


def style_variables(dark: bool) -> str:
    """Return CSS declarations of all colours."""
    return " ".join(f"--{name}: {pair[dark]};" for name, pair in PALETTE.items())

"""Render pages: self-contained, light and dark, on a phone or a wide screen, without a script.

A page extends `page.html` of this package and uses the macros of `components.html`; the page's
own template lies in the package that knows its content.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mejiro import __version__
from mejiro.report.elements import Tone
from mejiro.report.palette import style_variables
from mejiro_runtime.files import replacing

_SHELL = "mejiro.report"


@dataclass(frozen=True)
class Page:
    """Hold what stands around a page's content; `kind` says what sort of page it is."""

    title: str
    kind: str
    footer: str


def render_page(template: str, *, package: str, page: Page, content: Mapping[str, Any]) -> str:
    """Return the HTML of `template`, which lies in the folder `templates` of `package`.

    Whatever the template asks for has to be in `content`; its text is escaped, `Markup` is not.
    """
    from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=ChoiceLoader([PackageLoader(package), PackageLoader(_SHELL)]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["Tone"] = Tone
    shell = {
        "title": page.title,
        "kind": page.kind,
        "footer": page.footer,
        "version": __version__,
        "light": style_variables(dark=False),
        "dark": style_variables(dark=True),
    }
    return environment.get_template(template).render({**content, **shell}) + "\n"


def write_page(path: Path, html: str) -> None:
    """Write a page to `path`, whole or not at all."""
    with replacing(path) as beside:
        beside.write_text(html, encoding="utf-8")

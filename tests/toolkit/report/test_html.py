"""Check that pages hold what they show, escape what they are given, and reach for nothing."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from types import ModuleType

import pytest
from markupsafe import Markup

from mejiro.report.elements import Bar, Cell, Column, Fact, Figure, Tone, table
from mejiro.report.html import Page, render_page, write_page

HOSTILE = "<script>alert(1)</script>\"'&"
PAGE = Page(title=HOSTILE, kind="test", footer="the end")
TEMPLATE = """
{% extends "page.html" %}
{% import "components.html" as draw %}
{% block content %}
{{ draw.facts(facts) }}{{ draw.table(table) }}{{ draw.figure(figure) }}
{{ draw.bars(bars) }}{{ draw.details(details) }}
{% endblock %}
"""
# Attributes that make a browser fetch something.
FETCHING = {"src", "href", "xlink:href", "srcset", "poster", "action", "data"}


class Outline(HTMLParser):
    """Collect a page's elements, its text, and what it would fetch; check that tags match."""

    VOID = frozenset({"meta", "link", "img", "br"})

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.fetched: list[str] = []
        self.text: list[str] = []
        self._open: list[str] = []
        self.feed(html)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.fetched += [value or "" for name, value in attrs if name in FETCHING]
        if tag not in self.VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.fetched += [value or "" for name, value in attrs if name in FETCHING]

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Return the name of a package that has a template of its own."""
    name = f"page_of_{tmp_path.name.replace('-', '_')}"
    (tmp_path / name / "templates").mkdir(parents=True)
    (tmp_path / name / "__init__.py").write_text("")
    (tmp_path / name / "templates" / "test.html").write_text(TEMPLATE)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield name
    sys.modules.pop(name, ModuleType(name))


def content() -> dict[str, object]:
    return {
        "facts": [Fact("3.2", "ms", HOSTILE, "a note")],
        "table": table(
            [Column("file"), Column("size", "MB", numeric=True)],
            [[Cell(HOSTILE, HOSTILE), Cell("5.3", tone=Tone.GOOD)]],
            caption=HOSTILE,
        ),
        "figure": Figure(Markup("<svg></svg>"), Markup("<svg></svg>"), HOSTILE, "caption"),
        "bars": [Bar(HOSTILE, 0.5, "50%", Tone.GOOD)],
        "details": [(HOSTILE, HOSTILE)],
    }


def test_a_page_is_well_formed_and_escapes_what_it_is_given(package: str) -> None:
    html = render_page("test.html", package=package, page=PAGE, content=content())
    outline = Outline(html)
    assert "script" not in outline.tags
    assert "".join(outline.text).count(HOSTILE) == 9
    assert outline.tags.count("svg") == 3


def test_a_page_fetches_nothing_and_says_so(package: str) -> None:
    html = render_page("test.html", package=package, page=PAGE, content=content())
    assert all(place.startswith(("data:", "#")) for place in Outline(html).fetched)
    assert "default-src 'none'" in html
    assert "@import" not in html
    assert "url(" not in html


def test_a_value_that_is_not_given_is_an_error(package: str) -> None:
    from jinja2 import UndefinedError

    given = content()
    del given["bars"]
    with pytest.raises(UndefinedError, match="bars"):
        render_page("test.html", package=package, page=PAGE, content=given)


def test_a_page_follows_the_reader_s_theme(package: str) -> None:
    html = render_page("test.html", package=package, page=PAGE, content=content())
    assert "@media (prefers-color-scheme: dark) { :root { --paper: #141613;" in html


def test_a_page_that_cannot_be_written_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "report.html"
    write_page(path, "old")

    def fail(*args: object, **kwargs: object) -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr(Path, "write_text", fail)
    with pytest.raises(OSError, match="full"):
        write_page(path, "new")
    monkeypatch.undo()
    assert path.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["report.html"]

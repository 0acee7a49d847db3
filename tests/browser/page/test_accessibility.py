"""Axe finds nothing to object to: in light and dark, in both languages, with the sheets open."""

from __future__ import annotations

from typing import Any

import pytest

from tests.browser.page.conftest import Opened, OpenPage
from tests.browser.page.standing_in import FAILED

pytestmark = [pytest.mark.browser, pytest.mark.requires_tool("chromium")]


def violations(opened: Opened) -> list[tuple[str, list[str]]]:
    """Return the rules that are broken, each with the elements that break it."""
    axe_module = pytest.importorskip("axe_playwright_python.sync_playwright")
    # Sheets slide in; colours are judged when they have.
    opened.page.wait_for_timeout(250)
    found: dict[str, Any] = axe_module.Axe().run(opened.page).response
    return [
        (one["id"], [node["html"][:120] for node in one["nodes"]]) for one in found["violations"]
    ]


@pytest.mark.parametrize(("scheme", "language"), [("light", "en-GB"), ("dark", "ja-JP")])
def test_nothing_keeps_anyone_out(open_page: OpenPage, scheme: str, language: str) -> None:
    viewport = {"width": 390, "height": 844}
    context = {"color_scheme": scheme, "locale": language, "viewport": viewport}
    opened = open_page(task="detection", context=context)
    assert violations(opened) == []
    opened.page.click("#start-camera")
    opened.wait("running")
    opened.until("mejiro.results")
    assert violations(opened) == []
    opened.page.click("#open-latency")
    opened.until("document.querySelectorAll('#stages tr').length > 3")
    assert violations(opened) == []
    opened.page.click("#close-latency")
    opened.page.click("#open-settings")
    assert violations(opened) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nor_do_problems(open_page: OpenPage, scheme: str) -> None:
    context = {"color_scheme": scheme, "viewport": {"width": 844, "height": 390}}
    opened = open_page(verification=FAILED, context=context)
    assert violations(opened) == []

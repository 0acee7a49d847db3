"""Give tests pages of stand-in sites, watched for errors on the console."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.browser.page.standing_in import Host, hosting, write_page

# Browsers write the first for every answer that is no success, however it is handled.
NOT_OURS = re.compile(
    r"Failed to load resource|blocked by Playwright|willReadFrequently|No available adapters"
)


@dataclass
class Opened:
    """Hold a page with the host it came from, and what it complained of."""

    page: Any
    host: Host
    complaints: list[str] = field(default_factory=list)

    def wait(self, state: str) -> None:
        """Wait until the page is in `state`."""
        self.page.wait_for_selector(f"html[data-state={state}]", state="attached")

    def until(self, expression: str) -> Any:
        """Wait until JavaScript gives something true; the page's policy forbids `eval` for it."""
        from playwright.sync_api import Error

        for _ in range(300):
            try:
                if found := self.page.evaluate(expression):
                    return found
            except Error as error:  # it may be loading again
                if "context was destroyed" not in str(error):
                    raise
            self.page.wait_for_timeout(50)
        pytest.fail(f"never came true: {expression}")

    def text(self, selector: str) -> str:
        """Return what stands in an element."""
        return str(self.page.inner_text(selector))


OpenPage = Callable[..., Opened]


@pytest.fixture
def open_page(chromium: Any, tmp_path: Path) -> Iterator[OpenPage]:
    """Return a function that writes a stand-in site, opens it, and waits for a state.

    `offline` lets the service worker do its work; `script` runs before the page's own.

    What the page complains of on the console fails the test, unless it says otherwise.
    """
    with ExitStack() as stack:
        pages: list[Opened] = []

        def open_it(
            query: str = "",
            *,
            state: str = "ready",
            isolated: bool = True,
            browser: Any = chromium,
            script: str = "",
            context: dict[str, Any] | None = None,
            offline: bool = False,
            **plan: Any,
        ) -> Opened:
            folder = tmp_path / f"site{len(pages)}"
            write_page(folder, **plan)
            host = stack.enter_context(hosting(folder, isolated=isolated))
            # Only tests of the service worker wait for it.
            workers = "allow" if offline else "block"
            options = {"locale": "en-GB", "service_workers": workers, **(context or {})}
            made = browser.new_context(**options)
            stack.callback(made.close)
            # Browsers take seconds over it.
            made.add_init_script("delete Performance.prototype.measureUserAgentSpecificMemory;")
            if script:
                made.add_init_script(script)
            opened = Opened(made.new_page(), host)
            pages.append(opened)
            watch(opened)
            opened.page.goto(host.url + query)
            if state:
                opened.wait(state)
            return opened

        yield open_it
        complaints = [said for opened in pages for said in opened.complaints]
        assert not complaints


def watch(opened: Opened) -> None:
    """Gather what the page complains of."""

    def said(message: Any) -> None:
        if message.type in ("error", "warning") and not NOT_OURS.search(message.text):
            opened.complaints.append(message.text)

    opened.page.on("console", said)
    opened.page.on("pageerror", lambda error: opened.complaints.append(str(error)))

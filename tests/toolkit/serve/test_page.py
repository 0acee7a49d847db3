"""The page itself runs in Chromium from this server, on loopback and beyond."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from mejiro.serve import (
    Received,
    ReportBox,
    ServeOptions,
    SiteServer,
    own_identity,
    read_contents,
)

pytestmark = [
    pytest.mark.browser,
    pytest.mark.requires_tool("chromium"),
    pytest.mark.slow,
]


@pytest.mark.parametrize("beyond", [False, True])
def test_the_page_runs_and_reports(
    chromium: Any, tiny_site: Path, tmp_path: Path, beyond: bool
) -> None:
    received: list[Received] = []
    identity = own_identity(["localhost", "127.0.0.1"], tmp_path / "keys")
    options = ServeOptions(
        host="0.0.0.0" if beyond else "127.0.0.1",
        tls=identity.context() if beyond else None,
        reports=ReportBox(tmp_path / "reports"),
        on_report=received.append,
    )
    # Chromium has nobody who would accept the certificate.
    context = chromium.new_context(ignore_https_errors=beyond)
    said: list[str] = []
    with SiteServer(read_contents(tiny_site), options) as server:
        page = context.new_page()
        page.on("console", lambda line: said.append(line.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        scheme = "https" if beyond else "http"
        token = f"&token={server.access.token}" if beyond else ""
        page.goto(f"{scheme}://127.0.0.1:{server.port}/?source=golden&frames=8&report=auto{token}")
        page.wait_for_selector("html[data-state=stopped]", state="attached", timeout=60_000)
        deadline = time.monotonic() + 30
        while not received and time.monotonic() < deadline:
            page.wait_for_timeout(20)
        assert "token" not in page.url
        assert page.evaluate("crossOriginIsolated") is True
        manifest = page.evaluate("fetch('app.webmanifest').then((one) => one.json())")
        assert manifest["start_url"]
        context.close()
    assert [one for one in said if "Content Security Policy" in one] == []
    (report,) = received
    assert report.passed
    assert json.loads(report.path.read_text())["frames"] == 8

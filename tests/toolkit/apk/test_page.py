"""Run the page straight out of a package in Chromium, at the address it has in a WebView."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mejiro.apk import ApkOptions, write_apk
from mejiro.apk.keys import Key
from tests.toolkit.apk.webview import HOST, serving_package, smali_text

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.requires_tool("chromium")]
ORIGIN = f"https://{HOST}"


@pytest.fixture(scope="module")
def webview(
    start_chromium: Callable[..., Any],
    tiny_site: Path,
    key: Key,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Any]:
    """Return a browser for which the one host is a package's assets, and there is no other."""
    folder = tmp_path_factory.mktemp("app")
    apk = write_apk(tiny_site, folder / "colours.apk", ApkOptions(key))
    with serving_package(apk.path, folder) as address:
        browser = start_chromium(
            f"--host-resolver-rules=MAP {HOST} {address}, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"
        )
        yield browser


def _wait(page: Any, expression: str) -> Any:
    for _ in range(600):
        if found := page.evaluate(expression):
            return found
        page.wait_for_timeout(50)
    return pytest.fail(f"never came true: {expression}; {page.inner_text('body')[:300]}")


@pytest.fixture
def page(webview: Any) -> Iterator[Any]:
    """Return the page, ready: its model is loaded, and gave the golden answers."""
    # As in a WebView: no service worker, and nobody to share with.
    context = webview.new_context(ignore_https_errors=True, service_workers="block")
    for name in ("share", "canShare"):
        context.add_init_script(f"delete Navigator.prototype.{name};")
    page = context.new_page()
    page.goto(f"{ORIGIN}/?lang=en")
    _wait(page, "['ready', 'error'].includes(document.documentElement.dataset.state)")
    assert page.evaluate("document.documentElement.dataset.state") == "ready"
    yield page
    context.close()


def test_the_page_runs_out_of_the_package(page: Any) -> None:
    assert page.evaluate("[isSecureContext, crossOriginIsolated, location.origin]") == [
        True,
        False,
        ORIGIN,
    ]
    page.click("#start-golden")
    _wait(page, "window.mejiro.report()?.frames > 3 || window.mejiro.results !== null")
    assert page.evaluate("window.mejiro.model.info.threads") == 1
    page.evaluate("document.getElementById('toggle').click()")


def test_the_camera_runs_too(page: Any) -> None:
    page.click("#start-camera")
    _wait(page, "document.documentElement.dataset.state === 'running'")
    _wait(page, "window.mejiro.results !== null")


def test_nothing_but_the_package_is_reached(page: Any) -> None:
    reached = page.evaluate(
        """async () => {
            const answers = [];
            for (const url of ["api/host", "sw.js", "js/page.js"])
                answers.push((await fetch(url)).status);
            const post = await fetch("api/reports", { method: "POST", body: "{}" });
            return [...answers, post.status];
        }"""
    )
    assert reached == [404, 404, 200, 405]


def test_a_report_is_saved_by_way_of_a_data_address(page: Any) -> None:
    """In a WebView both downloads reach the shell's Saver, which has the page make the second."""
    page.click("#start-golden")
    _wait(page, "window.mejiro.results !== null")
    page.evaluate("document.getElementById('toggle').click()")
    with page.expect_download() as first:
        page.evaluate("document.getElementById('share-report').click()")
    assert first.value.url.startswith(f"blob:{ORIGIN}/")
    report = Path(first.value.path()).read_bytes()
    assert json.loads(report)["kind"] == "browser"

    script = "fetch(" + json.dumps(first.value.url) + smali_text("Saver", ").then(")
    with page.expect_download() as second:
        page.evaluate(f"() => {{ {script} }}")
    head, _, data = second.value.url.partition(",")
    assert head == "data:application/json;base64"
    assert base64.b64decode(data) == report

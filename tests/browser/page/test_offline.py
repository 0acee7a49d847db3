"""The page is kept for use without a network, whole or not at all, and installs as an app."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.browser.page.conftest import Opened, OpenPage
from tests.browser.page.standing_in import hosting, write_page

pytestmark = [pytest.mark.browser, pytest.mark.requires_tool("chromium")]

KEPT = """async () => {
  const found = {};
  for (const name of await caches.keys()) {
    const cache = await caches.open(name);
    const paths = (await cache.keys()).map(({ url }) => new URL(url).pathname.slice(1));
    found[name.split(" ").at(-1)] = paths;
  }
  return found;
}"""


def kept(opened: Opened) -> dict[str, list[str]]:
    """Return the paths that are kept, by version."""
    return dict(opened.page.evaluate(KEPT))


def wait_until_kept(opened: Opened, version: str) -> None:
    """Wait until this version is all that is kept, with the model."""
    for _ in range(200):
        found = kept(opened)
        if list(found) == [version] and "model/golden.bin" in found[version]:
            return
        opened.page.wait_for_timeout(50)
    pytest.fail(f"{version} is not kept, but {list(found)}")


def version_of(opened: Opened) -> str:
    """Return the version that the page runs."""
    return str(opened.page.evaluate("mejiro.site.version"))


def test_it_opens_again_without_a_network(open_page: OpenPage) -> None:
    opened = open_page("?source=golden", state="running", offline=True)
    wait_until_kept(opened, version_of(opened))
    opened.page.context.set_offline(True)
    opened.page.reload()
    opened.wait("running")
    opened.until("mejiro.results")
    assert opened.page.evaluate("navigator.serviceWorker.controller !== null")


def test_only_the_engine_in_use_is_kept_and_no_call_of_the_host(open_page: OpenPage) -> None:
    opened = open_page("?source=golden", state="running", offline=True)
    opened.page.click("#open-latency")
    opened.page.click("#send-report")
    opened.until("document.querySelector('#report-state').textContent")
    version = version_of(opened)
    wait_until_kept(opened, version)
    paths = kept(opened)[version]
    assert {"engine/simd.wasm", "model/flowers.tflite", "LICENSES/page.txt", "index.html"} < set(
        paths
    )
    assert "engine/compat.wasm" not in paths
    assert not [path for path in paths if path.startswith("api/")]
    # The other one is kept once it is asked for.
    answer = opened.page.evaluate("fetch('engine/compat.wasm').then((found) => found.text())")
    assert answer == "another"
    assert "engine/compat.wasm" in kept(opened)[version]
    # Nothing was fetched twice, on the first visit neither.
    assert opened.host.paths.count("/model/flowers.tflite") == 1
    assert opened.host.paths.count("/engine/simd.wasm") == 1


def test_a_token_reaches_the_host(open_page: OpenPage) -> None:
    opened = open_page(offline=True)
    wait_until_kept_lazily(opened, version_of(opened))
    opened.page.goto(f"{opened.host.url}?token=new")
    opened.wait("ready")
    assert opened.host.paths.count("/?token=new") == 1
    opened.page.context.set_offline(True)
    opened.page.goto(f"{opened.host.url}?token=old")
    opened.wait("ready")


def test_a_host_without_headers_is_isolated_by_the_service_worker(open_page: OpenPage) -> None:
    opened = open_page(isolated=False, offline=True)
    opened.until("window.crossOriginIsolated")
    opened.wait("ready")
    assert opened.page.evaluate("mejiro.model.info.isolated") is True


def test_a_new_version_takes_over_while_nothing_runs(open_page: OpenPage) -> None:
    opened = open_page(offline=True)
    old = version_of(opened)
    opened.until("navigator.serviceWorker.controller !== null")
    new = write_page(opened.host.folder, infer_ms=6)
    opened.page.reload()
    opened.until(f"window.mejiro?.site?.version === '{new}'")
    opened.wait("ready")
    wait_for_versions(opened, [new])
    assert old != new


def wait_for_versions(opened: Opened, versions: list[str]) -> None:
    """Wait until exactly these versions are kept."""
    for _ in range(200):
        if sorted(kept(opened)) == sorted(versions):
            return
        opened.page.wait_for_timeout(50)
    pytest.fail(f"kept are {sorted(kept(opened))}, not {versions}")


def test_a_run_is_not_disturbed_by_a_new_version(open_page: OpenPage) -> None:
    opened = open_page("?source=golden", state="running", offline=True)
    old = version_of(opened)
    wait_until_kept(opened, old)
    new = write_page(opened.host.folder, infer_ms=6)
    opened.page.reload()
    opened.wait("running")
    opened.page.wait_for_selector("#notice-update")
    assert version_of(opened) == old
    assert opened.text("#notice-update p") == "A new version is ready."
    # What the old one used is there for the new one before it takes over.
    assert "model/flowers.tflite" in kept(opened)[new]
    opened.page.click("#notice-update-button")
    opened.until(f"window.mejiro?.site?.version === '{new}'")
    wait_for_versions(opened, [new])


@pytest.mark.parametrize("damaged", ["js/loop.js", "engine/simd.wasm"])
def test_a_version_that_is_not_whole_never_takes_over(open_page: OpenPage, damaged: str) -> None:
    opened = open_page(offline=True)
    old = version_of(opened)
    wait_until_kept_lazily(opened, old)
    write_page(opened.host.folder, infer_ms=6)
    with (opened.host.folder / damaged).open("ab") as file:
        file.write(b"\n")
    site = json.loads((opened.host.folder / "site.json").read_text())
    # A file that is the same as before is not fetched again; this one is said to be new.
    site["files"][damaged]["sha256"] = "0" * 64
    (opened.host.folder / "site.json").write_text(json.dumps(site))
    opened.page.reload()
    opened.wait("ready")
    opened.page.wait_for_timeout(800)
    assert version_of(opened) == old
    opened.page.reload()
    opened.wait("ready")
    assert version_of(opened) == old


def wait_until_kept_lazily(opened: Opened, version: str) -> None:
    """Wait until this version is kept with its engine."""
    for _ in range(200):
        if "engine/simd.wasm" in kept(opened).get(version, []):
            return
        opened.page.wait_for_timeout(50)
    pytest.fail(f"{version} is not kept")


def test_a_page_without_service_workers_works(open_page: OpenPage) -> None:
    script = "delete Navigator.prototype.serviceWorker;"
    opened = open_page("?source=golden", state="running", offline=True, script=script)
    opened.until("mejiro.results")
    assert opened.page.evaluate("'serviceWorker' in navigator") is False


def test_it_installs_as_an_app(chromium: Any, tmp_path: Path) -> None:
    folder = tmp_path / "site"
    write_page(folder)
    # A context as other tests have it counts as private browsing, where nothing is installed.
    profile = chromium.browser_type.launch_persistent_context(
        tmp_path / "profile", executable_path=shutil.which("chromium"), args=["--no-sandbox"]
    )
    with profile, hosting(folder) as host:
        page = profile.new_page()
        page.goto(host.url)
        page.wait_for_selector("html[data-state=ready]", state="attached")
        session = profile.new_cdp_session(page)
        assert session.send("Page.getInstallabilityErrors")["installabilityErrors"] == []
        found = session.send("Page.getAppManifest")
    assert found["errors"] == []
    manifest = json.loads(found["data"])
    assert manifest["name"] == "Flowers"
    assert manifest["display"] == "standalone"
    for icon in manifest["icons"]:
        path = folder / icon["src"]
        assert path.is_file()
        if icon["sizes"] != "any":
            width = int.from_bytes(path.read_bytes()[16:20], "big")
            assert icon["sizes"] == f"{width}x{width}"

"""The page with its real core: a camera made of a photograph, offline, and under its own policy."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import pytest

from mejiro.data.samples import read_sample
from mejiro.report.devices import parse_report
from mejiro_runtime.bundle import open_bundle
from mejiro_runtime.model import open_model
from mejiro_runtime.types import Frame, PixelOrder
from tests.browser.page.conftest import Opened
from tests.browser.page.standing_in import hosting

pytestmark = [pytest.mark.browser, pytest.mark.requires_tool("chromium")]

WIDTH, HEIGHT = 640, 480
WATCH = """
  window.violations = [];
  document.addEventListener("securitypolicyviolation", (event) => {
    violations.push(`${event.violatedDirective} ${event.blockedURI}`);
  });
"""


@pytest.fixture(scope="module")
def photograph() -> Any:
    """Return a photograph, (HEIGHT, WIDTH, 3), BGR."""
    sample = read_sample("coffee")
    return cv2.resize(sample.pixels, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)


@pytest.fixture(scope="module")
def camera(
    start_chromium: Callable[..., Any], photograph: Any, tmp_path_factory: pytest.TempPathFactory
) -> Any:
    """Return a browser whose camera sees the photograph."""
    path = tmp_path_factory.mktemp("camera") / "coffee.mjpeg"
    data = cv2.imencode(".jpg", photograph, [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()
    path.write_bytes(data * 4)
    return start_chromium(f"--use-file-for-fake-video-capture={path.resolve()}")


@pytest.fixture
def opened(camera: Any, tiny_site: Path) -> Iterator[Opened]:
    """Return a page of the tiny classifier, not opened yet, with a host that takes reports."""
    with (
        hosting(tiny_site) as host,
        camera.new_context(locale="en-GB", viewport={"width": 390, "height": 844}) as context,
    ):
        context.add_init_script(WATCH)
        yield Opened(context.new_page(), host)


def test_the_camera_is_measured_and_its_report_comes_home(
    opened: Opened, photograph: Any, model_fixtures: Path
) -> None:
    opened.page.goto(f"{opened.host.url}?report=auto&source=camera&frames=15")
    opened.until("document.querySelector('#notice-auto')?.textContent.startsWith('Done.')")
    (report,) = opened.host.reports
    read = parse_report(report, "phone")
    assert read.frames == 15
    assert read.source == f"camera {WIDTH}x{HEIGHT}"
    assert read.engine.startswith("litert.js 2.5.3, wasm ")
    assert report["verification"]["passed"] is True
    bundle = open_bundle(model_fixtures / "bundle")
    card = bundle.card(report["artifact"])
    with open_model(bundle.model_path(card), card, threads=1) as model:
        frame = Frame(photograph, PixelOrder.BGR, 0, captured_ns=0, capture_ns=0)
        best = model(frame).top[0].label
    assert opened.page.evaluate("mejiro.results.top[0].name") == best.name
    assert opened.text("#labels li:first-child .name") == best.short
    assert opened.page.evaluate("violations") == []


def test_a_picture_is_seen_as_the_runtime_sees_it(
    opened: Opened, photograph: Any, model_fixtures: Path, tmp_path: Path
) -> None:
    path = tmp_path / "coffee.png"
    cv2.imwrite(str(path), photograph)
    opened.page.goto(opened.host.url)
    opened.wait("ready")
    opened.page.set_input_files("#file", path)
    opened.wait("stopped")
    seen = opened.until("mejiro.results")["top"]
    bundle = open_bundle(model_fixtures / "bundle")
    card = bundle.card(opened.page.evaluate("mejiro.model.card.file"))
    with open_model(bundle.model_path(card), card, threads=1) as model:
        result = model(Frame(photograph, PixelOrder.BGR, 0, captured_ns=0, capture_ns=0))
    assert [one["name"] for one in seen] == [one.label.name for one in result.top][: len(seen)]
    assert seen[0]["score"] == pytest.approx(result.top[0].score, abs=1e-5)


def test_it_runs_without_a_network_and_keeps_one_engine(opened: Opened) -> None:
    page = opened.page
    page.goto(f"{opened.host.url}?source=golden")
    opened.wait("running")
    opened.until("mejiro.results")
    paths = """async () => {
      const [name] = await caches.keys();
      const kept = await (await caches.open(name)).keys();
      return kept.map(({ url }) => new URL(url).pathname.slice(1));
    }"""
    opened.until("navigator.serviceWorker.controller !== null")
    page.context.set_offline(True)
    page.reload()
    opened.wait("running")
    opened.until("mejiro.results")
    kept = page.evaluate(paths)
    assert len([path for path in kept if path.endswith(".wasm")]) == 1
    assert page.evaluate("mejiro.verification.passed") is True
    assert page.evaluate("violations") == []


def test_several_models_are_offered(opened: Opened) -> None:
    opened.page.goto(f"{opened.host.url}?source=golden")
    opened.wait("running")
    opened.page.click("#open-settings")
    files = "[...document.querySelector('#model').options].map((option) => option.text)"
    names = opened.until(f"(({files}).length > 1) && {files}")
    opened.page.select_option("#model", "1")
    opened.until(f"mejiro.model && mejiro.model.card.file === '{names[1]}'")
    opened.wait("running")
    assert opened.page.evaluate("mejiro.verification.artifact") == names[1]

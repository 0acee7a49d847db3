"""Give tests headless Chromium, a server for folders, and a tiny site.

Nothing is imported here that devices lack: these fixtures are known wherever tests run.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.browser.serving import serving

ServeFolder = Callable[..., str]
# A camera without a picture of its own, and permission for it; JavaScript may measure memory.
CHROMIUM_ARGUMENTS = (
    "--no-sandbox",
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
    "--enable-precise-memory-info",
)


@pytest.fixture(autouse=True)
def _no_borrowed_loop(request: pytest.FixtureRequest) -> Iterator[None]:
    """Hide the event loop of playwright, which its thread runs from then on, from other tests."""
    if request.node.get_closest_marker("browser"):
        yield
        return
    running = asyncio._get_running_loop()
    asyncio._set_running_loop(None)
    yield
    asyncio._set_running_loop(running)


@pytest.fixture(scope="session")
def start_chromium() -> Iterator[Callable[..., Any]]:
    """Return a function that starts headless Chromium with more arguments; it ends with the tests.

    Only for what `chromium` cannot do, such as a camera made of a file: a start takes a second.
    """
    pytest.importorskip("playwright")
    from playwright.sync_api import sync_playwright

    program = shutil.which("chromium")
    if program is None:
        pytest.skip("the program chromium is not installed")
    with sync_playwright() as playwright, ExitStack() as stack:

        def start(*arguments: str) -> Any:
            browser = playwright.chromium.launch(
                executable_path=program, args=[*CHROMIUM_ARGUMENTS, *arguments]
            )
            stack.callback(browser.close)
            return browser

        yield start


@pytest.fixture(scope="session")
def chromium(start_chromium: Callable[..., Any]) -> Any:
    """Return headless Chromium, one for all tests of a process: each takes contexts of its own."""
    return start_chromium()


@pytest.fixture(scope="session")
def serve_folder() -> Iterator[ServeFolder]:
    """Return a function that serves a folder until the tests end, and gives its URL.

    `isolated=False` leaves out the headers of cross-origin isolation, as plain hosts do.
    """
    with ExitStack() as stack:

        def serve(folder: Path, *, isolated: bool = True) -> str:
            return stack.enter_context(serving(folder, isolated=isolated))

        yield serve


@pytest.fixture(scope="session")
def tiny_site(model_fixtures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a site of the tiny classifier, int8 and fp32. Change nothing in it."""
    from mejiro.site import write_site

    folder = tmp_path_factory.mktemp("site") / "colours"
    write_site(model_fixtures / "bundle", folder)
    return folder


@pytest.fixture(scope="session")
def core_page(chromium: Any, serve_folder: ServeFolder) -> Any:
    """Return a page that can import the modules of the page's core: ``import("/core/NAME.js")``."""
    import mejiro_targets

    web = Path(mejiro_targets.__file__).parent / "android" / "web" / "js"
    page = chromium.new_context().new_page()
    # Any document of the right origin does; this one shows its text.
    page.goto(serve_folder(web) + "core/errors.js")
    return page


def _served(source: Path, folder: Path, serve: ServeFolder) -> tuple[Path, str]:
    from mejiro.site import write_site

    write_site(source, folder)
    return folder, serve(folder)


@pytest.fixture(scope="session")
def tiny_sites(
    model_fixtures: Path, tmp_path_factory: pytest.TempPathFactory, serve_folder: ServeFolder
) -> Callable[[str], tuple[Path, str]]:
    """Return a function that gives the folder and the URL of a site by what it is of.

    "bundle" is of a classifier, int8 and fp32, "detection" and "segmentation" are of tiny models
    whose answers are known; see `tests/make_task_fixtures.py`.
    """
    made: dict[str, tuple[Path, str]] = {}

    def site(name: str) -> tuple[Path, str]:
        if name not in made:
            folder = tmp_path_factory.mktemp("sites") / name
            made[name] = _served(model_fixtures / name, folder, serve_folder)
        return made[name]

    return site

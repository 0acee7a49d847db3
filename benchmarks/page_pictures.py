"""Take the pictures of docs/android.md: the page of a site in headless Chromium, as on a phone.

The camera is a photograph that a dependency ships, moved a little as a hand would; the model is
real and runs as the page says. Japanese needs a font for it on this machine.

    python benchmarks/page_pictures.py [--bundle DIR] [--segmentation DIR] [--out DIR]
"""

from __future__ import annotations

import argparse
import io
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import harness
import numpy as np
import page_server
from PIL import Image, ImageDraw

from mejiro.data.samples import read_sample
from mejiro.site import SiteOptions, write_site

PORTRAIT, LANDSCAPE = (390, 844), (844, 390)
CAMERA = {PORTRAIT: (720, 1280), LANDSCAPE: (1280, 720)}
FRAMES = 60
SHARPNESS = 2
GAP, CORNER = 20, 30
PAPER = (216, 219, 212)
SETTLE_MS = 4000


@dataclass(frozen=True)
class Phone:
    """Say how a phone is held and set up, and what its camera sees."""

    size: tuple[int, int] = PORTRAIT
    scheme: str = "light"
    language: str = "en-GB"
    sample: str = "coffee"
    columns: tuple[float, float] = (0.0, 1.0)


def write_camera(path: Path, phone: Phone) -> None:
    """Write the MJPEG that stands in for the camera."""
    picture = read_sample(phone.sample).pixels
    left, right = (round(share * picture.shape[1]) for share in phone.columns)
    picture = picture[:, left:right]
    width, height = CAMERA[phone.size]
    scale = max(width / picture.shape[1], height / picture.shape[0])
    with path.open("wb") as file:
        for turn in np.linspace(0, 2 * np.pi, FRAMES, endpoint=False):
            zoom = scale * (1.02 + 0.012 * np.sin(turn))
            x = (width - zoom * picture.shape[1]) / 2 + 5 * np.sin(turn)
            y = (height - zoom * picture.shape[0]) / 2 + 4 * np.sin(2 * turn)
            where = np.array([[zoom, 0, x], [0, zoom, y]])
            seen = cv2.warpAffine(
                picture, where, (width, height), flags=cv2.INTER_CUBIC,
                borderMode=cv2.BORDER_REFLECT,
            )  # fmt: skip
            file.write(cv2.imencode(".jpg", seen, [cv2.IMWRITE_JPEG_QUALITY, 92])[1].tobytes())


@contextmanager
def opened(playwright: Any, url: str, phone: Phone) -> Iterator[Any]:
    """Open the page at `url` on a phone; it is ready, and nothing runs yet."""
    with tempfile.TemporaryDirectory() as folder:
        camera = Path(folder).resolve() / "camera.mjpeg"
        write_camera(camera, phone)
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"),
            args=[
                "--no-sandbox",
                "--use-fake-ui-for-media-stream",
                "--use-fake-device-for-media-stream",
                f"--use-file-for-fake-video-capture={camera}",
            ],
        )
        width, height = phone.size
        page = browser.new_page(
            viewport={"width": width, "height": height},
            device_scale_factor=SHARPNESS, is_mobile=True, has_touch=True,
            color_scheme=phone.scheme, locale=phone.language,
        )  # fmt: skip
        page.goto(url)
        page.wait_for_selector("html[data-state=ready]", state="attached")
        yield page
        browser.close()


def take(page: Any) -> Image.Image:
    """Return what the screen shows."""
    return Image.open(io.BytesIO(page.screenshot())).convert("RGB")


def live(page: Any) -> Image.Image:
    """Start the camera, and return what the screen shows some seconds later."""
    page.click("#start-camera")
    page.wait_for_selector("#answers:not([hidden])")
    page.wait_for_timeout(SETTLE_MS)
    return take(page)


def sheet(page: Any, name: str) -> Image.Image:
    """Open a sheet, and return what the screen shows."""
    page.click(f"#open-{name}")
    page.wait_for_timeout(SETTLE_MS // 3)
    shown = take(page)
    page.click(f"#close-{name}")
    return shown


def put_together(screens: Sequence[Image.Image], path: Path, height: int) -> None:
    """Write screens side by side, `height` pixels high."""
    resized = [
        one.resize((round(one.width * height / one.height), height), Image.Resampling.LANCZOS)
        for one in screens
    ]
    width = sum(one.width for one in resized) + GAP * (len(resized) + 1)
    sheet = Image.new("RGB", (width, height + 2 * GAP), PAPER)
    x = GAP
    for one in resized:
        mask = Image.new("L", one.size, 0)
        ImageDraw.Draw(mask).rounded_rectangle((0, 0, *one.size), CORNER, fill=255)
        sheet.paste(one, (x, GAP), mask)
        x += one.width + GAP
    sheet.save(path, optimize=True)
    print(f"{path}: {path.stat().st_size / 1e3:.0f} kB")


def picture_live(open_phone: Callable[..., Any], out: Path) -> None:
    """Show the answer, and the sheet that says what it took; and both in Japanese, dark."""
    with open_phone(Phone(columns=(0.2, 0.85))) as page:
        screens = [live(page), sheet(page, "latency")]
    with open_phone(Phone(columns=(0.2, 0.85), scheme="dark", language="ja-JP")) as page:
        live(page)
        screens.append(sheet(page, "latency"))
    put_together(screens, out / "android-live.png", 550)


def picture_sideways(open_phone: Callable[..., Any], out: Path) -> None:
    """Show the page in landscape."""
    with open_phone(Phone(size=LANDSCAPE, scheme="dark")) as page:
        put_together([live(page)], out / "android-landscape.png", 350)


def picture_start(open_phone: Callable[..., Any], out: Path) -> None:
    """Show the first screen in both languages, and the settings."""
    with open_phone(Phone(columns=(0.2, 0.85))) as page:
        screens = [take(page)]
        live(page)
        screens.append(sheet(page, "settings"))
    with open_phone(Phone(scheme="dark", language="ja-JP")) as page:
        screens.append(take(page))
    put_together(screens, out / "android-start.png", 620)


def picture_mask(open_phone: Callable[..., Any], out: Path) -> None:
    """Show a segmentation."""
    with open_phone(Phone(size=LANDSCAPE, sample="cat")) as page:
        put_together([live(page)], out / "android-mask.png", 390)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bundle", help="a bundle of a classifier of ImageNet; default: Lite0's")
    parser.add_argument("--segmentation", type=Path, help="a bundle of a segmentation")
    parser.add_argument("--out", type=Path, default=harness.ROOT / "docs" / "images")
    options = parser.parse_args()
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright, ExitStack() as stack:

        def opener(source: Path, title: str) -> Callable[..., Any]:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "site"
            write_site(source, folder, options=SiteOptions(title=title))
            url, _ = stack.enter_context(page_server.serving(folder))
            return lambda phone: opened(playwright, url, phone)

        classifier = opener(harness.bundle_folder(options), "What is this?")
        for picture in (picture_live, picture_sideways, picture_start):
            picture(classifier, options.out)
        if options.segmentation is not None:
            picture_mask(opener(options.segmentation, "Pets"), options.out)


if __name__ == "__main__":
    main()

"""A real browser shows what a run sees, in every size and scheme, and finds back to it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from mejiro_runtime.sinks.web.access import Access, Address
from mejiro_runtime.sinks.web.sink import WebSink

pytestmark = [pytest.mark.slow, pytest.mark.requires_tool("chromium")]
TOKEN = "0123456789abcdefghij"
FACTS = {
    "bundle": "birds",
    "artifact": "birds-int8.tflite",
    "source": "camera 0",
    "dropped": {"a newer frame came": 1234},
    "telemetry": {"temperature_celsius": 61.5, "throttled": ["heat"]},
    "outage": {"reason": "the cable was pulled", "seconds": 12.3},
    "collecting": "frames below 50%",
}


@contextmanager
def running(page: Any, *, heat: bool = False) -> Iterator[None]:
    """Show frames on `page` meanwhile, as a camera would."""
    stop = threading.Event()

    def run() -> None:
        while not stop.wait(0.02):
            page.show(heat=heat, label="<b>red</b>, crimson")

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def text_of(browser: Any, selector: str) -> str:
    return str(browser.evaluate(f"document.querySelector({selector!r}).innerText"))


def test_the_page_shows_the_run_in_every_size_and_scheme(studio, chromium, tmp_path, cv2) -> None:
    page = studio("0.0.0.0", token=TOKEN, **FACTS)
    url = f"http://127.0.0.1:{page.port}/?token={TOKEN}"
    pictures = {}
    with running(page):
        for name, look in (
            ("light", {"width": 1280, "height": 900}),
            ("dark", {"width": 1280, "height": 900, "dark": True}),
            ("phone", {"width": 390, "height": 844, "phone": True}),
        ):
            chromium.look_like(**look)
            chromium.open(url)
            chromium.wait_for("document.querySelectorAll('#stages tr').length === 7")
            chromium.wait_for("document.getElementById('picture').naturalWidth === 64")
            chromium.wait_for("document.querySelectorAll('#labels li').length === 3")
            chromium.wait_for("/infer 2.90 ms/.test(document.getElementById('stack').ariaLabel)")
            check_texts(chromium)
            # Nothing is wider than the screen, and whatever is pressed has room for a finger.
            assert chromium.evaluate("document.documentElement.scrollWidth") <= look["width"]
            assert chromium.evaluate(
                "[...document.querySelectorAll('button:not([hidden])')]"
                ".every((button) => button.getBoundingClientRect().height >= 44)"
            )
            chromium.screenshot(tmp_path / f"{name}.png")
            pictures[name] = cv2.imread(str(tmp_path / f"{name}.png"))
            # The charts are drawn: in the colours of their stages, not blank.
            for chart in ("stack", "histogram"):
                assert chromium.evaluate(
                    f"(() => {{ const c = document.getElementById('{chart}');"
                    "return c.getContext('2d').getImageData(0, 0, c.width, c.height)"
                    ".data.some((value) => value > 0); })()"
                ), chart
    # The paper is what the scheme says.
    assert pictures["light"][2, 2].min() > 200
    assert pictures["dark"][2, 2].max() < 60
    # The token has left the address, and no policy was broken.
    assert chromium.evaluate("location.href") == f"http://127.0.0.1:{page.port}/"
    assert TOKEN not in chromium.evaluate("document.cookie")
    assert chromium.complaints() == []


def check_texts(browser: Any) -> None:
    labels = text_of(browser, "#labels").split("\n")
    assert labels[:2] == ["<b>red</b>", "83 %"]  # a label is text, whatever it holds
    assert labels[-2:] == ["目白", "< 0.1 %"]
    assert text_of(browser, "h1") == "birds"
    tiles = text_of(browser, "#tiles")
    assert "61.5" in tiles
    assert "1\u202f234" in tiles
    assert "Clock" not in tiles  # no such sensor: absent, not zero
    notices = text_of(browser, "#notices")
    assert "The source was lost 12 s ago: the cable was pulled. Trying again." in notices
    assert "Frames are being kept: frames below 50%" in notices
    assert "The clock is held down: heat." in notices


def test_pause_snapshot_and_the_map_work_from_the_keyboard(studio, chromium) -> None:
    page = studio()
    with running(page, heat=True):
        chromium.open(page.sink.url)
        chromium.wait_for("document.getElementById('picture').naturalWidth === 64")

        def press(key: str) -> None:
            chromium.evaluate(
                f"document.dispatchEvent(new KeyboardEvent('keydown', {{ key: '{key}' }}))"
            )

        chromium.wait_for("!document.getElementById('explain').hidden")
        press("m")
        chromium.wait_for("/costs 0.08 ms a frame/.test(document.body.innerText)")
        assert page.explained == [True]
        press("p")
        assert text_of(chromium, "#state") == "paused"
        # What was on its way when it was pressed may still be shown.
        chromium.evaluate("new Promise((go) => setTimeout(go, 300))")
        still = (
            "document.getElementById('picture').src + document.getElementById('frame').innerText"
        )
        before = chromium.evaluate(still)
        chromium.evaluate("new Promise((go) => setTimeout(go, 400))")
        assert chromium.evaluate(still) == before
        press("p")
        chromium.wait_for(f"({still}) !== {before!r}")
        assert text_of(chromium, "#state") == "live"
        saved = chromium.evaluate(
            "new Promise((go) => {"
            "HTMLAnchorElement.prototype.click = function () { go(this.download); };"
            "document.getElementById('snapshot').click(); })"
        )
        assert saved.startswith("mejiro-20")
        assert saved.endswith(".jpg")
    assert chromium.complaints() == []


def test_the_page_finds_back_when_the_run_starts_anew(studio, chromium) -> None:
    page = studio(bundle="first")
    page.show()
    chromium.open(page.sink.url)
    chromium.wait_for("document.querySelector('h1').innerText === 'first'")
    page.sink.close()
    # What it says comes after the state: it asks first why nobody answers.
    chromium.wait_for("/tries again by itself/.test(document.getElementById('notices').innerText)")
    assert text_of(chromium, "#state") == "no connection"
    page.sink = WebSink(
        Access(Address("127.0.0.1", page.port)),
        lambda: {"bundle": "second"},
    )
    page.show()
    chromium.wait_for("document.querySelector('h1').innerText === 'second'")
    assert text_of(chromium, "#state") == "live"
    assert text_of(chromium, "#notices") == ""


def test_a_new_token_is_told(studio, chromium) -> None:
    page = studio("0.0.0.0", token=TOKEN)
    chromium.open(f"http://127.0.0.1:{page.port}/?token={TOKEN}")
    chromium.wait_for("document.getElementById('state').innerText === 'live'")
    page.sink.close()
    page.sink = WebSink(Access(Address("0.0.0.0", page.port), TOKEN + "x"))
    chromium.wait_for("/with another token/.test(document.getElementById('notices').innerText)")

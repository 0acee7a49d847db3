"""What the page draws lies where it belongs, in the reader's language, for everyone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mejiro_runtime.preprocess import InputSpec, ResizeMode, place
from mejiro_runtime.sinks.overlay import colour_of
from tests.browser.page.conftest import Opened, OpenPage

pytestmark = [pytest.mark.browser, pytest.mark.requires_tool("chromium")]

PHONE = {"width": 390, "height": 844}
SIDEWAYS = {"width": 844, "height": 390}
SHARP = {"viewport": PHONE, "device_scale_factor": 2}
# A region that is cropped is marked at its corners, which these looks are not about.
UNMARKED = """localStorage.setItem("mejiro.settings", JSON.stringify({ region: false }));"""


def overlay_pixel(opened: Opened, u: float, v: float) -> list[int]:
    """Return the overlay's pixel over pixel (u, v) of the frame, red, green, blue, alpha."""
    return list(
        opened.page.evaluate(
            """([u, v]) => {
              const pictures = [...document.querySelectorAll("#video, #still")];
              const shown = pictures.find((one) => !one.hidden);
              const wide = shown.videoWidth || shown.width;
              const at = shown.getBoundingClientRect();
              const scale = (at.width / wide) * devicePixelRatio;
              const pen = document.querySelector("#overlay").getContext("2d");
              const x = at.left * devicePixelRatio + u * scale;
              const y = at.top * devicePixelRatio + v * scale;
              return [...pen.getImageData(Math.round(x), Math.round(y), 1, 1).data];
            }""",
            [u, v],
        )
    )


def test_colours_are_those_of_the_runtime(open_page: OpenPage) -> None:
    opened = open_page()
    made = opened.page.evaluate(
        """async () => {
          const { colourOf } = await import("/js/draw/colours.js");
          return Array.from({ length: 300 }, (_, index) => colourOf(index));
        }"""
    )
    for index, colour in enumerate(made):
        # A half may be rounded either way.
        assert all(abs(a - b) <= 1 for a, b in zip(colour, reversed(colour_of(index)), strict=True))


@settings(max_examples=30)
@given(
    width=st.integers(1, 4000),
    height=st.integers(1, 4000),
    across=st.integers(1, 600),
    down=st.integers(1, 600),
    fraction=st.floats(0.01, 1.0),
    resize=st.sampled_from(ResizeMode),
)
def test_what_is_marked_is_what_the_runtime_takes(
    call_page: Callable[..., Any],
    width: int,
    height: int,
    across: int,
    down: int,
    fraction: float,
    resize: ResizeMode,
) -> None:
    spec = InputSpec(down, across, resize=resize, crop_fraction=fraction)
    marked = call_page(
        'const { seenRegion } = await import("/js/site.js"); return seenRegion(...argument);',
        [spec.to_json(), width, height],
    )
    taken = place(spec, height, width)
    # Halving loses some columns or rows, which nobody sees on a screen.
    near_x, near_y = 1 << taken.halve_x, 1 << taken.halve_y
    assert marked[0] == pytest.approx(taken.x, abs=near_x)
    assert marked[1] == pytest.approx(taken.y, abs=near_y)
    assert marked[2] == pytest.approx(taken.x + taken.width, abs=near_x)
    assert marked[3] == pytest.approx(taken.y + taken.height, abs=near_y)


@settings(max_examples=30)
@given(
    view=st.tuples(st.integers(200, 3000), st.integers(200, 3000)),
    frame=st.tuples(st.integers(16, 4000), st.integers(16, 4000)),
    share=st.floats(0.1, 1.0),
    pads=st.tuples(*[st.integers(0, 300)] * 4),
)
def test_a_frame_fills_the_view_and_shows_what_counts(
    call_page: Callable[..., Any],
    view: tuple[int, int],
    frame: tuple[int, int],
    share: float,
    pads: tuple[int, ...],
) -> None:
    region = [side * (1 - share) / 2 for side in frame] + [side * (1 + share) / 2 for side in frame]
    fit = call_page(
        """
          const { fitFrame } = await import("/js/draw/fit.js");
          const [view, frame, region, [top, right, bottom, left]] = argument;
          const [one, other] = [view, frame].map(([width, height]) => ({ width, height }));
          return fitFrame(one, other, region, { top, right, bottom, left });
        """,
        [view, frame, region, pads],
    )
    fills = False
    for axis, name in enumerate("xy"):
        low = fit[name] + region[axis] * fit["scale"]
        high = fit[name] + region[axis + 2] * fit["scale"]
        assert low >= -1e-6
        assert high <= view[axis] + 1e-6
        fills |= frame[axis] * fit["scale"] >= view[axis] - 1e-6
    assert fills


@settings(max_examples=30)
@given(st.text() | st.from_regex(r"(source|backend|threads|lang|report|frames)=\w{0,9}"))
def test_an_address_cannot_ask_for_what_there_is_not(
    call_page: Callable[..., Any], search: str
) -> None:
    found = call_page(
        'const { readParameters } = await import("/js/parameters.js");'
        "return readParameters(argument);",
        f"?{search}",
    )
    assert found["source"] in (None, "camera", "golden", "file")
    assert found["backend"] in (None, "wasm", "webgpu")
    assert found["threads"] in (None, "auto") or 1 <= found["threads"] <= 64
    assert 1 <= found["frames"] <= 100_000


def test_boxes_lie_where_they_were_found(open_page: OpenPage) -> None:
    opened = open_page(
        "?source=camera", state="running", task="detection", context=SHARP, script=UNMARKED,
        boxes=[{"index": 2, "name": "rose, bloom", "score": 0.8, "box": [500, 300, 800, 500]}],
    )  # fmt: skip
    for viewport in (PHONE, SIDEWAYS):
        look_again(opened, viewport)
        red, green, blue, alpha = overlay_pixel(opened, 500, 420)
        assert alpha == 255
        assert (blue, green, red) == pytest.approx(colour_of(2), abs=3)
        assert overlay_pixel(opened, 650, 400)[3] == 0
        assert overlay_pixel(opened, 470, 420)[3] == 0
    assert opened.text("#labels li .name") == "rose"


def look_again(opened: Opened, viewport: dict[str, int]) -> None:
    """Turn the phone, and wait for the next results."""
    opened.page.set_viewport_size(viewport)
    before = opened.until("mejiro.report()?.frames")
    opened.until(f"mejiro.report().frames > {before + 2}")


def test_boxes_of_one_class_are_one_row(open_page: OpenPage) -> None:
    opened = open_page("?source=camera", state="running", task="detection")
    opened.until("mejiro.results")
    assert opened.text("#labels li:nth-child(1) .name") == "rose"
    assert opened.text("#labels li:nth-child(1) .score") == "× 2"
    assert opened.text("#labels li:nth-child(2) .score") == "70 %"


def test_nothing_found_is_said(open_page: OpenPage) -> None:
    opened = open_page("?source=camera", state="running", task="detection", boxes=[])
    opened.until("mejiro.results")
    assert opened.text("#nothing") == "Nothing above the threshold"


def test_masks_cover_their_part(open_page: OpenPage) -> None:
    opened = open_page(
        "?source=camera", state="running", task="segmentation", context=SHARP, script=UNMARKED
    )
    for viewport in (PHONE, SIDEWAYS):
        look_again(opened, viewport)
        # Classes 0 (background), 1; 1, 2: each a quarter of 1280x720.
        assert overlay_pixel(opened, 500, 200)[3] == 0
        for (u, v), index in (((780, 200), 1), ((500, 500), 1), ((780, 500), 2)):
            red, green, blue, alpha = overlay_pixel(opened, u, v)
            assert alpha == 140
            assert (blue, green, red) == pytest.approx(colour_of(index), abs=3)
    assert opened.page.locator("#labels li").count() == 2
    assert opened.text("#labels li:first-child .score") == "50 %"


def test_all_that_the_model_sees_is_on_the_screen(open_page: OpenPage) -> None:
    opened = open_page("?source=camera", state="running")
    for viewport in (PHONE, SIDEWAYS, {"width": 1440, "height": 900}):
        look_again(opened, viewport)
        box = "document.querySelector('#video').getBoundingClientRect().toJSON()"
        at = opened.page.evaluate(box)
        scale = at["width"] / 1280
        assert at["height"] == pytest.approx(720 * scale, abs=0.5)  # never stretched
        left, top, side = (1280 - 630) / 2, (720 - 630) / 2, 630
        assert at["left"] + left * scale >= -0.5
        assert at["top"] + top * scale >= -0.5
        assert at["left"] + (left + side) * scale <= viewport["width"] + 0.5
        assert at["top"] + (top + side) * scale <= viewport["height"] + 0.5


def test_every_word_is_in_both_languages(open_page: OpenPage) -> None:
    opened = open_page()
    words = opened.page.evaluate(
        """async () => {
          const { LANGUAGES } = await import("/js/words.js");
          return LANGUAGES;
        }"""
    )
    assert set(words["en"]) == set(words["ja"])
    for name, text in words["en"].items():
        used = {part.split("}")[0] for part in text.split("{")[1:]}
        assert used == {part.split("}")[0] for part in words["ja"][name].split("{")[1:]}, name
    asked = opened.page.evaluate(
        "[...document.querySelectorAll('[data-words], [data-label]')]"
        ".flatMap((one) => [one.dataset.words, one.dataset.label]).filter(Boolean)"
    )
    assert set(asked) <= set(words["en"])


def test_the_language_is_the_readers_and_can_be_changed(open_page: OpenPage) -> None:
    opened = open_page(context={"locale": "ja-JP"})
    page = opened.page
    assert page.get_attribute("html", "lang") == "ja"
    assert opened.text("#start-camera") == "カメラ"
    page.click("#start-camera")
    opened.wait("running")
    page.click("#open-settings")
    page.select_option("#language", "en")
    assert page.get_attribute("html", "lang") == "en"
    assert opened.text("#settings-title") == "Settings"
    assert opened.text("#answers-title") == "What it sees"
    assert page.get_attribute("#toggle", "aria-label") == "Stop"
    page.reload()
    opened.wait("running")  # the camera was allowed and in use, so it starts again
    assert page.get_attribute("html", "lang") == "en"
    page.goto(f"{opened.host.url}?lang=ja")
    opened.wait("running")
    assert page.get_attribute("html", "lang") == "ja"


def test_settings_that_were_tampered_with_do_no_harm(open_page: OpenPage) -> None:
    script = """
      localStorage.setItem("mejiro.settings", JSON.stringify({
        top: "many", threads: 7, model: -1.5, backend: "abacus", resolution: "huge", x: 1,
      }));
      localStorage.setItem("mejiro.verified", "{not JSON");
    """
    opened = open_page(script=script)
    opened.page.click("#start-golden")
    opened.wait("running")
    opened.until("mejiro.results")


def test_a_browser_that_remembers_nothing_runs_all_the_same(open_page: OpenPage) -> None:
    script = "Object.defineProperty(window, 'localStorage', { get() { throw new Error('no'); } });"
    opened = open_page("?source=golden", state="running", script=script)
    opened.until("mejiro.results")


def test_the_page_is_used_by_keyboard(open_page: OpenPage) -> None:
    opened = open_page("?source=golden", state="running")
    page = opened.page
    page.keyboard.press("l")
    assert page.is_visible("#latency")
    assert page.evaluate("document.activeElement.id") == "latency"
    assert page.get_attribute("#open-latency", "aria-expanded") == "true"
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "close-latency"
    page.keyboard.press("Escape")
    assert page.is_hidden("#latency")
    assert page.evaluate("document.activeElement.id") == "open-latency"


def test_sheets_close_where_they_were_opened(open_page: OpenPage) -> None:
    opened = open_page()
    page = opened.page
    page.click("#welcome-settings")
    assert page.is_visible("#settings")
    page.keyboard.press("Escape")
    assert page.is_hidden("#settings")
    assert page.evaluate("document.activeElement.id") == "welcome-settings"
    page.click("#start-golden")
    opened.wait("running")
    page.click("#open-latency")
    page.click("#close-latency")
    page.click("#open-settings")
    assert page.is_hidden("#latency")
    page.click("#use-golden")
    assert page.is_hidden("#settings")


def test_answers_are_spoken_once_not_at_every_frame(open_page: OpenPage) -> None:
    script = """
      window.spoken = [];
      addEventListener("DOMContentLoaded", () => {
        new MutationObserver(() => spoken.push(document.querySelector("#spoken").textContent))
          .observe(document.querySelector("#spoken"), { childList: true });
      });
    """
    opened = open_page("?source=golden", state="running", script=script)
    opened.until("spoken.includes('sunflower, 91 %')")
    before = opened.page.evaluate("mejiro.report().frames")
    opened.until(f"mejiro.report().frames > {before + 40}")
    said: list[Any] = [text for text in opened.page.evaluate("spoken") if text]
    assert said == ["sunflower, 91 %"]


def test_what_is_pressed_is_large_enough(open_page: OpenPage) -> None:
    opened = open_page()
    sizes = """[...document.querySelectorAll("button, select, input, a, label.row")]
      .filter((one) => one.checkVisibility())
      .map((one) => [one.id || one.htmlFor, one.getBoundingClientRect().toJSON()])"""
    for step in ("", "#start-golden", "#open-latency", "#close-latency", "#open-settings"):
        if step:
            opened.page.click(step)
            opened.page.wait_for_timeout(250)  # sheets slide in
        for viewport in ({"width": 320, "height": 568}, PHONE, SIDEWAYS):
            opened.page.set_viewport_size(viewport)
            for name, at in opened.page.evaluate(sizes):
                assert at["width"] >= 44, (step, name)
                assert at["height"] >= 44, (step, name)
                assert at["left"] >= 0, (step, name)
                assert at["right"] <= viewport["width"], (step, name)

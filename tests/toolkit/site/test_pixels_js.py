"""A frame's pixels reach the core as they are, at their own size, whatever holds the frame."""

from __future__ import annotations

from typing import Any

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.requires_tool("chromium")]

READ = """
async ({kind, options, twice}) => {
  const { PixelReader } = await import("/core/pixels.js");
  const [width, height] = [7, 5];
  const picture = new ImageData(width, height);
  picture.data.forEach((_, at) => { picture.data[at] = at % 4 === 3 ? 255 : (at * 37) % 256; });
  const layout = {format: "RGBX", codedWidth: width, codedHeight: height, timestamp: 0};
  const make = {
    data: () => picture,
    bitmap: () => createImageBitmap(picture),
    video: () => new VideoFrame(picture.data.slice(), {...layout, ...options}),
  }[kind];
  const reader = new PixelReader();
  const frame = await make();
  try {
    const found = await reader.read(frame);
    return {...found, data: Array.from(found.data), given: Array.from(picture.data)};
  } finally {
    frame.close?.();
  }
}
"""


@pytest.mark.parametrize("kind", ["data", "bitmap", "video"])
def test_every_source_gives_the_same_pixels(core_page: Any, kind: str) -> None:
    told = core_page.evaluate(READ, {"kind": kind, "options": {}})
    assert (told["width"], told["height"], told["order"]) == (7, 5, "rgba")
    assert told["data"] == told["given"]


def test_a_frame_that_is_shown_turned_is_read_turned(core_page: Any) -> None:
    told = core_page.evaluate(READ, {"kind": "video", "options": {"rotation": 90}})
    assert (told["width"], told["height"]) == (5, 7)
    given = [told["given"][at : at + 4] for at in range(0, len(told["given"]), 4)]
    found = [told["data"][at : at + 4] for at in range(0, len(told["data"]), 4)]
    # Turned clockwise: the first column, from below, becomes the first row.
    assert found[:5] == [given[row * 7] for row in (4, 3, 2, 1, 0)]


def test_a_cut_frame_is_read_as_it_is_shown(core_page: Any) -> None:
    cut = {"visibleRect": {"x": 2, "y": 1, "width": 4, "height": 3}}
    told = core_page.evaluate(READ, {"kind": "video", "options": cut})
    assert (told["width"], told["height"]) == (4, 3)
    given, found = told["given"], told["data"]
    assert found[:16] == given[4 * (7 + 2) : 4 * (7 + 6)]

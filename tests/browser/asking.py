"""Ask the page's core about models, without the page: in a blank document of the site's origin."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

PIXELS = """
const pictureOf = ({data, width, height}) => {
  const bytes = Uint8ClampedArray.from(atob(data), (one) => one.charCodeAt(0));
  return new ImageData(bytes, width, height);
};
"""
# `model`, `site` and `pictureOf` are there for the script, whose value comes back.
FRAME = """
async ({options, argument}) => {
  %(pixels)s
  const { openModel } = await import("/js/core/client.js");
  const site = await (await fetch("/site.json")).json();
  site.base = location.origin + "/";
  let model;
  try {
    model = await openModel({...options, site});
    return await (async () => { %(script)s })();
  } catch (error) {
    return {error: error.message, code: error.code};
  } finally {
    model?.close();
  }
}
"""


@contextmanager
def blank_page(browser: Any, url: str) -> Iterator[Any]:
    """Give a page of the site at `url` that shows nothing of it."""
    context = browser.new_context()
    try:
        page = context.new_page()
        page.goto(url + "site.json")
        yield page
    finally:
        context.close()


def ask(page: Any, script: str, *, argument: Any = None, **options: Any) -> Any:
    """Open a model with `options`, run `script` with it, close it; return what the script returns.

    An error comes back as its message and code.
    """
    text = FRAME % {"pixels": PIXELS, "script": script}
    return page.evaluate(text, {"options": {"threads": 1, **options}, "argument": argument})


def picture(bgr: np.ndarray) -> dict[str, Any]:
    """Return a BGR picture as `pictureOf` takes it."""
    height, width = bgr.shape[:2]
    rgba = np.full((height, width, 4), 255, np.uint8)
    rgba[..., :3] = bgr[..., ::-1]
    data = base64.b64encode(rgba.tobytes()).decode()
    return {"data": data, "width": width, "height": height}

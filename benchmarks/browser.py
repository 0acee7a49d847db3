"""Measure a site in headless Chromium: inference beside native LiteRT, and all else of a frame.

Frames are photographs of 640x480 as I420 video frames, the form that cameras give. By turns with
the page's core, one thread of WebAssembly, one thread of native LiteRT runs the same file, and the
page once more in two threads and in the variant of the engine for older browsers. Then
come the bytes that a browser fetches, the memory over 10,000 frames, and the time from opening the
page to its first label when all is in the browser's cache.

    python benchmarks/browser.py [--quick] [--bundle DIR] [--out FILE]
"""

from __future__ import annotations

import base64
import contextlib
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import harness
import page_server
from overhead import tflite_card

from mejiro.site import Site, SiteOptions, write_site
from mejiro_runtime.bundle import open_bundle
from mejiro_runtime.model import open_model

ROUNDS, QUICK_ROUNDS = 15, 3
FRAMES = 100
MEMORY_FRAMES, QUICK_MEMORY_FRAMES = 10_000, 1_000
SAMPLES = 10  # of the memory, over all frames
STARTS, QUICK_STARTS = 7, 2
WARM_VISITS = 3  # Chromium keeps compiled code from the second visit on
TIMEOUT_MS = 120_000
ARGUMENTS = (
    "--no-sandbox",
    # Memory of workers too, at once rather than at the next collection that happens.
    "--enable-blink-features=ForceEagerMeasureMemory",
)
OPEN = """
async ({frames, how}) => {
  const { openModel } = await import("/js/core/client.js");
  const site = await (await fetch("/site.json")).json();
  site.base = location.origin + "/";
  window.model = await openModel({site, backend: "wasm", ...how});
  window.frames = frames.map(({data, width, height}) => new VideoFrame(
    Uint8Array.from(atob(data), (one) => one.charCodeAt(0)),
    {format: "I420", codedWidth: width, codedHeight: height, timestamp: 0},
  ));
  return window.model.info;
}
"""
RUN = """
async (count) => {
  const rows = [];
  for (let at = 0; at < count; at += 1) {
    const start = performance.now();
    const { timing } = await window.model.run(window.frames[at % window.frames.length]);
    rows.push({...timing, whole_ns: (performance.now() - start) * 1e6});
  }
  return rows;
}
"""
VERIFY = "() => window.model.verify()"
ONE_THREAD = {"threads": 1}
OTHER_WAYS: dict[str, dict[str, Any]] = {
    "two threads": {"threads": 2},
    "compat": {"threads": 1, "variant": "compat"},
}
# What the browser counts is the objects of page and worker; the engine's memory is not among them.
MEMORY = """
async () => {
  const { bytes } = await performance.measureUserAgentSpecificMemory();
  return {wasm: await window.model.memory(), javascript: bytes};
}
"""
# When the page has its first answer.
WATCH = """
() => {
  const look = () => {
    if (window.mejiro?.results) window.firstLabel = performance.now();
    else requestAnimationFrame(look);
  };
  look();
}
"""


def i420_frames() -> list[dict[str, Any]]:
    """Return the photographs as planes of brightness and colour, ready to be sent to a page."""
    import cv2

    sent = []
    for pixels in harness.photographs()[:4]:
        planes = cv2.cvtColor(pixels, cv2.COLOR_BGR2YUV_I420)
        data = base64.b64encode(planes.tobytes()).decode()
        sent.append({"data": data, "height": pixels.shape[0], "width": pixels.shape[1]})
    return sent


def run_page(page: Any, count: int = FRAMES) -> dict[str, float]:
    """Return medians over frames in the page, in milliseconds; `outside` is all but inference."""
    rows = page.evaluate(RUN, count)
    found = {
        name.replace("_ns", "_ms"): statistics.median(row[name] for row in rows) / 1e6
        for name in rows[0]
    }
    outside = [(row["whole_ns"] - row["infer_ns"]) / 1e6 for row in rows]
    return {**found, "outside_ms": statistics.median(outside)}


def sample_memory(page: Any, count: int) -> dict[str, list[float]]:
    """Return megabytes of the engine and of JavaScript, from a tenth of the frames on."""
    taken: dict[str, list[float]] = {"wasm_mb": [], "javascript_mb": []}
    for done in range(SAMPLES):
        page.evaluate(RUN, count // SAMPLES)
        found = page.evaluate(MEMORY)
        taken["wasm_mb"].append(found["wasm"] / 1e6)
        taken["javascript_mb"].append(found["javascript"] / 1e6)
        harness.show_progress(done + 1, SAMPLES)
    return taken


def time_starts(playwright: Any, program: str, url: str, count: int) -> list[float]:
    """Return seconds from opening the page to its first label, with everything in the cache."""
    seconds = []
    with tempfile.TemporaryDirectory() as profile:
        for visit in range(WARM_VISITS + count):
            # A new browser for each: nothing is warm but what lies on the disk.
            context = playwright.chromium.launch_persistent_context(
                profile, executable_path=program, args=list(ARGUMENTS)
            )
            try:
                page = context.new_page()
                taken = _time_page(page, url)
                time.sleep(1.5)  # what is compiled is written a little later
            finally:
                context.close()
            if visit >= WARM_VISITS:
                seconds.append(taken)
    return seconds


def _time_page(page: Any, url: str) -> float:
    page.add_init_script(f"({WATCH})()")
    page.goto(f"{url}index.html?source=golden&threads=1", wait_until="commit")
    page.wait_for_function("() => window.firstLabel", timeout=TIMEOUT_MS)
    return float(page.evaluate("() => window.firstLabel")) / 1e3


def sizes(site: Site, asked: frozenset[str]) -> dict[str, float]:
    """Return megabytes as gzip: what a browser asked for, and everything; the models left out."""

    def total(paths: Iterable[str]) -> float:
        parts = [page_server.compressed(site.folder / path) for path in sorted(paths)]
        return sum(map(len, parts)) / 1e6

    everything = {path for path in (*site.files, "site.json") if not path.startswith("model/")}
    return {"asked": total(asked & everything), "everything": total(everything)}


@contextlib.contextmanager
def opened(
    playwright: Any, program: str, url: str, how: dict[str, Any]
) -> Iterator[tuple[Any, dict[str, Any]]]:
    """Give a page that holds the model, opened as `how` says, its frames, and what runs it."""
    browser = playwright.chromium.launch(executable_path=program, args=list(ARGUMENTS))
    try:
        page = browser.new_page()
        page.set_default_timeout(0)
        page.goto(url + "site.json")
        yield page, page.evaluate(OPEN, {"frames": i420_frames(), "how": how})
    finally:
        browser.close()


def first_visit(playwright: Any, program: str, url: str) -> None:
    """Open the page in a browser that knows nothing of it."""
    browser = playwright.chromium.launch(executable_path=program, args=list(ARGUMENTS))
    try:
        page = browser.new_page()
        page.goto(f"{url}index.html?source=golden&threads=1", wait_until="commit")
        page.wait_for_function("() => window.mejiro?.results", timeout=TIMEOUT_MS)
    finally:
        browser.close()


def main() -> None:
    from playwright.sync_api import sync_playwright

    options = harness.parse_arguments(__doc__)
    program = shutil.which("chromium")
    if program is None:
        raise SystemExit("chromium is not installed; on Debian: apt-get install chromium")
    folder = harness.bundle_folder(options)
    bundle = open_bundle(folder)
    card = tflite_card(bundle)
    rounds: dict[str, Any]
    with contextlib.ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        site = write_site(folder, scratch / "site", options=SiteOptions(name="browser"))
        url, asked = stack.enter_context(page_server.serving(site.folder))
        playwright = stack.enter_context(sync_playwright())
        first_visit(playwright, program, url)
        visited = frozenset(asked)
        native = stack.enter_context(open_model(bundle.model_path(card), card, threads=1))
        native.infer(native.preprocessor.empty())
        others = {
            name: stack.enter_context(opened(playwright, program, url, how))
            for name, how in OTHER_WAYS.items()
        }
        with opened(playwright, program, url, ONE_THREAD) as (page, info):
            weighed = sizes(site, visited)
            verified = page.evaluate(VERIFY)
            for one in (page, *(other for other, _ in others.values())):
                run_page(one)
            items = list(range(FRAMES))
            ways: dict[str, Callable[[], Mapping[str, float]]] = {
                "page": lambda: run_page(page),
                "native": lambda: {
                    "infer_ms": statistics.median(
                        harness.time_each(lambda _: native.backend.invoke(), items)
                    )
                    / 1e6
                },
                **{name: partial(run_page, other) for name, (other, _) in others.items()},
            }
            count = QUICK_ROUNDS if options.quick else ROUNDS
            rounds = dict(harness.take_turns(ways, count))
            frames = QUICK_MEMORY_FRAMES if options.quick else MEMORY_FRAMES
            rounds["memory"] = memory = sample_memory(page, frames)
        starts = QUICK_STARTS if options.quick else STARTS
        rounds["start"] = {"first_label_s": time_starts(playwright, program, url, starts)}
    ones = [1.0] * starts
    infer = rounds["page"]["infer_ms"]
    ratios = [
        *(harness.ratio(f"inference, {name} / 1 thread", rounds[name]["infer_ms"], infer)
          for name in OTHER_WAYS),
        harness.ratio("inference, wasm / native, 1 thread each", rounds["page"]["infer_ms"],
                      rounds["native"]["infer_ms"], limit=2.6),
        harness.ratio("golden frames as on a device / golden frames",
                      [float(verified["frames"] * verified["passed"])], [verified["frames"]],
                      limit=1.0, lower_is_better=False),
        harness.ratio("outside inference / whole frame", rounds["page"]["outside_ms"],
                      rounds["page"]["whole_ms"], limit=0.25),
        harness.ratio("first visit without the model, gzip, MB", [weighed["asked"]], [1.0],
                      limit=3.5),
        harness.ratio("all engine variants and the page, gzip, MB", [weighed["everything"]], [1.0]),
        harness.ratio("first label after opening, cache warm, s", rounds["start"]["first_label_s"],
                      ones, limit=1.5),
        harness.ratio(f"engine's memory, after {frames} frames / {frames // SAMPLES}",
                      memory["wasm_mb"][-1:], memory["wasm_mb"][:1], limit=1.0),
        harness.ratio(f"JavaScript's memory, after {frames} frames / {frames // SAMPLES}",
                      memory["javascript_mb"][-1:], memory["javascript_mb"][:1], limit=1.05),
    ]  # fmt: skip
    settings = {
        "artifact": card.file,
        "page": info,
        **{name: other for name, (_, other) in others.items()},
        "native": native.info.to_json(),
        "frames": f"photographs, 640x480, I420, {FRAMES} a round",
        "started": "the page, over its golden frames",
        "files of a first visit": sorted(visited & {*site.files, "site.json"}),
    }
    gap = f"{verified['largest_output']:.2g}"
    notes = [f"probabilities of the golden frames lie within {gap} of those of Python LiteRT"]
    if "avx512_vnni" in Path("/proc/cpuinfo").read_text(encoding="utf-8"):
        notes.append(
            "this CPU has AVX-512 with VNNI, which native kernels use; WebAssembly has vectors of "
            "128 bits"
        )
    harness.report(options, ratios, settings=settings, rounds=rounds, notes=notes)


if __name__ == "__main__":
    main()

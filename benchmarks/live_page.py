"""Measure what the live page costs a run: nobody watching, one page, a hundred that never read.

Real photographs of 640x480 go through the pipeline as fast as it takes them, two threads. One page
is another process that asks for every picture it can get. All is one run with one open page sink,
interleaved with the bare engine.

    python benchmarks/live_page.py [--quick] [--bundle DIR] [--out FILE]
"""

from __future__ import annotations

import contextlib
import itertools
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import harness
from overhead import THREADS, PhotographSource, tflite_card

from mejiro_runtime.bundle import open_bundle
from mejiro_runtime.model import open_model
from mejiro_runtime.pipeline import Pipeline, Step
from mejiro_runtime.sinks.web.access import Access, Address
from mejiro_runtime.sinks.web.sink import WebSink

ROUNDS, QUICK_ROUNDS = 30, 4
FRAMES = 600
SETTLE_S = 0.3
VIEWERS = 100
HANDSHAKE = (
    "GET /live HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)

# Reads all that comes, and asks for the next picture as a page does when it has shown one.
READER = """
import socket, sys
plug = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
plug.sendall(sys.argv[2].encode())
stream = plug.makefile("rb")
while stream.readline().strip():
    pass
while head := stream.read(2):
    size = head[1]
    if size > 125:
        size = int.from_bytes(stream.read(2 if size == 126 else 8), "big")
    stream.read(size)
    if head[0] & 15 == 2:
        print(flush=True)
        plug.sendall(b"\\x81\\x84\\0\\0\\0\\0next")
"""


def measure(steps: Iterator[Step], count: int = FRAMES) -> dict[str, float]:
    """Return medians over the next frames, and what the sink took of them."""
    taken = [(step.result.timing.frame_to_label_ns, step.sink_ns) for step in _next(steps, count)]
    return {
        "frame_to_label_ms": statistics.median(label for label, _ in taken) / 1e6,
        "sink_us": statistics.median(sink for _, sink in taken) / 1e3,
    }


def _next(steps: Iterator[Step], count: int) -> Iterator[Step]:
    return itertools.islice(steps, count)


def with_page(steps: Iterator[Step], port: int) -> dict[str, float]:
    """Measure while one page watches; count the pictures that it got, by the second."""
    page = subprocess.Popen(
        [sys.executable, "-c", READER, str(port), HANDSHAKE], stdout=subprocess.PIPE
    )
    if page.stdout is None:
        raise SystemExit("the page says nothing")
    try:
        page.stdout.readline()  # the first picture: it is there
        start = time.perf_counter()
        found = measure(steps)
        seconds = time.perf_counter() - start
    finally:
        page.kill()
        pictures = len(page.stdout.read().splitlines())
        page.wait()
    time.sleep(SETTLE_S)
    return {**found, "pictures_a_second": pictures / seconds}


def with_crowd(steps: Iterator[Step], port: int) -> dict[str, float]:
    """Measure while a hundred are connected, or were let go, and read nothing."""
    with contextlib.ExitStack() as stack:
        for _ in range(VIEWERS):
            plug = stack.enter_context(socket.create_connection(("127.0.0.1", port)))
            with contextlib.suppress(OSError):
                plug.sendall(HANDSHAKE.encode())
        time.sleep(SETTLE_S)
        found = measure(steps)
    time.sleep(SETTLE_S)
    return found


def main() -> None:
    options = harness.parse_arguments(__doc__)
    bundle = open_bundle(harness.bundle_folder(options))
    card = tflite_card(bundle)
    frames = harness.photographs()
    with contextlib.ExitStack() as stack:
        model = stack.enter_context(open_model(bundle.model_path(card), card, threads=THREADS))
        sink = WebSink(Access(Address("127.0.0.1", 0)))
        port = int(sink.url.rstrip("/").rpartition(":")[2])
        pipeline = stack.enter_context(Pipeline(PhotographSource(frames), model, [sink]))
        steps = pipeline.steps()
        measure(steps)
        items = list(range(FRAMES))
        ways: dict[str, Callable[[], dict[str, float]]] = {
            "bare": lambda: {
                "p50_ms": statistics.median(
                    harness.time_each(lambda _: model.backend.invoke(), items)
                )
                / 1e6
            },
            "nobody": lambda: measure(steps),
            "one page": lambda: with_page(steps, port),
            "crowd": lambda: with_crowd(steps, port),
        }
        rounds = harness.take_turns(ways, QUICK_ROUNDS if options.quick else ROUNDS)
        settings: dict[str, Any] = {
            "artifact": card.file,
            "engine": model.info.to_json(),
            "frames": f"{len(frames)} photographs, 640x480, BGR, {FRAMES} a round",
            "crowd": VIEWERS,
        }
    to_label = {way: found.get("frame_to_label_ms", []) for way, found in rounds.items()}
    bare = rounds["bare"]["p50_ms"]
    ratios = [
        harness.ratio("frame to label, nobody / bare invoke", to_label["nobody"], bare, limit=1.14),
        harness.ratio("frame to label, one page / bare invoke", to_label["one page"], bare,
                      limit=1.22),
        harness.ratio("frame to label, one page / nobody", to_label["one page"],
                      to_label["nobody"]),
        harness.ratio("frame to label, crowd / nobody", to_label["crowd"], to_label["nobody"],
                      limit=1.05),
    ]  # fmt: skip
    shown = statistics.median(rounds["one page"]["pictures_a_second"])
    cost = statistics.median(rounds["one page"]["sink_us"])
    notes = [f"the page got {shown:.1f} pictures a second; showing took {cost:.2f} us a frame"]
    harness.report(options, ratios, settings=settings, rounds=rounds, notes=notes)


if __name__ == "__main__":
    main()

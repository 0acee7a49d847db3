"""Give the page's tests a run to look at, and a headless Chromium to look with.

The browser is driven over its DevTools pipe, with the standard library alone.
"""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mejiro_runtime.sinks.web.access import Access, Address
from mejiro_runtime.sinks.web.sink import WebSink
from mejiro_runtime.types import (
    ActivationMap,
    Box,
    Classification,
    Frame,
    Label,
    PixelOrder,
    Result,
    Timing,
)

WAIT_S = 60  # far beyond what any of this takes; only a hang reaches it

# A browser reads its commands from descriptor 3 and answers on 4, which may be taken meanwhile.
PLACE_PIPES = """
import os, sys
reading, writing = (os.dup2(int(text), high) for text, high in zip(sys.argv[1:3], (60, 61)))
os.dup2(reading, 3)
os.dup2(writing, 4)
os.execv(sys.argv[3], sys.argv[3:])
"""


class Browser:
    """Hold one page of a browser that reads commands from one pipe and answers on another."""

    def __init__(self, commands: int, answers: int) -> None:
        self._commands, self._answers = commands, answers
        self._buffer = b""
        self._number = 0
        self._session: str | None = None
        self.events: list[dict[str, Any]] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Give one command and return its result; what happens meanwhile is kept in `events`."""
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._read()
            if answer.get("id") == self._number:
                assert "error" not in answer, (method, answer["error"])
                return dict(answer["result"])
            self.events.append(answer)

    def _read(self) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._answers], [], [], WAIT_S)
            piece = os.read(self._answers, 1 << 16) if ready else b""
            assert piece, "the browser does not answer"
            self._buffer += piece
        message, _, self._buffer = self._buffer.partition(b"\0")
        return dict(json.loads(message))

    def open(self, url: str) -> None:
        """Go to `url`, without waiting for what it holds."""
        self.call("Page.navigate", url=url)

    def look_like(
        self, *, width: int, height: int, phone: bool = False, dark: bool = False
    ) -> None:
        """Take a size and a colour scheme."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=2 if phone else 1, mobile=phone,
        )  # fmt: skip
        self.call("Emulation.setTouchEmulationEnabled", enabled=phone)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])

    def evaluate(self, expression: str) -> Any:
        """Return what a JavaScript expression, or the promise it gives, becomes."""
        done = self.call(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in done, (expression, done["exceptionDetails"])
        return done["result"].get("value")

    def wait_for(self, expression: str) -> Any:
        """Return the first true value of `expression`."""
        until = time.monotonic() + WAIT_S
        while time.monotonic() < until:
            # Until a page is there, much of it is not.
            if value := self.evaluate(f"(() => {{ try {{ return {expression}; }} catch {{}} }})()"):
                return value
            time.sleep(0.05)
        raise AssertionError(f"never true: {expression}; {self.complaints()}")

    def complaints(self) -> list[Any]:
        """Return what the page reported as wrong: exceptions, refusals of its policy, and so on."""
        self.evaluate("0")  # so that what was under way has come
        wrong = []
        for event in self.events:
            if event.get("method") == "Runtime.exceptionThrown":
                wrong.append(event["params"]["exceptionDetails"])
            elif event.get("method") == "Log.entryAdded":
                entry = event["params"]["entry"]
                if entry["level"] in ("error", "warning"):
                    wrong.append(entry["text"])
        return wrong

    def screenshot(self, path: Path, *, whole: bool = True) -> None:
        """Write what is seen, the part below the fold too if `whole`, as PNG."""
        shot = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(shot["data"]))


@contextmanager
def started_browser() -> Iterator[Browser]:
    """Start a browser with a profile of its own, and end it."""
    program = shutil.which("chromium")
    assert program is not None
    ours_in, theirs_out = os.pipe()
    theirs_in, ours_out = os.pipe()
    profile = tempfile.mkdtemp(prefix="mejiro-chromium-")

    process = subprocess.Popen(
        [
            sys.executable, "-c", PLACE_PIPES, str(theirs_in), str(theirs_out),
            program, "--headless=new", "--remote-debugging-pipe", f"--user-data-dir={profile}",
            "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
            "--disable-extensions", "--disable-background-networking", "--hide-scrollbars",
            "--no-proxy-server", "about:blank",
        ],
        pass_fds=(theirs_in, theirs_out),
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    os.close(theirs_in)
    os.close(theirs_out)
    try:
        browser = Browser(ours_out, ours_in)
        yield browser
        browser._session = None
        with suppress(AssertionError, OSError):
            browser.call("Browser.close")
    finally:
        os.close(ours_in)
        os.close(ours_out)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        shutil.rmtree(profile, ignore_errors=True)


@pytest.fixture
def chromium() -> Iterator[Browser]:
    """Return a page of a browser; for tests marked `requires_tool("chromium")`."""
    with started_browser() as browser:
        yield browser


class Studio:
    """Hold an open page, and show frames on it."""

    def __init__(self, access: Access, facts: dict[str, Any]) -> None:
        self.told = facts
        self.explained: list[bool] = []
        self.sink = WebSink(access, lambda: self.told, self.explained.append)  # type: ignore[arg-type]
        self.port = int(self.sink.url.partition("//")[2].partition("/")[0].rpartition(":")[2])
        self.index = 0

    def show(self, *, heat: bool = False, label: str = "red, crimson") -> None:
        """Show one more frame of 64x48: a red square on blue."""
        pixels = np.full((48, 64, 3), (200, 40, 20), np.uint8)
        pixels[12:36, 20:44] = (20, 30, 220)
        frame = Frame(pixels, PixelOrder.BGR, self.index, 0, 1000, f"test#{self.index}")
        answers = ((label, 0.83), ("vert clair", 0.12), ("目白", 0.0001))
        top = tuple(
            Classification(Label(i, name), score) for i, (name, score) in enumerate(answers)
        )
        timing = Timing(500_000, 400_000 + 1000 * (self.index % 7), 2_900_000, 30_000, 4_000_000)
        values = np.eye(4, dtype=np.float32)
        box = Box(8.0, 0.0, 56.0, 48.0)
        laid = ActivationMap(values, box, top[0].label, 80_000) if heat else None
        self.sink.show(frame, Result(self.index, frame.name, top, timing, heat=laid))
        self.index += 1


@pytest.fixture
def studio(cv2: Any) -> Iterator[Any]:
    """Return a function that opens a page, on a loopback address unless told otherwise."""
    opened = []

    def open_studio(host: str = "127.0.0.1", *, token: str | None = None, **facts: Any) -> Studio:
        access = Access(Address(host, 0), token, frozenset({"device.local"}))
        opened.append(Studio(access, facts))
        return opened[-1]

    yield open_studio
    for one in opened:
        one.sink.close()

"""Drive a headless Chromium over its DevTools pipe, with the standard library alone."""

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
            if value := self.evaluate(expression):
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
def chromium() -> Iterator[Browser]:
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

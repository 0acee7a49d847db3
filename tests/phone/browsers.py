"""Stand in for the browser of a phone: a client that posts a report, or Chromium itself."""

from __future__ import annotations

import http.client
import json
import shutil
import subprocess
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.phone.adbd import PHONE_ADDRESS


def posting(report: Mapping[str, Any], seen: list[int] | None = None) -> Callable[[str], None]:
    """Return a browser that opens the page and posts `report` with the frames it was told."""

    def post(url: str) -> None:
        parts = urlsplit(url)
        assert parts.hostname == "localhost"
        link = http.client.HTTPConnection(PHONE_ADDRESS, parts.port or 80, timeout=20)
        host = {"Host": parts.netloc}
        link.request("GET", f"{parts.path}?{parts.query}", headers=host)
        page = link.getresponse()
        page.read()
        frames = int(parse_qs(parts.query).get("frames", ["300"])[0])
        body = json.dumps({**report, "frames": frames} if "error" not in report else report)
        kind = {"Content-Type": "application/json", "Origin": f"http://{parts.netloc}"}
        link.request("POST", "/api/reports", body, host | kind)
        answer = link.getresponse()
        answer.read()
        link.close()
        if seen is not None:
            seen.extend([page.status, answer.status])

    return lambda url: threading.Thread(target=post, args=(url,), daemon=True).start()


class ChromiumOnPhone:
    """Open what a phone is told to open in headless Chromium, for which localhost is the phone.

    As on a phone it keeps what it knows of a site from one time to the next.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._processes: list[subprocess.Popen[bytes]] = []

    def __call__(self, url: str) -> None:
        program = shutil.which("chromium")
        assert program is not None
        self.close()
        words = [
            program,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--no-first-run",
            "--use-fake-ui-for-media-stream",
            "--use-fake-device-for-media-stream",
            "--remote-debugging-port=0",
            f"--host-resolver-rules=MAP localhost {PHONE_ADDRESS}",
            f"--user-data-dir={self._folder / 'profile'}",
            url,
        ]
        with (self._folder / "chromium.log").open("ab") as log:
            self._processes.append(subprocess.Popen(words, stdout=log, stderr=log))

    def close(self) -> None:
        for process in self._processes:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(10)
            process.kill()
            process.wait(10)
        self._processes.clear()

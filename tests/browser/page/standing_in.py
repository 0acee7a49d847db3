"""Make small sites of the real page with a stand-in for its core, and serve them as a host does."""

from __future__ import annotations

import hashlib
import json
import shutil
import string
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np

import mejiro_targets
from tests.browser.serving import TYPES, _Handler

WEB = Path(mejiro_targets.__file__).parent / "android" / "web"
LABELS = ("daisy", "dandelion", "rose", "sunflower", "tulip")
PASSED: dict[str, Any] = {
    "artifact": "flowers.tflite",
    "passed": True,
    "frames": 2,
    "backend": {"engine": "stand-in"},
    "kernel": "javascript",
    "tolerance": 0.0625,
    "tolerance_for": ["*", "*"],
    "largest_output": 0.0,
    "unit": "probability",
    "difference": None,
}
FAILED = {
    **PASSED,
    "passed": False,
    "largest_output": 0.5,
    "difference": {
        "stage": "infer", "frame": 1, "values": 3, "total": 5, "max_abs": 0.5, "detail": "",
    },
}  # fmt: skip
TOP = [
    {"index": 3, "name": "sunflower", "score": 0.91},
    {"index": 0, "name": "daisy", "score": 0.06},
    {"index": 1, "name": "dandelion", "score": 0.02},
    {"index": 4, "name": "tulip", "score": 0.0002},
]
BOXES = [
    {"index": 2, "name": "rose", "score": 0.8, "box": [100, 100, 300, 250]},
    {"index": 2, "name": "rose", "score": 0.6, "box": [350, 120, 500, 300]},
    {"index": 4, "name": "tulip", "score": 0.7, "box": [10, 300, 120, 470]},
]
MASK = {
    "classes": {"classes": [0, 1, 1, 2], "width": 2, "height": 2},
    "shares": [
        {"index": 1, "name": "dandelion", "share": 0.5},
        {"index": 0, "name": "background", "share": 0.25},
        {"index": 2, "name": "rose", "share": 0.25},
    ],
}


def write_page(folder: Path, *, task: str = "classification", **plan: Any) -> str:
    """Write a site of `task` whose stand-in does as `plan` says; returns its version."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(WEB, folder)
    shutil.copy(Path(__file__).with_name("stand_in_client.js"), folder / "js/core/client.js")
    manifest = string.Template((WEB / "app.webmanifest").read_text())
    (folder / "app.webmanifest").write_text(
        manifest.substitute(name="Flowers", short_name="Flowers")
    )
    for name, data in {
        "engine/simd.wasm": b"engine", "engine/compat.wasm": b"another",
        "model/flowers.tflite": b"model", "LICENSES/page.txt": b"free",
    }.items():  # fmt: skip
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(data)
    rng = np.random.default_rng(7)
    golden = rng.integers(0, 256, 2 * 24 * 32 * 3, dtype=np.uint8).tobytes()
    (folder / "model/golden.bin").write_bytes(golden)
    files = {
        str(path.relative_to(folder)): {
            "size_bytes": path.stat().st_size,
            "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        }
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
    card = {
        "file": "flowers.tflite",
        "format": "tflite",
        "precision": "int8",
        "sha256": files["model/flowers.tflite"]["sha256"],
        "input": {"resize": "crop", "crop_fraction": 0.875, "width": 224, "height": 224},
        "output": {"task": task, "detection": {"threshold": 0.5} if task == "detection" else None},
        "labels": [{"name": name, "synset": None} for name in LABELS],
    }
    entry = {
        "card": card,
        "file": "model/flowers.tflite",
        "engine": "litert.js",
        "golden": {
            "count": 2,
            "file": "model/golden.bin",
            "frames": [{"offset": n * 2304, "height": 24, "width": 32} for n in (0, 1)],
        },
    }
    stand_in = {
        "engine_file": "engine/simd.wasm",
        "verification": PASSED,
        "top": TOP,
        "boxes": BOXES,
        "mask": MASK,
        **plan,
    }
    version = hashlib.sha256(json.dumps([files, plan]).encode()).hexdigest()[:16]
    site = {
        "schema": 1,
        "name": "flowers",
        "title": "Flowers",
        "made_by": "mejiro 0.1.0",
        "target": "android-web",
        "models": [entry],
        "files": files,
        "version": version,
        "stand_in": stand_in,
    }
    (folder / "site.json").write_text(json.dumps(site))
    return version


@dataclass
class Host:
    """Say where a folder is served, what was posted and asked, and what the host answers."""

    url: str
    folder: Path
    reports: list[Any] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    takes_reports: bool = True
    refusal: tuple[int, str] | None = None


@contextmanager
def hosting(folder: Path, *, isolated: bool = True) -> Iterator[Host]:
    """Serve `folder` with the calls by which reports come home; `isolated` sends COOP and COEP."""
    host = Host("", folder)
    sends_headers = isolated

    class Handler(_Handler):
        extensions_map = TYPES
        isolated = sends_headers

        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments, directory=str(folder))

        def do_GET(self) -> None:  # noqa: N802 (the name that http.server calls)
            host.paths.append(self.path)
            if self.path == "/api/host" and host.takes_reports:
                self._say(HTTPStatus.OK, {"mejiro": "0.1.0", "site": "x", "reports": True})
            else:
                super().do_GET()

        def do_POST(self) -> None:  # noqa: N802 (the same)
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if host.refusal is not None:
                self._say(host.refusal[0], {"error": host.refusal[1]})
                return
            host.reports.append(json.loads(body))
            self._say(HTTPStatus.CREATED, {"saved": "phone.json"})

        def _say(self, status: int, value: Any) -> None:
            data = json.dumps(value).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: object, client_address: object) -> None:
            """Say nothing of browsers that hang up."""

    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        host.url = f"http://localhost:{server.server_address[1]}/"
        try:
            yield host
        finally:
            server.shutdown()
            thread.join()

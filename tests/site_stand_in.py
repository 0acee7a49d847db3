"""Write a small site for tests of what serves one: the page posts a report by itself."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mejiro.site.description import list_files, version_of
from mejiro_runtime.card import ArtifactCard, Format, OutputSpec, Precision, Scores
from mejiro_runtime.preprocess import InputSpec
from mejiro_runtime.types import Label

MODEL = "model/birds-int8.tflite"
STAGE = {"count": 300, "p50_ns": 9_700_000, "p90_ns": 11_000_000, "p95_ns": 12_000_000,
         "p99_ns": 14_000_000, "max_ns": 30_000_000}  # fmt: skip
REPORT: dict[str, Any] = {
    "kind": "browser",
    "bundle": "birds",
    "artifact": "birds-int8.tflite",
    "precision": "int8",
    "backend": {
        "name": "litert.js",
        "engine": "LiteRT.js",
        "version": "2.5.3",
        "accelerator": "wasm",
        "threads": 1,
        "requested": "wasm",
        "fallback": None,
    },
    "source": "camera 640x480",
    "device": {"board": "Pixel 8", "browser": "Chrome 156", "cpu": None, "machine": "aarch64"},
    "frames": 300,
    "elapsed_ns": 5_000_000_000,
    "frames_per_second": 60.0,
    "stages": dict.fromkeys(("preprocess", "infer", "postprocess", "frame_to_label"), STAGE),
    "verification": {"artifact": "birds-int8.tflite", "passed": True, "frames": 3},
}

PAGE = b"""<!doctype html><html lang="en"><head><meta charset="utf-8"><title>stand-in</title>
<link rel="manifest" href="app.webmanifest"><script type="module" src="js/main.js"></script>
</head><body><p id="said"></p></body></html>
"""
SCRIPT = """const report = %s;
const wanted = new URLSearchParams(location.search);
report.frames = Number(wanted.get("frames") ?? 300);
report.source = wanted.get("source") ?? "camera";
report.isolated = crossOriginIsolated;
const answer = await fetch("api/reports", {
  method: "POST",
  headers: { "content-type": "application/json" },
  body: JSON.stringify(report),
});
document.getElementById("said").textContent = `${answer.status} ${await answer.text()}`;
document.documentElement.dataset.state = "stopped";
"""


def changed_report(**more: Any) -> dict[str, Any]:
    """Return a report of a page with some fields replaced."""
    return {**copy.deepcopy(REPORT), **more}


def site_files(report: Mapping[str, Any] = REPORT) -> dict[str, bytes]:
    """Return what a small site holds."""
    return {
        "index.html": PAGE,
        "app.webmanifest": json.dumps({"name": "birds", "start_url": "./"}).encode(),
        "sw.js": b"self.addEventListener('fetch', () => {});\n",
        "js/main.js": (SCRIPT % json.dumps(report)).encode(),
        "engine/litert/litert.wasm": b"\0asm\1\0\0\0" * 500,
        MODEL: bytes(range(256)) * 40,
        "model/golden.bin": b"",
        "LICENSES/litert": b"Apache License\n",
    }


def write_site(folder: Path, files: Mapping[str, bytes] | None = None) -> Path:
    """Write a site's files and the site.json that lists them; return the folder."""
    files = site_files() if files is None else files
    for path, body in files.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(body)
    listed = list_files(folder)
    value = {
        "schema": 1,
        "name": "birds",
        "title": "Birds",
        "made_by": "mejiro 0.1.0",
        "target": "android-web",
        "models": [_model(files[MODEL])],
        "files": {path: dict(entry._asdict()) for path, entry in listed.items()},
        "version": version_of(listed),
    }
    (folder / "site.json").write_text(json.dumps(value))
    return folder


def _model(body: bytes) -> dict[str, Any]:
    sha256 = hashlib.sha256(body).hexdigest()
    card = ArtifactCard(
        file="birds-int8.tflite",
        format=Format.TFLITE,
        precision=Precision.INT8,
        input=InputSpec(height=8, width=8),
        output=OutputSpec(scores=Scores.PROBABILITIES),
        size_bytes=len(body),
        sha256=sha256,
        labels=(Label(0, "wren"), Label(1, "white-eye")),
    )
    return {
        "card": card.to_json(),
        "file": MODEL,
        "sha256": sha256,
        "size_bytes": len(body),
        "engine": "litert.js",
        "engine_version": "2.5.3",
        "golden": {"count": 0, "file": "model/golden.bin"},
    }

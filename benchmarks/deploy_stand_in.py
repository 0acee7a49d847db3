"""Write bundles that need no download: install.sh copies one small program called mejiro-run."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

from mejiro_runtime.bundle import checksums_text
from mejiro_runtime.card import ArtifactCard, Format, OutputSpec, Precision, Scores
from mejiro_runtime.files import sha256_of, write_json
from mejiro_runtime.manifest import FileEntry, Golden, GoldenOutputs, Manifest
from mejiro_runtime.preprocess import InputSpec
from mejiro_runtime.types import Label

INSTALLER = """\
#!/bin/sh
set -eu
case "$(cat behaviour.json)" in
*no-install*) echo "no wheel fits this device" >&2; exit 1 ;;
esac
mkdir -p "$2/bin"
cp wheels/program "$2/bin/mejiro-run"
chmod 755 "$2/bin/mejiro-run"
echo "$2"
"""
# Behaves as behaviour.json in the bundle says: {"verify": "fail"}, {"run": "crash"}, ...
PROGRAM = """\
#!/usr/bin/env python3
import json, os, sys, time
command, bundle, words = sys.argv[1], sys.argv[2], sys.argv[3:]
with open(os.path.join(bundle, "behaviour.json")) as stream:
    behaviour = json.load(stream)
how = behaviour.get(command, "well")
if "synthetic:640x480" in words and command == "run":
    how = behaviour.get("health", "well")
def fail(text):
    sys.exit("mejiro-run: error: " + text)
if how == "illegal":
    os.kill(os.getpid(), 4)
if command == "verify":
    print(json.dumps({"passed": how == "well", "artifacts": [
        {"artifact": "m", "passed": how == "well", "difference": "infer: 3 values differ"}]}))
    sys.exit(how != "well")
if command == "tune":
    if how != "well":
        fail("it cannot be timed")
    with open(bundle + ".tuned.json", "w") as stream:
        stream.write("{}")
    print(json.dumps({"choice": {"artifact": "m"}}))
    sys.exit(0)
if how == "busy":
    fail("camera 0 is used by another program; end that one")
if command == "bench":
    asked = [words[at + 1] for at, word in enumerate(words) if word == "--require"]
    verdict = "PASS" if how == "well" else "FAIL"
    judged = [{"requirement": one, "verdict": verdict, "measured": 9.0, "unit": "ms",
               "why": "200 frames"} for one in asked]
    print(json.dumps({"bundle": bundle, "requirements": judged,
                      "stages": {"frame_to_label": {"p50_ns": 9000000}}}))
    sys.exit(bool(asked) and how != "well")
frame_s = float(behaviour.get("frame_s", "0.002"))
frames = int(words[words.index("--frames") + 1]) if "--frames" in words else 10**9
if how == "silent":
    time.sleep(1000)
age_ns = 900_000_000 if how == "slow" else 5_000_000
for frame in range(frames):
    print(json.dumps({"frame": frame, "capture_ns": 1000, "preprocess_ns": 2000, "infer_ns": 3000,
                      "postprocess_ns": 400, "age_ns": age_ns}), flush=True)
    time.sleep(frame_s)
"""


def write_stand_in(
    folder: Path,
    *,
    model: bytes = b"a model",
    behaviour: dict[str, str] | None = None,
    more: dict[str, bytes] | None = None,
    target: str = "linux-x86_64",
) -> Path:
    """Write a bundle to `folder` and return it; `more` adds files by their path."""
    shutil.rmtree(folder, ignore_errors=True)
    texts: dict[str, bytes] = {
        "models/m.onnx": model,
        "labels.txt": b"\tcat\n",
        "golden/frames.npz": b"frames",
        "golden/inputs.npz": b"inputs",
        "golden/outputs.npz": b"outputs",
        "install.sh": INSTALLER.encode(),
        "wheels/program": PROGRAM.encode(),
        "wheels/requirements.txt": b"",
        "behaviour.json": json.dumps(behaviour or {}).encode(),
        **(more or {}),
    }
    for path, data in texts.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
    files = {
        path: FileEntry(len(data), hashlib.sha256(data).hexdigest()) for path, data in texts.items()
    }
    manifest = _manifest(folder.name, model, files, target)
    write_json(folder / "manifest.json", manifest.to_json())
    sums = checksums_text(sha256_of(folder / "manifest.json"), manifest)
    (folder / "SHA256SUMS").write_text(sums, encoding="utf-8")
    return folder


def _manifest(name: str, model: bytes, files: dict[str, FileEntry], target: str) -> Manifest:
    card = ArtifactCard(
        file="m.onnx",
        format=Format.ONNX,
        precision=Precision.FP32,
        input=InputSpec(height=8, width=8),
        output=OutputSpec(scores=Scores.PROBABILITIES),
        size_bytes=len(model),
        sha256=hashlib.sha256(model).hexdigest(),
        labels=(Label(0, "cat", ""),),
    )
    expected: Any = GoldenOutputs("m.onnx", "golden/inputs.npz", "golden/outputs.npz", {}, ())
    return Manifest(
        name=name,
        made_by="a test",
        artifacts=(card,),
        labels="labels.txt",
        golden=Golden("golden/frames.npz", 1, (expected,)),
        runtime={"version": "0"},
        target=target,
        files=files,
    )


def release_of(bundle: Path) -> str:
    """Return the name of the release that a bundle becomes."""
    return sha256_of(bundle / "manifest.json")[:16]

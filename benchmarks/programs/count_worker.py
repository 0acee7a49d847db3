"""Mark what a frame costs, for count_instructions.c: runs on a device, or to compare here.

    count_worker.py OUT_NPZ FRAMES_NPZ BUNDLE|TFLITE...

Of each int8 file of a BUNDLE there is, for each frame, a mark after the whole frame (BGR pixels in,
label out), after preprocessing, and after the engine alone on the tensor that it holds; of a TFLITE
file, which has no card, the engine alone is counted, on seeded noise. A mark's number says which:
100 × place + STAGES, where the place is that of the file. Raw outputs go to OUT_NPZ, in that order,
and `names.json` beside it says which file has which place, and on what engine.
"""

from __future__ import annotations

import ctypes
import gc
import json
import platform
import sys
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mejiro_runtime.backends import Backend, open_backend, parse_request
from mejiro_runtime.bundle import open_bundle
from mejiro_runtime.card import Format
from mejiro_runtime.model import Model, open_model
from mejiro_runtime.pipeline import Pipeline
from mejiro_runtime.types import Frame, PixelOrder

# What ends at a mark of this number. The last is what marking costs.
STAGES = {"nothing counted": 0, "whole frame": 1, "preprocess": 2, "engine": 3, "mark": 4}
WARM_FRAMES = 2

Pixels = NDArray[np.uint8]
Outputs = list[NDArray[Any]]
_libc = ctypes.CDLL(None)
_MARKS = platform.machine() == "aarch64"


class Frames:
    """Give the frames once; see `mejiro_runtime.sources`."""

    live = False
    description = "photographs 640x480"

    def __init__(self, frames: list[Pixels]) -> None:
        self._frames = frames
        self.skipped: list[str] = []

    def frames(self) -> Iterator[Frame]:
        for index, pixels in enumerate(self._frames):
            yield Frame(pixels, PixelOrder.BGR, index, 0, 0)

    def __enter__(self) -> Frames:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        return None


def mark(number: int) -> None:
    """Tell the plugin that this place was reached; elsewhere the system call has another number."""
    if _MARKS:
        _libc.syscall(141, 0x51, number)


def count_frames(place: int, model: Model, frames: list[Pixels]) -> Outputs:
    """Mark the stages of each frame; return the raw outputs of each."""

    def ends(stage: str) -> None:
        mark(100 * place + STAGES[stage])

    outputs = []
    with Pipeline(Frames(frames[:WARM_FRAMES] + frames), model) as pipeline:
        steps = pipeline.steps()
        for _ in range(WARM_FRAMES):
            next(steps)
        for pixels in frames:
            frame = Frame(pixels, PixelOrder.BGR, 0, 0, 0)
            ends("nothing counted")
            ends("mark")
            _ = next(steps).result.top[0].label.name
            ends("whole frame")
            model.preprocess(frame)
            ends("preprocess")
            model.backend.invoke()
            ends("engine")
            outputs.append(model.infer(model.preprocess(frame)).copy())
    return outputs


def count_engine(place: int, backend: Backend, times: int) -> Outputs:
    """Mark the engine alone on seeded noise; return its raw outputs."""
    rng, outputs = np.random.default_rng(0), []
    (described,) = backend.inputs
    backend.infer(np.zeros(described.shape, described.dtype))
    for _ in range(WARM_FRAMES):
        backend.invoke()
    for _ in range(times):
        noise = rng.integers(0, 256, described.shape)
        outputs.append(backend.infer(noise.astype(described.dtype))[0].copy())
        mark(100 * place + STAGES["nothing counted"])
        mark(100 * place + STAGES["mark"])
        backend.invoke()
        mark(100 * place + STAGES["engine"])
    return outputs


def main(out: str, frames_file: str, given: list[str]) -> None:
    cv2.setNumThreads(1)
    with np.load(frames_file, allow_pickle=False) as members:
        frames = [members[name] for name in sorted(members.files)]
    found: list[NDArray[Any]] = []
    names: list[dict[str, str]] = []

    def keep(file: str, backend: Backend, outputs: Outputs) -> None:
        found.append(np.stack(outputs))
        engine = f"{backend.info.engine} {backend.info.version}, {backend.info.accelerator}"
        names.append({"file": file, "engine": engine})

    for path in map(Path, given):
        if path.is_dir():
            bundle = open_bundle(path)
            for card in bundle.manifest.artifacts:
                card = bundle.card(card.file)
                with open_model(bundle.model_path(card), card, threads=1) as model:
                    gc.collect()
                    keep(card.file, model.backend, count_frames(len(found), model, frames))
        else:
            backend = open_backend(path, parse_request(None, Format.TFLITE, threads=1))
            gc.collect()
            keep(path.name, backend, count_engine(len(found), backend, len(frames)))
            backend.close()
    np.savez(out, *found)
    Path(out).with_name("names.json").write_text(json.dumps(names), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3:])

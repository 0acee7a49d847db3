"""Measure what the pipeline promises: throughput with overlap, the age of frames, its memory.

* overlap: frames a second of a video file, read and preprocessed ahead of the engine, over those
  of the bare engine; the file is opened anew for each round, and so is the model;
* age: the 99th percentile at a synthetic camera of 30 frames a second, with a simulated engine
  that takes 60 ms, over 60 + 34 + 5 ms;
* memory: what a run of 500,000 synthetic frames holds at its end, less what it held after 1,000,
  over 2 MB; the engine is simulated, so that all that could grow is the pipeline's own.

    python benchmarks/pipeline.py [--quick] [--bundle DIR] [--out FILE]
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import harness
import numpy as np
from numpy.typing import NDArray

from mejiro_runtime.backends import BackendInfo, TensorInfo
from mejiro_runtime.bench import measure_overlap
from mejiro_runtime.bundle import open_bundle
from mejiro_runtime.card import ArtifactCard, Format, OutputSpec, Precision
from mejiro_runtime.latency import Distribution, LatencyRecorder
from mejiro_runtime.model import Model, open_model
from mejiro_runtime.pipeline import Pipeline
from mejiro_runtime.preprocess import InputSpec
from mejiro_runtime.sensors import read_sensors
from mejiro_runtime.sources.synthetic import SyntheticSource
from mejiro_runtime.sources.video import VideoSource
from mejiro_runtime.types import Label

THREADS = (1, 2)
ROUNDS, QUICK_ROUNDS = 20, 3
OVERLAP_FRAMES, QUICK_OVERLAP_FRAMES = 400, 80
CLIP_FRAMES = 300
AGE_FRAMES, QUICK_AGE_FRAMES = 400, 60
AGE_ROUNDS, QUICK_AGE_ROUNDS = 5, 1
ENGINE_S, CAMERA_FPS = 0.060, 30.0
AGE_LIMIT_NS = 60e6 + 34e6 + 5e6
MEMORY_FRAMES, QUICK_MEMORY_FRAMES = 500_000, 20_000
MEMORY_WARM_FRAMES = 1_000
MEMORY_LIMIT_BYTES = 2e6
SIDE = 16


class SimulatedBackend:
    """Stand for an engine that takes `seconds` and always gives the same: see `Backend`."""

    def __init__(self, spec: InputSpec, *, seconds: float = 0.0) -> None:
        given = TensorInfo("pixels", spec.shape, spec.dtype.value)
        self.inputs: tuple[TensorInfo, ...] = (given,)
        self.outputs: tuple[TensorInfo, ...] = (TensorInfo("scores", (1, 2), "float32"),)
        self.info = BackendInfo("litert", "simulated", "1", "none", 1, "simulated")
        self._memory = np.zeros(spec.shape, dtype=spec.dtype.value)
        self._scores = np.array([[0.25, 0.75]], np.float32)
        self._seconds = seconds

    def infer(self, *tensors: NDArray[Any]) -> tuple[NDArray[Any], ...]:
        self._memory[...] = tensors[0]
        return self.run()

    def borrow_input(self) -> NDArray[Any]:
        return self._memory

    def run(self, count: int = 1) -> tuple[NDArray[Any], ...]:
        self.invoke()
        return (self._scores.copy(),)

    def invoke(self) -> None:
        if self._seconds:
            time.sleep(self._seconds)

    def close(self) -> None:
        return None


def simulated_model(seconds: float = 0.0) -> Model:
    """Return a model of two classes on the simulated engine."""
    spec = InputSpec(SIDE, SIDE)
    card = ArtifactCard(
        "simulated.tflite", Format.TFLITE, Precision.UNKNOWN, spec, OutputSpec(), 0, "",
        labels=(Label(0, "one"), Label(1, "two")),
    )  # fmt: skip
    return Model(card, SimulatedBackend(spec, seconds=seconds))


def make_clip() -> Path:
    """Return a video of the photographs, which move as a camera's pictures do."""
    path = harness.CACHE / "clip.mp4"
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        size = (harness.FRAME_WIDTH, harness.FRAME_HEIGHT)
        writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 30, size)
        pictures = harness.photographs()
        for number in range(CLIP_FRAMES):
            picture = pictures[number * len(pictures) // CLIP_FRAMES]
            writer.write(np.roll(picture, 2 * number, axis=1))
        writer.release()
    return path


def overlap_way(
    folder: Path, clip: Path, frames: int, threads: int
) -> Callable[[], dict[str, float]]:
    """Return one round: the frames a second of each way, on a model and a file opened anew."""
    bundle = open_bundle(folder)
    card = next(c for c in bundle.manifest.artifacts if c.format is Format.TFLITE)
    card = bundle.card(card.file)

    def run() -> dict[str, float]:
        with open_model(bundle.model_path(card), card, threads=threads) as model:
            found = measure_overlap(VideoSource(clip), model, frames=frames)
        if found is None:
            raise SystemExit(f"{frames} frames are too few for a block")
        return {"overlap": found.with_overlap, "without": found.without, "bare": found.bare}

    return run


def age_p99_ns(frames: int) -> int:
    """Return the 99th percentile of the age of `frames` frames, in nanoseconds."""
    source = SyntheticSource(harness.FRAME_WIDTH, harness.FRAME_HEIGHT, CAMERA_FPS)
    with Pipeline(source, simulated_model(ENGINE_S)) as pipeline:
        ages = [step.result.timing.age_ns for step in pipeline.steps(frames)]
    return Distribution.of(ages).p99_ns


def growth_bytes(frames: int, *, overlap: bool) -> int:
    """Return by how much a run of `frames` frames has grown since its thousandth."""
    recorder, before = LatencyRecorder(), 0
    source = SyntheticSource(SIDE, SIDE)
    with Pipeline(source, simulated_model(), overlap=overlap) as pipeline:
        for number, step in enumerate(pipeline.steps(frames)):
            recorder.add(step.result.timing, step.sink_ns)
            if number + 1 == MEMORY_WARM_FRAMES:
                gc.collect()
                before = read_sensors().memory_bytes or 0
    gc.collect()
    return (read_sensors().memory_bytes or 0) - before


def main() -> None:
    options = harness.parse_arguments(__doc__)
    quick = options.quick
    memory_frames = QUICK_MEMORY_FRAMES if quick else MEMORY_FRAMES
    growth = {
        "memory": float(growth_bytes(memory_frames, overlap=False)),
        "memory with overlap": float(growth_bytes(memory_frames, overlap=True)),
    }
    ages = [
        float(age_p99_ns(QUICK_AGE_FRAMES if quick else AGE_FRAMES))
        for _ in range(QUICK_AGE_ROUNDS if quick else AGE_ROUNDS)
    ]
    folder, clip = harness.bundle_folder(options), make_clip()
    frames = QUICK_OVERLAP_FRAMES if quick else OVERLAP_FRAMES
    ways = {f"{threads} threads": overlap_way(folder, clip, frames, threads) for threads in THREADS}
    rounds = harness.take_turns(ways, QUICK_ROUNDS if quick else ROUNDS)
    ratios = [
        *(
            harness.ratio(
                f"with overlap / bare engine, {name}", rates["overlap"], rates["bare"],
                limit=0.92, lower_is_better=False,
            )
            for name, rates in rounds.items()
        ),
        *(
            harness.ratio(f"with overlap / without, {name}", rates["overlap"], rates["without"])
            for name, rates in rounds.items()
        ),
        harness.ratio(
            "age p99 / (60 + 34 + 5 ms)", ages, [AGE_LIMIT_NS] * len(ages), limit=1.0
        ),
        *(
            harness.ratio(f"{name}: growth / 2 MB", [value], [MEMORY_LIMIT_BYTES], limit=1.0)
            for name, value in growth.items()
        ),
    ]  # fmt: skip
    harness.report(
        options,
        ratios,
        settings={
            "threads": list(THREADS),
            "camera_fps": CAMERA_FPS,
            "engine_ms": ENGINE_S * 1e3,
            "memory_frames": memory_frames,
        },
        rounds={
            "frames a second": rounds,
            "age p99, ms": {"synthetic": [age / 1e6 for age in ages]},
            "growth, bytes": {name: [value] for name, value in growth.items()},
        },
    )


if __name__ == "__main__":
    main()

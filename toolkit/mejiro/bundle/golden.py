"""Choose golden frames and record what each artifact must answer to them.

A device that gets the same input tensors and nearly the same answers from these frames
runs the model that was scored. How near depends on engine and CPU: the tolerances are measured
here where they can be, between two implementations of the same arithmetic.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mejiro.errors import DataError
from mejiro.model import Artifact
from mejiro_runtime.backends import backend_for, default_threads
from mejiro_runtime.card import Precision, Task
from mejiro_runtime.golden import machine
from mejiro_runtime.kernels import NumpyKernel, Pixels
from mejiro_runtime.manifest import Tolerance
from mejiro_runtime.model import Model, open_model
from mejiro_runtime.postprocess.protocol import Reader
from mejiro_runtime.types import Frame, PixelOrder

GOLDEN_FRAMES = 8
# Longest side of each frame by the input's: shrunk little, shrunk by more than 2 (so that the
# halving takes part), and enlarged; the odd numbers give odd sizes.
SIDE_FACTORS = (1.93, 1.43, 1.15, 3.15, 1.61, 0.91, 1.29, 2.41)
# The variant of each backend that does the same arithmetic by other code.
REFERENCE_VARIANTS = {"litert": "litert:builtin", "onnxruntime": "onnxruntime:unoptimized"}


@dataclass(frozen=True)
class Floors:
    """Hold the least tolerance, in the unit of the task's reader, whatever was measured.

    `same` is for the same engine on the same type of machine, `other_machine` for the same
    engine elsewhere, `other_engine` for any other.
    """

    same: float
    other_machine: float
    other_engine: float


# An 8-bit probability has steps of 1/256. Seen: at most 1 step between ARM and x86 for one
# engine, 15 steps between engines. Float differs by the order of additions alone.
_PROBABILITIES = {
    Precision.INT8: Floors(2 / 256, 4 / 256, 16 / 256),
    Precision.UNKNOWN: Floors(2 / 256, 4 / 256, 16 / 256),
    Precision.FP16: Floors(1e-3, 2e-3, 1e-2),
    Precision.FP32: Floors(1e-4, 1e-4, 1e-3),
}
# In the score of a box. Seen: 0.02 between two sets of kernels for an 8-bit detector.
_BOXES = {
    Precision.INT8: Floors(0.02, 0.06, 0.15),
    Precision.UNKNOWN: Floors(0.02, 0.06, 0.15),
    Precision.FP16: Floors(0.005, 0.01, 0.05),
    Precision.FP32: Floors(1e-3, 2e-3, 1e-2),
}
# Part of a map's places. Seen: 0.021 between two sets of kernels for an 8-bit segmentation.
_MAPS = {
    Precision.INT8: Floors(0.002, 0.02, 0.06),
    Precision.UNKNOWN: Floors(0.002, 0.02, 0.06),
    Precision.FP16: Floors(1e-3, 2e-3, 1e-2),
    Precision.FP32: Floors(1e-4, 1e-3, 5e-3),
}
FLOORS = {
    Task.CLASSIFICATION: _PROBABILITIES,
    Task.DETECTION: _BOXES,
    Task.SEGMENTATION: _MAPS,
}


@dataclass(frozen=True, eq=False)
class Recorded:
    """Hold what one artifact made of the golden frames.

    `inputs` are tensors as its card says, `outputs` what its task's reader records of a frame.
    """

    inputs: list[NDArray[Any]]
    outputs: list[NDArray[Any]]
    made_with: dict[str, Any]
    tolerances: tuple[Tolerance, ...]


def scale_frames(pictures: Sequence[Pixels], side: int) -> list[Pixels]:
    """Return the BGR pictures resized exactly, so that their longest sides follow SIDE_FACTORS."""
    kernel = NumpyKernel()
    frames = []
    for index, pixels in enumerate(pictures):
        height, width = pixels.shape[:2]
        ratio = SIDE_FACTORS[index % len(SIDE_FACTORS)] * side / max(height, width)
        while ratio <= 0.5:  # a plain bilinear step of more than 2 would alias
            pixels = kernel.linear_exact(pixels, max(1, width // 2), max(1, height // 2))
            height, width = pixels.shape[:2]
            ratio *= 2
        size = (max(1, round(width * ratio)), max(1, round(height * ratio)))
        frames.append(kernel.linear_exact(pixels, *size))
    return frames


def choose_frames(
    artifacts: Sequence[Artifact], candidates: Sequence[Pixels], count: int = GOLDEN_FRAMES
) -> list[Pixels]:
    """Return the `count` of `candidates` that all artifacts answer most decidedly.

    A frame whose first two answers are nearly equal would fail on a device for a difference
    that means nothing. With fewer candidates, parts of them fill the number up. The order of
    the candidates is kept. Raises DataError if there is none.
    """
    if not candidates:
        raise DataError("there are no pictures to make golden frames of; give a folder of some")
    pool = list(candidates)
    while len(pool) < count:
        pool += [_corner(pixels, len(pool) + step) for step, pixels in enumerate(candidates)]
    side = max(max(a.card.input.width, a.card.input.height) for a in artifacts)
    scaled = scale_frames(pool, side)
    margins = np.full(len(scaled), np.inf)
    for artifact in artifacts:
        with _open(artifact, threads=1) as model:
            for index, pixels in enumerate(scaled):
                model.reset()
                outputs = model.outputs(model.preprocess(_frame(pixels, index)))
                margin = model.reader.margin(outputs, *pixels.shape[:2])
                margins[index] = min(margins[index], margin)
    best = np.sort(np.argsort(-margins, kind="stable")[:count])
    return [scaled[index] for index in best]


def record(artifact: Artifact, frames: Sequence[Pixels]) -> Recorded:
    """Run the golden frames through `artifact` and measure how far its answers may spread.

    The outputs are those of one thread. The same frames are run again with more threads, and
    through the backend's reference kernels where it has some: two implementations of the same
    arithmetic differ about as much as two machines do. Raises DataError if a detector sees
    nothing in them.
    """
    backend = backend_for(artifact.card.format)
    one = _run(artifact, frames, threads=1)
    if artifact.card.output.task is Task.DETECTION and not any(map(len, one.outputs)):
        raise DataError(
            f"{artifact.card.file} sees nothing in any golden frame, so they would tell nothing; "
            "give a folder of pictures of what it detects as --golden"
        )
    again = _run(artifact, frames, threads=max(2, default_threads()))
    reference = _run(artifact, frames, threads=1, backend=REFERENCE_VARIANTS[backend])
    by_threads, by_kernels = _spread(one, again), _spread(one, reference)
    floors = FLOORS[artifact.card.output.task][artifact.card.precision]
    where = machine()
    tolerances = (
        Tolerance(
            backend,
            where,
            max(floors.same, 2 * by_threads),
            f"same engine, same machine type; {by_threads:.2g} measured between numbers of threads",
        ),
        Tolerance(
            backend,
            "*",
            max(floors.other_machine, by_kernels),
            f"same engine, other machine type; {by_kernels:.2g} measured between its kernels",
        ),
        Tolerance(
            "*",
            "*",
            max(floors.other_engine, 2 * by_kernels),
            f"another engine; {by_kernels:.2g} measured between two sets of kernels",
        ),
    )
    return Recorded(one.inputs, one.outputs, {**one.made_with, "machine": where}, tolerances)


@dataclass(frozen=True, eq=False)
class _Run:
    """Hold one way of running the golden frames; `reader` compares its outputs."""

    inputs: list[NDArray[Any]]
    outputs: list[NDArray[Any]]
    made_with: dict[str, Any]
    reader: Reader


def _run(
    artifact: Artifact, frames: Sequence[Pixels], *, threads: int, backend: str | None = None
) -> _Run:
    inputs, outputs = [], []
    with _open(artifact, threads=threads, backend=backend) as model:
        for index, pixels in enumerate(frames):
            tensor = model.preprocess(_frame(pixels, index)).copy()
            inputs.append(tensor)
            model.reset()
            outputs.append(model.reader.record(model.outputs(tensor), *pixels.shape[:2]).copy())
        return _Run(inputs, outputs, model.info.to_json(), model.reader)


def _spread(one: _Run, other: _Run) -> float:
    pairs = zip(one.outputs, other.outputs, strict=True)
    return max(one.reader.compare(b, a).size for a, b in pairs)


def _open(artifact: Artifact, *, threads: int, backend: str | None = None) -> Model:
    return open_model(artifact.path, artifact.card, threads=threads, backend=backend)


def _frame(pixels: Pixels, index: int) -> Frame:
    return Frame(pixels, PixelOrder.BGR, index, captured_ns=0, capture_ns=0)


def _corner(pixels: Pixels, turn: int) -> Pixels:
    """Return three quarters of a picture, from one of its corners, mirrored every other time."""
    height, width = (max(1, size * 3 // 4) for size in pixels.shape[:2])
    top = 0 if turn % 2 else pixels.shape[0] - height
    left = 0 if turn // 2 % 2 else pixels.shape[1] - width
    part = pixels[top : top + height, left : left + width]
    return np.ascontiguousarray(part[:, ::-1] if turn % 3 else part)

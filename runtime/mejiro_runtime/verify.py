"""Replay a bundle's golden frames and say which stage differs first, and by how much."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np

from mejiro_runtime.bundle import Bundle
from mejiro_runtime.errors import BundleError
from mejiro_runtime.golden import machine, read_arrays, tolerance_for
from mejiro_runtime.manifest import Tolerance
from mejiro_runtime.model import Model
from mejiro_runtime.types import Frame, PixelOrder


class Stage(str, Enum):
    """Name the stages that golden frames can tell apart, in order."""

    PREPROCESS = "preprocess"
    INFER = "infer"
    LABEL = "label"


@dataclass(frozen=True)
class Difference:
    """Say how one stage's result for one golden frame differs from the recorded one.

    `values` of `total` differ, the largest by `max_abs`: in the tensor's own units for
    PREPROCESS, in the `unit` of the task's reader for INFER. For LABEL, `detail` says what other
    answer was given.
    """

    stage: Stage
    frame: int
    values: int
    total: int
    max_abs: float
    detail: str = ""

    def __str__(self) -> str:
        if self.stage is Stage.LABEL:
            return f"label of golden frame {self.frame}: {self.detail}"
        return (
            f"{self.stage.value} of golden frame {self.frame}: {self.values} of {self.total} "
            f"values differ, the largest by {self.max_abs:.6g}"
        )


@dataclass(frozen=True)
class Verification:
    """Hold the verdict on one artifact: `difference` is the first that is not allowed, or None.

    `largest_output` is the largest difference of outputs that was seen in any frame, in `unit`.
    """

    artifact: str
    backend: dict[str, Any]
    kernel: str
    frames: int
    tolerance: Tolerance
    largest_output: float
    difference: Difference | None
    unit: str = "probability"

    @property
    def passed(self) -> bool:
        """Whether every golden frame came out as it must."""
        return self.difference is None

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        found = self.difference
        return {
            "artifact": self.artifact,
            "passed": self.passed,
            "frames": self.frames,
            "backend": self.backend,
            "kernel": self.kernel,
            "tolerance": self.tolerance.max_abs,
            "tolerance_for": [self.tolerance.backend, self.tolerance.machine],
            "largest_output": self.largest_output,
            "unit": self.unit,
            "difference": found
            and {
                "stage": found.stage.value,
                "frame": found.frame,
                "values": found.values,
                "total": found.total,
                "max_abs": found.max_abs,
                "detail": found.detail,
            },
        }


def verify(bundle: Bundle, model: Model) -> Verification:
    """Replay the golden frames of `bundle` through `model`, one of its artifacts.

    Input tensors must be equal to the bit. The engine is given the recorded tensors, so that a
    fault of preprocessing is not counted twice; what is read from its outputs must lie within the
    tolerance recorded for this backend and machine, and give the recorded answer. Each frame is
    the first of a stream.
    """
    golden = bundle.manifest.golden
    expected = next((e for e in golden.expected if e.artifact == model.card.file), None)
    if expected is None:
        raise BundleError(f"the bundle has no golden outputs for {model.card.file}; write it again")
    frames = read_arrays(bundle.folder / golden.frames, golden.count)
    inputs = read_arrays(bundle.folder / expected.inputs, golden.count)
    outputs = read_arrays(bundle.folder / expected.outputs, golden.count)
    other_engine = expected.made_with.get("engine", model.info.engine) != model.info.engine
    tolerance = tolerance_for(
        expected.tolerances, model.info.name, machine(), other_engine=other_engine
    )
    found: list[Difference] = []
    largest = 0.0
    for index, (pixels, tensor, wanted) in enumerate(zip(frames, inputs, outputs, strict=True)):
        if (
            tensor.shape != model.card.input.shape
            or tensor.dtype != model.card.input.dtype.value
            or not np.isfinite(tensor).all()
            or not model.reader.fits(wanted)
        ):
            raise BundleError(
                f"golden frame {index} does not fit {model.card.file}; write it again"
            )
        frame = Frame(pixels, PixelOrder.BGR, index, captured_ns=0, capture_ns=0)
        made = model.preprocess(frame)
        if (made != tensor).any():
            found.append(_compare(index, made, tensor))
        model.reset()
        record = model.reader.record(model.outputs(tensor), *pixels.shape[:2])
        gap = model.reader.compare(record, wanted)
        largest = max(largest, gap.size)
        if gap.size > tolerance.max_abs:
            found.append(Difference(Stage.INFER, index, gap.values, gap.total, gap.size))
        if gap.answer:
            found.append(Difference(Stage.LABEL, index, 1, 1, gap.size, gap.answer))
    order = list(Stage)
    first = min(found, key=lambda d: (order.index(d.stage), d.frame), default=None)
    return Verification(
        artifact=model.card.file,
        backend=model.info.to_json(),
        kernel=model.preprocessor.kernel.name,
        frames=golden.count,
        tolerance=tolerance,
        largest_output=largest,
        difference=first,
        unit=model.reader.unit,
    )


def _compare(frame: int, made: Any, wanted: Any) -> Difference:
    gap = np.abs(made.astype(np.float64) - wanted.astype(np.float64))
    return Difference(
        Stage.PREPROCESS, frame, int((gap > 0).sum()), int(gap.size), float(gap.max())
    )

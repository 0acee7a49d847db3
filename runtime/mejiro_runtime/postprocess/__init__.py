"""Turn raw outputs into answers: one file per task."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, NamedTuple

from mejiro_runtime.card import ArtifactCard, Task
from mejiro_runtime.errors import ModelError, UsageError

if TYPE_CHECKING:
    from mejiro_runtime.postprocess.protocol import Reader
    from mejiro_runtime.preprocess import TensorInfo

__all__ = ["READERS", "ReadOptions", "make_reader"]

# Task -> the module that offers ``make_reader(card, outputs, options)``, imported when it is used.
READERS: dict[Task, str] = {
    Task.CLASSIFICATION: "mejiro_runtime.postprocess.classification",
    Task.DETECTION: "mejiro_runtime.postprocess.detection",
    Task.SEGMENTATION: "mejiro_runtime.postprocess.segmentation",
}


class ReadOptions(NamedTuple):
    """Hold what a user may choose of the answers; each task takes what it knows.

    `top` classes are given at most. What scores below `threshold` (0..1) is left out; None means
    all of a classifier's, and for a detector what its card says. `smooth` is the number of
    frames after which a classifier's answer to one frame counts half; None means that each
    frame is answered by itself.
    """

    top: int = 5
    threshold: float | None = None
    smooth: float | None = None


def make_reader(
    card: ArtifactCard, outputs: tuple[TensorInfo, ...], options: ReadOptions
) -> Reader:
    """Return what reads the `outputs` of the file that `card` describes.

    Raises ModelError if they are not as the card says, and UsageError for an option that the
    task does not know or that is out of its range.
    """
    if options.threshold is not None and not 0 <= options.threshold <= 1:
        raise UsageError(f"--threshold must lie in 0..1, found {options.threshold}")
    if options.smooth is not None and not 0 < options.smooth <= 1e6:
        raise UsageError(f"--smooth must be a number of frames above 0, found {options.smooth}")
    task = card.output.task
    if options.smooth is not None and task is not Task.CLASSIFICATION:
        raise UsageError(f"--smooth is for classifiers, {card.file} is for {task.value}")
    if options.threshold is not None and task is Task.SEGMENTATION:
        raise UsageError(f"--threshold is for scores, {card.file} is for {task.value}")
    if not outputs:
        raise ModelError(f"{card.file} has no outputs, one is expected")
    reader: Reader = importlib.import_module(READERS[task]).make_reader(card, outputs, options)
    return reader

"""Hold what a model file says of itself, before anything is asked or assumed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from mejiro_runtime.card import Format, Precision, Scores
from mejiro_runtime.errors import ModelError
from mejiro_runtime.preprocess import Quantization, TensorType
from mejiro_runtime.types import PixelOrder

ONLY_CLASSIFIERS = (
    "without --task only classifiers are adopted: one picture in, one score for each class out"
)
# Operators that only detectors end in.
DETECTION_OPERATORS = frozenset(
    {
        "TFLite_Detection_PostProcess",
        "NON_MAX_SUPPRESSION_V4",
        "NON_MAX_SUPPRESSION_V5",
        "NonMaxSuppression",
        "EfficientNMS_TRT",
        "BatchedNMS_TRT",
    }
)
_SHOWN_CHARACTERS = 60


def shown(text: str) -> str:
    """Return a name from a stranger's file fit for a message: printable, and not too long."""
    safe = "".join(char if char.isprintable() else "?" for char in text[: _SHOWN_CHARACTERS + 1])
    return safe if len(safe) <= _SHOWN_CHARACTERS else safe[: _SHOWN_CHARACTERS - 1] + "…"


@dataclass(frozen=True)
class TensorFacts:
    """Describe an input or output: a dimension that the file leaves open is -1.

    `dtype` is numpy's name for it, or the format's own where numpy has none.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    quantization: Quantization | None = None

    def __str__(self) -> str:
        sizes = ", ".join("?" if size < 0 else str(size) for size in self.shape)
        return f"{self.dtype} ({sizes})"


@dataclass(frozen=True)
class Steps:
    """Hold the quantization of the pixels that enter a graph, and the integers it counts with.

    For an integer input that is the input's own; for a float input, that of the operator which
    quantizes it at once.
    """

    dtype: TensorType
    quantization: Quantization

    @property
    def range(self) -> tuple[float, float]:
        """The real numbers that the lowest and the highest integer stand for."""
        low, high = (0, 255) if self.dtype is TensorType.UINT8 else (-128, 127)
        scale, zero = self.quantization.scale, self.quantization.zero_point
        return (low - zero) * scale, (high - zero) * scale


@dataclass(frozen=True)
class Described:
    """Hold what a file's embedded description says, in TFLite Metadata's terms.

    A pixel p enters a float model as ``(p - mean) / std``. `labels` are the bytes of a labels
    file. `about` is for people: name, author, licence.
    """

    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    order: PixelOrder | None = None
    labels: bytes | None = None
    about: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ModelFacts:
    """Hold all that was read from a file.

    `data` is the file as it will be adopted: its own bytes, or those with each of `changes`
    made. `scores` is None where the graph's end, `last_operator`, does not tell. `notes` are
    findings for the user, `origin` goes into the lineage.

    `picture` is the place of the input that takes the frame; a recurrent model has others.
    `roles` are the places of the outputs of TFLite_Detection_PostProcess, in the operator's
    order, and `boxed_classes` is the number of classes it was made for, where there is one.
    """

    name: str
    format: Format
    data: bytes
    precision: Precision
    inputs: tuple[TensorFacts, ...]
    outputs: tuple[TensorFacts, ...]
    operators: frozenset[str]
    last_operator: str
    scores: Scores | None
    steps: Steps | None = None
    described: Described = field(default_factory=Described)
    changes: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    origin: dict[str, Any] = field(default_factory=dict)
    picture: int = 0
    roles: tuple[int, ...] = ()
    boxed_classes: int | None = None

    @property
    def pixels(self) -> TensorFacts:
        """The input that takes the frame."""
        return self.inputs[self.picture]


def picture_place(inputs: tuple[TensorFacts, ...]) -> int:
    """Return the place of the first input that has the shape of a picture, else 0."""
    for place, tensor in enumerate(inputs):
        if len(tensor.shape) == 4 and {tensor.shape[1], tensor.shape[3]} & {1, 3}:
            return place
    return 0


def require_classifier(facts: ModelFacts) -> None:
    """Raise ModelError unless the file has the inputs and outputs of a classifier.

    The message says what the file is instead, as far as it can be told.
    """
    ins, outs = facts.inputs, facts.outputs
    detects = facts.operators & DETECTION_OPERATORS
    if detects:
        raise ModelError(
            f"{facts.name} is an object detector ({min(detects)}) with {_counted(ins, 'input')} "
            f"and {_counted(outs, 'output')}; {ONLY_CLASSIFIERS}"
        )
    for tensors, word in ((ins, "input"), (outs, "output")):
        if len(tensors) != 1:
            names = ", ".join(shown(tensor.name) for tensor in tensors[:8]) or "none"
            raise ModelError(
                f"{facts.name} has {_counted(tensors, word)} ({names}); {ONLY_CLASSIFIERS}"
            )
    size = [side for side in ins[0].shape[1:] if side > 3]
    if len(size) == 2 and set(size) <= set(outs[0].shape) and len(outs[0].shape) > 2:
        raise ModelError(
            f"{facts.name} is a segmentation model: it gives {outs[0]}, an answer for each pixel; "
            f"{ONLY_CLASSIFIERS}"
        )
    # A batch of several gives several rows of scores; what is wrong then is the input.
    if ins[0].shape[:1] == (1,) and min(outs[0].shape, default=1) > 0:
        classes_of(outs[0], facts.name)


def classes_of(output: TensorFacts, name: str) -> int:
    """Return the number of classes that `output`, whose shape is complete, has scores for.

    Raises ModelError if it is not one score for each of at least two classes.
    """
    several = [size for size in output.shape if size != 1]
    if len(several) > 1:
        raise ModelError(
            f"{name} gives {output}, not one row of scores, as models for detection or "
            f"segmentation do; {ONLY_CLASSIFIERS}"
        )
    if not several:
        raise ModelError(f"{name} gives a single number, {output}; {ONLY_CLASSIFIERS}")
    return several[0]


def _counted(tensors: tuple[TensorFacts, ...], word: str) -> str:
    return f"{len(tensors)} {word}{'' if len(tensors) == 1 else 's'}"

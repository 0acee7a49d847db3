"""Describe a model of the zoo: what builds it, what it sees, and where its weights come from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, Protocol

from mejiro.errors import UsageError
from mejiro_runtime.preprocess import InputSpec, ResizeMode, TensorType
from mejiro_runtime.types import PixelOrder

IMAGENET_CLASSES = 1000
MIN_IMAGE_SIZE = 32


class Weights(str, Enum):
    """Name the weights to begin with, where they are not a file."""

    PRETRAINED = "pretrained"
    NONE = "none"


def parse_weights(text: str) -> Weights | Path:
    """Return what `--weights` means: `pretrained`, `none`, or the path of a weights file."""
    try:
        return Weights(text)
    except ValueError:
        return Path(text)


@dataclass(frozen=True)
class Architecture:
    """Hold all that a builder is told. The network takes (batch, image_size, image_size, 3).

    `alpha` multiplies the width of families that have such a multiplier (else 1.0), and
    `dropout` is the share of the features dropped before the classifier while training.
    """

    image_size: int
    classes: int
    alpha: float
    dropout: float


@dataclass(frozen=True)
class BuildOptions:
    """Say how a network departs from its row in the table; None keeps what stands there.

    `seed` decides all weights that are drawn at random.
    """

    image_size: int | None = None
    alpha: float | None = None
    dropout: float | None = None
    seed: int = 0


class Pretrained(Protocol):
    """Know where a model's ImageNet weights are, and put them into a network."""

    def describe(self) -> str:
        """Say in a few words where the weights come from."""
        ...

    def alphas(self) -> tuple[float, ...]:
        """Return the width multipliers for which there are weights."""
        ...

    def fill(self, keras_model: Any, architecture: Architecture) -> dict[str, Any]:
        """Put the weights into `keras_model`; return what a lineage records about them.

        The model has ImageNet's classes and the image size of its row. Raises WeightsError or
        MissingPackage.
        """
        ...

    def read(self, path: Path, keras_model: Any) -> None:
        """Put the weights of a file in the publisher's own format into `keras_model`.

        Raises WeightsError if there is no such format, or the file is not the published one.
        """
        ...


@dataclass(frozen=True)
class ModelSpec:
    """Describe one network, trained on ImageNet.

    A pixel p (0..255) enters as ``p * scale + offset``. `crop_fraction` is the share of a
    picture's shorter side that its publisher's evaluation keeps. `published_top1` is a share in
    0..1, as `published_in` states it for float weights at `image_size`. `classifier` names the
    layer that has one output for each class. `dropout` is None where the family has none.
    """

    name: str
    family: str
    description: str
    builder: Callable[[Architecture], Any]
    image_size: int
    crop_fraction: float
    scale: float
    offset: float
    published_top1: float
    published_in: str
    classifier: str
    pretrained: Pretrained | None
    dropout: float | None = None
    has_alpha: bool = False

    def input_spec(self, image_size: int | None = None) -> InputSpec:
        """Return how a picture becomes this network's input, at its own size or another."""
        size = image_size or self.image_size
        return InputSpec(
            height=size,
            width=size,
            order=PixelOrder.RGB,
            resize=ResizeMode.CROP,
            crop_fraction=self.crop_fraction,
            scale=(self.scale,),
            offset=(self.offset,),
            dtype=TensorType.FLOAT32,
        )

    def architecture(self, options: BuildOptions, classes: int) -> Architecture:
        """Return the row with `options` applied; raises UsageError for one it cannot have."""
        size = self.image_size if options.image_size is None else options.image_size
        if size < MIN_IMAGE_SIZE:
            raise UsageError(f"{self.name} needs pictures of {MIN_IMAGE_SIZE} pixels, found {size}")
        if options.alpha is not None and not self.has_alpha:
            raise UsageError(f"{self.name} has no width multiplier; leave alpha out")
        if options.alpha is not None and not 0 < options.alpha <= 4:
            raise UsageError(f"alpha must lie in (0, 4], found {options.alpha}")
        if options.dropout is not None and self.dropout is None:
            raise UsageError(f"{self.name} has no dropout; leave it out")
        if options.dropout is not None and not 0 <= options.dropout < 1:
            raise UsageError(f"dropout must lie in [0, 1), found {options.dropout}")
        dropout = self.dropout if options.dropout is None else options.dropout
        return Architecture(
            image_size=size,
            classes=classes,
            alpha=1.0 if options.alpha is None else options.alpha,
            dropout=dropout or 0.0,
        )

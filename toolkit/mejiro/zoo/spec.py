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


class Activation(str, Enum):
    """Name a nonlinearity that may take the place of a network's own."""

    RELU = "relu"
    RELU6 = "relu6"
    HARD_SWISH = "hard_swish"
    SWISH = "swish"


@dataclass(frozen=True)
class Architecture:
    """Hold all that a builder is told. The network takes (batch, image_size, image_size, 3).

    `alpha` multiplies the number of channels and `depth` the number of blocks, in families that
    have such a multiplier (else 1.0). `dropout` is the share of the features dropped before the
    classifier while training.
    """

    image_size: int
    classes: int
    alpha: float
    dropout: float
    depth: float = 1.0


@dataclass(frozen=True)
class BuildOptions:
    """Say how a network departs from its row in the table; None keeps what stands there.

    `alpha` multiplies the row's width, `depth` its number of blocks, and `phi`, the compound
    coefficient, scales depth by 1.2^phi, width by 1.1^phi and the image size by 1.15^phi, as
    Tan and Le do (arXiv:1905.11946). `activation` replaces the network's nonlinearities; weights
    stay. `seed` decides all weights that are drawn at random.
    """

    image_size: int | None = None
    alpha: float | None = None
    dropout: float | None = None
    seed: int = 0
    depth: float | None = None
    phi: float | None = None
    activation: Activation | None = None


@dataclass(frozen=True)
class Normalization:
    """Say how pixels enter a network: p (0..255) of channel c as ``p * scale[c] + offset[c]``.

    Each holds one value for all channels, or one for each in the order `order`.
    """

    scale: tuple[float, ...]
    offset: tuple[float, ...]
    order: PixelOrder = PixelOrder.RGB


# To -1..1, as networks that come from TensorFlow's Slim were trained.
SIGNED_PIXELS = Normalization((1 / 127.5,), (-1.0,))
# Less ImageNet's mean, blue first, as networks that come from Caffe were trained.
CAFFE_PIXELS = Normalization((1.0,), (-103.939, -116.779, -123.68), PixelOrder.BGR)


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


# Compound scaling (arXiv:1905.11946, section 3.3): each step of phi costs about twice as much.
_PHI_DEPTH, _PHI_WIDTH, _PHI_SIZE = 1.2, 1.1, 1.15
_SIZE_STEP = 8


@dataclass(frozen=True)
class ModelSpec:
    """Describe one network, trained on ImageNet.

    `normalization` says how pixels enter it; `crop_fraction` is the share of a picture's shorter
    side that its publisher's evaluation keeps. `published_top1` is a share in 0..1, as
    `published_in` states it for float weights at `image_size`. `classifier` names the layer that
    has one output for each class, `features` the one that gives the last feature map (batch,
    height, width, channels), before it is pooled or flattened. `parameters` and `multiply_adds`
    are those of the row with ImageNet's classes at `image_size`, see `mejiro.zoo.count`.
    `dropout` is None where the family has none.
    """

    name: str
    family: str
    description: str
    builder: Callable[[Architecture], Any]
    image_size: int
    crop_fraction: float
    normalization: Normalization
    published_top1: float
    published_in: str
    classifier: str
    features: str
    parameters: int
    multiply_adds: int
    pretrained: Pretrained | None
    min_image_size: int = MIN_IMAGE_SIZE
    dropout: float | None = None
    has_alpha: bool = False
    has_depth: bool = False
    has_phi: bool = False

    @property
    def options(self) -> tuple[str, ...]:
        """Names of the options that this family has and others have not."""
        there = {"alpha": self.has_alpha, "depth": self.has_depth, "phi": self.has_phi}
        return tuple(name for name, has in there.items() if has)

    def input_spec(self, image_size: int | None = None) -> InputSpec:
        """Return how a picture becomes this network's input, at its own size or another."""
        size = image_size or self.image_size
        return InputSpec(
            height=size,
            width=size,
            order=self.normalization.order,
            resize=ResizeMode.CROP,
            crop_fraction=self.crop_fraction,
            scale=self.normalization.scale,
            offset=self.normalization.offset,
            dtype=TensorType.FLOAT32,
        )

    def architecture(self, options: BuildOptions, classes: int) -> Architecture:
        """Return the row with `options` applied; raises UsageError for one it cannot have."""
        self._check(options)
        phi = options.phi or 0.0
        size, alpha, depth = options.image_size, options.alpha, options.depth
        if size is None:
            scaled = self.image_size * _PHI_SIZE**phi
            size = round(scaled / _SIZE_STEP) * _SIZE_STEP if phi else self.image_size
        if size < self.min_image_size:
            raise UsageError(
                f"{self.name} needs pictures of {self.min_image_size} pixels, found {size}"
            )
        dropout = self.dropout if options.dropout is None else options.dropout
        return Architecture(
            image_size=size,
            classes=classes,
            alpha=_PHI_WIDTH**phi if alpha is None else alpha,
            depth=_PHI_DEPTH**phi if depth is None else depth,
            dropout=dropout or 0.0,
        )

    def _check(self, options: BuildOptions) -> None:
        """Raise UsageError for an option that the family has not, or that is out of its range."""
        for name, there, what in (
            ("alpha", self.has_alpha, "width multiplier"),
            ("depth", self.has_depth, "depth multiplier"),
            ("phi", self.has_phi, "compound coefficient"),
            ("dropout", self.dropout is not None, "dropout"),
        ):
            if getattr(options, name) is not None and not there:
                raise UsageError(f"{self.name} has no {what}; leave {name} out")
        for name, value in (("alpha", options.alpha), ("depth", options.depth)):
            if value is not None and not 0 < value <= 4:
                raise UsageError(f"{name} must lie in (0, 4], found {value}")
        if options.phi is not None:
            if options.alpha is not None or options.depth is not None:
                raise UsageError("phi sets width and depth itself; leave alpha and depth out")
            if not -7 <= options.phi <= 7:
                raise UsageError(f"phi must lie in [-7, 7], found {options.phi}")
        if options.dropout is not None and not 0 <= options.dropout < 1:
            raise UsageError(f"dropout must lie in [0, 1), found {options.dropout}")

"""Hold what a user may know of a stranger's model and the file does not say."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from mejiro.data.normalize import Normalize
from mejiro_runtime.card import Scores
from mejiro_runtime.preprocess import ResizeMode
from mejiro_runtime.types import PixelOrder


class Background(str, Enum):
    """Say whether a model has a class that stands for "none of them"."""

    FIRST = "first"  # class 0 does, and is never an answer
    NONE = "none"  # every class is an answer, whatever its name


@dataclass(frozen=True)
class Hints:
    """Hold the answers to what `adopt` cannot read from a file; None leaves it to the file.

    What stays None and is not in the file either is asked for (`normalize`, `scores`,
    `background`), or taken as written here and said in the findings: RGB order, and the largest
    centred region of the tensor's shape. That region beat the customary 0.875 of it on 200
    ImageNet pictures by 3.0 points of top-1 with MobileNetV2 1.0 224, and drew with it with
    MobileNetV1 0.25 128.
    """

    normalize: Normalize | None = None
    order: PixelOrder | None = None
    resize: ResizeMode | None = None
    crop_fraction: float | None = None
    scores: Scores | None = None
    background: Background | None = None

    def of_input(self) -> tuple[str, ...]:
        """Return the options given here that an input specification would say as well."""
        given = {
            "--normalize": self.normalize,
            "--order": self.order,
            "--resize": self.resize,
            "--crop-fraction": self.crop_fraction,
        }
        return tuple(option for option, value in given.items() if value is not None)

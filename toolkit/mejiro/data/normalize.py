"""Name the customary ranges that pixels are brought to before a network sees them."""

from __future__ import annotations

from enum import Enum

from mejiro.errors import UsageError
from mejiro_runtime.types import PixelOrder


class Normalize(str, Enum):
    """Name the range of real numbers that pixels 0..255 are brought to."""

    UNIT = "0..1"
    SIGNED = "-1..1"
    BYTES = "0..255"
    CENTRED = "-128..127"
    IMAGENET = "imagenet"  # to 0..1, then less ImageNet's mean, over its deviation


RANGES = {
    Normalize.UNIT: (0.0, 1.0),
    Normalize.SIGNED: (-1.0, 1.0),
    Normalize.BYTES: (0.0, 255.0),
    Normalize.CENTRED: (-128.0, 127.0),
}
# Mean and deviation of ImageNet's pixels in 0..1, RGB, as torchvision has made them customary.
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


def scale_and_offset(
    name: Normalize, order: PixelOrder
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return what `InputSpec` calls scale and offset: one value, or one for each channel.

    Raises UsageError for ImageNet's three means on a grey input.
    """
    if name is not Normalize.IMAGENET:
        low, high = RANGES[name]
        return ((high - low) / 255,), (low,)
    if order is PixelOrder.GRAY:
        raise UsageError("--normalize imagenet is for 3 channels; give --input-spec")
    step = -1 if order is PixelOrder.BGR else 1
    mean, std = IMAGENET_MEAN[::step], IMAGENET_STD[::step]
    return tuple(1 / 255 / s for s in std), tuple(-m / s for m, s in zip(mean, std, strict=True))

"""Say how training pictures are varied: the options, their presets, and their words."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from enum import Enum
from typing import Any

from mejiro.errors import UsageError
from mejiro_runtime.fields import Fields


class Flip(str, Enum):
    """Name the ways in which a picture may be mirrored; each happens to every second one."""

    NONE = "none"
    HORIZONTAL = "horizontal"
    BOTH = "both"


# The largest value that each option may have; the smallest is 0, which leaves it out.
LIMITS = {
    "rotation_degrees": 180.0,
    "shift": 1.0,
    "shear_degrees": 60.0,
    "zoom": 4.0,
    "brightness": 1.0,
    "contrast": 1.0,
    "saturation": 1.0,
    "hue": 0.5,
    "randaugment": 1.0,
    "erasing": 1.0,
    "mixup": 10.0,
    "cutmix": 10.0,
}


@dataclass(frozen=True)
class Augmentation:
    """Say how far each training picture may be changed; 0 leaves a kind of change out.

    What happens to a picture is drawn anew each time, evenly between the limits given here:

    - `rotation_degrees` to either side; `shift` along each axis, as a share of the side;
      `shear_degrees` along each axis; `zoom` z to between 1 / (1 + z) and 1 + z of the size,
      evenly on a logarithmic scale. What comes into view beyond the edge is mirrored.
    - `brightness` as a share of full white, added; `contrast` and `saturation` as changes of a
      factor 1, about the mean grey and about each pixel's grey; `hue` as a share of a turn.
    - `randaugment`: two changes drawn from a list, for each picture, of this magnitude.
    - `erasing`: the probability with which a rectangle is filled with one colour.
    - `mixup` and `cutmix`: the parameter of the beta distribution that the shares of two pictures
      come from; with both, each batch gets one of them. Labels become shares likewise.
    """

    flip: Flip = Flip.NONE
    rotation_degrees: float = 0.0
    shift: float = 0.0
    shear_degrees: float = 0.0
    zoom: float = 0.0
    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    hue: float = 0.0
    randaugment: float = 0.0
    erasing: float = 0.0
    mixup: float = 0.0
    cutmix: float = 0.0

    def __post_init__(self) -> None:
        for name, limit in LIMITS.items():
            value = getattr(self, name)
            if not 0.0 <= value <= limit:
                raise UsageError(
                    f"augmentation '{_word(name)}' must be 0 to {limit:g}, found {value:g}"
                )

    @property
    def any(self) -> bool:
        """Whether anything is changed at all."""
        return self != Augmentation()

    @property
    def moves(self) -> bool:
        """Whether pixels change their places within a picture."""
        return self.flip is not Flip.NONE or any(
            (self.rotation_degrees, self.shift, self.shear_degrees, self.zoom, self.randaugment)
        )

    @property
    def recolours(self) -> bool:
        """Whether pixels change their values, wherever they are."""
        return any((self.brightness, self.contrast, self.saturation, self.hue, self.randaugment))

    @property
    def mixes(self) -> bool:
        """Whether pictures, and their labels, are mixed with each other."""
        return any((self.mixup, self.cutmix))

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values; `from_json` gives back an equal augmentation."""
        return {**asdict(self), "flip": self.flip.value}

    @classmethod
    def from_json(cls, value: Any) -> Augmentation:
        """Read what `to_json` wrote; what is left out is 0. Raises SpecError or UsageError."""
        found = Fields(value, "augmentation")
        flip = found.choice("flip", Flip.NONE)
        numbers = {name: found.number(name, 0.0) for name in LIMITS}
        found.finish()
        return cls(flip=flip, **numbers)


# The standard is what a few dozen to a few thousand photographs of things call for: a thing may
# be mirrored, tilted a little, nearer or farther, in other light. Strong is for long runs.
PRESETS: dict[str, Augmentation] = {
    "none": Augmentation(),
    "light": Augmentation(flip=Flip.HORIZONTAL, shift=0.05, zoom=0.1, brightness=0.1),
    "standard": Augmentation(
        flip=Flip.HORIZONTAL,
        rotation_degrees=15,
        shift=0.1,
        shear_degrees=5,
        zoom=0.3,
        brightness=0.15,
        contrast=0.25,
        saturation=0.3,
        hue=0.02,
    ),
    "strong": Augmentation(
        flip=Flip.HORIZONTAL,
        shift=0.1,
        zoom=0.4,
        randaugment=0.5,
        erasing=0.25,
        mixup=0.2,
        cutmix=1.0,
    ),
}


def parse_augmentation(preset: str, changes: Sequence[str] = ()) -> Augmentation:
    """Return the preset `preset` with `changes`, each ``NAME=VALUE``, made to it.

    A name is that of a field of `Augmentation`, with or without its unit: ``rotation=10``.
    Raises UsageError that names what is not known, or out of range.
    """
    if preset not in PRESETS:
        raise UsageError(f"there is no augmentation '{preset}'; choose {', '.join(PRESETS)}")
    names = {field.name: field.name for field in fields(Augmentation)}
    names |= {_word(name): name for name in names}
    new: dict[str, Any] = {}
    for change in changes:
        word, equals, text = change.partition("=")
        name = names.get(word.strip().lower().replace("-", "_"))
        if not equals or name is None:
            known = ", ".join(dict.fromkeys(_word(name) for name in names))
            raise UsageError(f"'{change}' changes no augmentation; give NAME=VALUE with {known}")
        new[name] = _flip(text) if name == "flip" else _number(change, text)
    return replace(PRESETS[preset], **new)


def _word(name: str) -> str:
    return name.removesuffix("_degrees")


def _flip(text: str) -> Flip:
    try:
        return Flip(text.strip().lower())
    except ValueError:
        choices = ", ".join(flip.value for flip in Flip)
        raise UsageError(f"flip is one of {choices}, found '{text}'") from None


def _number(change: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise UsageError(f"'{change}' must give a number")
    return value

"""Say what a search may change, between which limits, and where it begins."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from mejiro.data.augmentation import PRESETS
from mejiro.errors import UsageError
from mejiro.train.plan import HEAD
from mejiro.train.settings import OptimizerKind, Settings
from mejiro.zoo import Weights, find_model

Value = str | int | float

# The options of `mejiro train` that are searched, in the order in which they are drawn.
FREEZE, RATE, AUGMENT, ALPHA, IMAGE_SIZE = "freeze", "rate", "augment", "alpha", "image_size"
SEARCHED = (FREEZE, RATE, AUGMENT, ALPHA, IMAGE_SIZE)

# What `--freeze` is not given for: the head learns first, then all layers.
FREEZE_DEFAULT = "default"
_BACKBONE = "backbone"

# Where a good rate is looked for: by whether the weights are pretrained, and by the optimizer.
_RATES = {
    (True, OptimizerKind.ADAMW): (1e-5, 1e-3),
    (False, OptimizerKind.ADAMW): (1e-4, 1e-2),
    (True, OptimizerKind.SGD): (1e-4, 1e-2),
    (False, OptimizerKind.SGD): (1e-3, 1e-1),
}
MAX_RATE = 100.0
# More digits of a rate change nothing, and are in the way of whoever reads it.
_RATE_DIGITS = 3
_SIZE_STEP, _SIZES, _LEAST_SIZE = 32, 3, 96


class Suggesting(Protocol):
    """Draw one value; Optuna's trials do."""

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float:
        """Return a number between `low` and `high`."""
        ...

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        """Return one of `choices`."""
        ...


@dataclass(frozen=True)
class Range:
    """Hold the limits of a positive number that is drawn evenly on a logarithmic scale."""

    low: float
    high: float

    def __post_init__(self) -> None:
        if not 0 < self.low < self.high <= MAX_RATE:
            raise UsageError(
                f"a range goes from a number above 0 to a larger one, at most {MAX_RATE:g}; "
                f"found {self}"
            )

    def __str__(self) -> str:
        return f"{self.low:g}..{self.high:g}"

    def __contains__(self, value: object) -> bool:
        return isinstance(value, int | float) and self.low <= value <= self.high

    @property
    def corners(self) -> tuple[Value, ...]:
        """The values to try out whether all of them can be used."""
        return (self.low, self.high)

    def draw(self, trial: Suggesting, name: str) -> Value:
        """Return a value with as many digits as matter."""
        drawn = trial.suggest_float(name, self.low, self.high, log=True)
        return float(f"{drawn:.{_RATE_DIGITS}g}")


@dataclass(frozen=True)
class Choices:
    """Hold the values that one is drawn from; a single one is not drawn."""

    values: tuple[Value, ...]

    def __post_init__(self) -> None:
        if not self.values:
            raise UsageError("there is nothing to choose from")
        object.__setattr__(self, "values", tuple(dict.fromkeys(self.values)))

    def __str__(self) -> str:
        return ", ".join(str(value) for value in self.values)

    def __contains__(self, value: object) -> bool:
        return value in self.values

    @property
    def corners(self) -> tuple[Value, ...]:
        """The values to try out whether all of them can be used."""
        return self.values

    def draw(self, trial: Suggesting, name: str) -> Value:
        """Return one of the values."""
        if len(self.values) == 1:
            return self.values[0]
        drawn: Value = trial.suggest_categorical(name, self.values)
        return drawn


Dimension = Range | Choices


@dataclass(frozen=True)
class Space:
    """Hold the dimensions of a search by the option that each decides.

    `usual` holds what `mejiro train` does without these options, as far as it lies in the space:
    the first trial of a study, so that no search ends below it.
    """

    dimensions: Mapping[str, Dimension]
    usual: Mapping[str, Value] = field(default_factory=dict)

    def __post_init__(self) -> None:
        unknown = [name for name in self.dimensions if name not in SEARCHED]
        if unknown:
            raise UsageError(f"'{unknown[0]}' is not searched; choose {', '.join(SEARCHED)}")
        ordered = {name: self.dimensions[name] for name in SEARCHED if name in self.dimensions}
        usual = {name: v for name, v in self.usual.items() if v in ordered.get(name, ())}
        object.__setattr__(self, "dimensions", ordered)
        object.__setattr__(self, "usual", usual)

    @property
    def searched(self) -> tuple[str, ...]:
        """The names of what has more than one value."""
        return tuple(
            name
            for name, dimension in self.dimensions.items()
            if isinstance(dimension, Range) or len(dimension.values) > 1
        )

    def first(self) -> dict[str, Value]:
        """Return one point of the space: the usual values, else the first ones."""
        point = {
            name: self.usual.get(name, dimension.corners[0])
            for name, dimension in self.dimensions.items()
        }
        return _without_vain(point)

    def draw(self, trial: Suggesting) -> dict[str, Value]:
        """Return the values of one trial, by name; a rate that nothing is trained with is not."""
        values: dict[str, Value] = {}
        for name, dimension in self.dimensions.items():
            if name == RATE and values.get(FREEZE) == _BACKBONE:
                continue
            values[name] = dimension.draw(trial, name)
        return values

    def corners(self) -> list[dict[str, Value]]:
        """Return points in which each value of each dimension stands once or more."""
        start = self.first()
        return [start] + [
            _without_vain({**start, name: value})
            for name, dimension in self.dimensions.items()
            for value in dimension.corners
        ]

    def words(self) -> dict[str, str]:
        """Return each dimension as it is written."""
        return {name: str(dimension) for name, dimension in self.dimensions.items()}


def _without_vain(point: Mapping[str, Value]) -> dict[str, Value]:
    """Return `point` without a rate that nothing is trained with."""
    vain = point.get(FREEZE) == _BACKBONE
    return {name: value for name, value in point.items() if not (vain and name == RATE)}


def option_values(values: Mapping[str, Value]) -> dict[str, Value | None]:
    """Return what `mejiro train` is given for each searched option in `values`."""
    return {
        name: None if (name, value) == (FREEZE, FREEZE_DEFAULT) else value
        for name, value in values.items()
    }


def parse_rates(words: Sequence[str]) -> Dimension:
    """Return what `--rate` means: ``LOW..HIGH`` once, or one or more rates."""
    if len(words) == 1 and ".." in words[0]:
        low, _, high = words[0].partition("..")
        return Range(_rate(low, words[0]), _rate(high, words[0]))
    return Choices(tuple(_rate(word, word) for word in words))


def _rate(text: str, whole: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value <= MAX_RATE:
        raise UsageError(
            f"--rate takes LOW..HIGH, or a rate above 0 and up to {MAX_RATE:g}, found '{whole}'"
        )
    return value


def default_space(
    settings: Settings, given: Mapping[str, Dimension], *, layers: int, augment: str
) -> Space:
    """Return the space of a search: what is `given`, and what is sensible for the rest.

    `settings` are those of a run without the searched options, which the usual values come from;
    `augment` is the preset that it takes. `layers` is the number of layers of the backbone that
    have weights. Raises UsageError for a dimension that this model does not have.
    """
    pretrained = settings.weights != Weights.NONE.value
    usual: dict[str, Value] = {AUGMENT: augment, FREEZE: FREEZE_DEFAULT}
    found: dict[str, Dimension] = {AUGMENT: Choices(tuple(PRESETS))}
    last = settings.phases[-1]
    if last.name != HEAD:
        usual[RATE] = last.rate
        found[RATE] = Range(*_RATES[pretrained, settings.optimizer.kind])
        if pretrained and len(settings.phases) > 1 and not settings.phases[-1].freeze.layer:
            found[FREEZE] = _depths(layers)
    elif RATE in given or FREEZE in given:
        raise UsageError("nothing but the head is trained without --epochs; leave --rate out")
    if settings.weights is None:
        for name in (ALPHA, IMAGE_SIZE):
            if name in given:
                word = name.replace("_", "-")
                raise UsageError(f"{settings.model} has its own architecture; leave --{word} out")
    else:
        found |= _architecture(settings)
        usual |= {IMAGE_SIZE: _own_size(settings), ALPHA: 1.0}
    found |= given
    if found.get(FREEZE) == Choices((_BACKBONE,)):
        if RATE in given:
            raise UsageError(
                "--rate is that of the layers behind the head, and all are frozen; give --head-rate"
            )
        found.pop(RATE, None)
    return Space(found, usual)


def check_settings(settings: Settings) -> None:
    """Raise UsageError if the zoo has no such network, or no pretrained weights for it."""
    if settings.weights is None:
        return
    row = find_model(settings.model)
    alpha = row.architecture(settings.build, 1).alpha
    if settings.weights != Weights.PRETRAINED.value or row.pretrained is None:
        return
    if alpha not in row.pretrained.alphas():
        known = ", ".join(f"{width:g}" for width in row.pretrained.alphas())
        raise UsageError(
            f"{row.name} has pretrained weights for the widths {known}, not {alpha:g}; choose "
            "among these, or begin at random with `--weights none`"
        )


def _depths(layers: int) -> Choices:
    """Return how deep to freeze: not at all, or all but the last half or quarter of the layers."""
    counts = dict.fromkeys(count for count in (layers // 2, layers // 4) if count)
    return Choices((FREEZE_DEFAULT, *(f"all-but {count}" for count in counts)))


def _architecture(settings: Settings) -> dict[str, Dimension]:
    row = find_model(settings.model)
    size = _own_size(settings)
    least = max(row.min_image_size, min(size, _LEAST_SIZE))
    smaller = (_SIZE_STEP * (size // _SIZE_STEP - step) for step in range(1, _SIZES))
    sizes = (*(side for side in smaller if side >= least), size)
    found: dict[str, Dimension] = {IMAGE_SIZE: Choices(tuple(sorted(sizes)))}
    if settings.build.phi is None and settings.weights == Weights.PRETRAINED.value:
        alphas = row.pretrained.alphas() if row.pretrained else ()
        if len(alphas) > 1:
            found[ALPHA] = Choices(tuple(sorted(alphas)))
    return found


def _own_size(settings: Settings) -> int:
    """Return the image size that the model has by itself."""
    return find_model(settings.model).architecture(settings.build, 1).image_size

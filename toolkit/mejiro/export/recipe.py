"""Say how a model is quantized: which layers in which arithmetic, and how ranges are found."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

from mejiro.errors import UsageError
from mejiro_runtime.errors import SpecError
from mejiro_runtime.fields import Fields

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

MAX_PICTURES, MAX_RULES, MAX_PATTERN = 100_000, 10_000, 1_000
_LIMIT_BYTES = 1 << 20
_POOL_FACTOR, _POOL_LIMIT = 10, 1_000


class Scheme(str, Enum):
    """Name the arithmetic of a layer; weights of both integer schemes are int8 by channel."""

    INT8 = "int8"  # int8 activations
    INT16X8 = "int16x8"  # int16 activations, always symmetric
    FLOAT16 = "float16"  # float32 arithmetic on weights stored as float16
    FLOAT = "float"


class Engine(str, Enum):
    """Name the engine that a file is written for; TensorRT's ONNX says some things otherwise."""

    ANY = "any"
    TENSORRT = "tensorrt"


class Method(str, Enum):
    """Name how a tensor's range is chosen from the values it took."""

    MIN_MAX = "min-max"  # from the least to the greatest
    PERCENTILE = "percentile"  # the range that holds a given share
    ENTROPY = "entropy"  # loses the least information (Migacz, "8-bit Inference", 2017)
    MSE = "mse"  # errs the least in the mean square


_WORDS = {
    Method.MIN_MAX: "minimum and maximum",
    Method.ENTROPY: "entropy",
    Method.MSE: "mean square error",
}


class Choice(str, Enum):
    """Name how calibration pictures are chosen from a folder of more."""

    STRATIFIED = "stratified"  # as many of each folder as of any other
    K_MEANS = "k-means"  # those nearest the middles of clusters of the network's features


@dataclass(frozen=True)
class Calibration:
    """Say how the ranges of activations are found.

    `share` is the percentage of values that `percentile` keeps. `pictures` is how many to take
    at most, `choice` how they are chosen.
    """

    method: Method = Method.MIN_MAX
    share: float = 99.99
    pictures: int = 100
    choice: Choice = Choice.STRATIFIED

    def __post_init__(self) -> None:
        if not 50 <= self.share <= 100:
            raise UsageError(f"the share must lie in 50 to 100 percent, found {self.share:g}")
        if not 1 <= self.pictures <= MAX_PICTURES:
            raise UsageError(
                f"calibration pictures must number 1 to {MAX_PICTURES}, found {self.pictures}"
            )

    @property
    def pool(self) -> int:
        """How many pictures to choose from, so many that choosing takes no longer than it helps."""
        if self.choice is Choice.STRATIFIED:
            return self.pictures
        return max(self.pictures, min(_POOL_FACTOR * self.pictures, _POOL_LIMIT))


@dataclass(frozen=True)
class Recipe:
    """Hold a quantization recipe.

    `default` is the scheme of layers that no rule names. `layers` are the rules, each a pattern
    of names and a scheme; the last rule that matches decides. `symmetric` keeps the zero point of
    int8 activations 0, as some engines want; the file's input is exempt, since its zero point is
    the model's normalization. With `engine` TENSORRT, which needs symmetric ones, the ONNX file is
    one that TensorRT takes whole: see `mejiro.export.tensorrt`.
    """

    default: Scheme = Scheme.INT8
    layers: tuple[tuple[str, Scheme], ...] = ()
    calibration: Calibration = field(default_factory=Calibration)
    symmetric: bool = False
    engine: Engine = Engine.ANY

    def __post_init__(self) -> None:
        if self.engine is Engine.TENSORRT and not self.symmetric:
            raise UsageError(
                'engine = "tensorrt" needs activations = "symmetric"; add that to the recipe'
            )
        if len(self.layers) > MAX_RULES:
            raise UsageError(f"a recipe has at most {MAX_RULES} rules, found {len(self.layers)}")
        patterns = [pattern for pattern, _ in self.layers]
        for pattern in patterns:
            if not pattern or len(pattern) > MAX_PATTERN or not pattern.isprintable():
                raise UsageError(
                    f"a pattern of layers is 1 to {MAX_PATTERN} printable characters, "
                    f"found {pattern[:40]!r}"
                )
        if len(set(patterns)) != len(patterns):
            twice = next(pattern for pattern in patterns if patterns.count(pattern) > 1)
            raise UsageError(f"the recipe names '{twice}' twice; keep one of the two")

    def with_layers(self, layers: Mapping[str, Scheme]) -> Recipe:
        """Return this recipe with `layers` as its last rules, in place of those so named."""
        kept = tuple(rule for rule in self.layers if rule[0] not in layers)
        return dataclasses.replace(self, layers=(*kept, *layers.items()))

    def method_in_words(self) -> str:
        """Say how ranges are found, as cards do."""
        if self.calibration.method is Method.PERCENTILE:
            return f"percentile {self.calibration.share:g}"
        return _WORDS[self.calibration.method]

    def to_json(self) -> dict[str, Any]:
        """Return the recipe as plain objects, in the structure of its TOML."""
        calibration: dict[str, Any] = {
            "method": self.calibration.method.value,
            "pictures": self.calibration.pictures,
            "choice": self.calibration.choice.value,
        }
        if self.calibration.method is Method.PERCENTILE:
            calibration["share"] = self.calibration.share
        engine = {} if self.engine is Engine.ANY else {"engine": self.engine.value}
        return {
            "default": self.default.value,
            "activations": "symmetric" if self.symmetric else "asymmetric",
            **engine,
            "calibration": calibration,
            "layers": {pattern: scheme.value for pattern, scheme in self.layers},
        }

    @classmethod
    def from_json(cls, value: Any, what: str = "the recipe") -> Recipe:
        """Return the recipe of `to_json`; raises UsageError that names `what` and the fault."""
        try:
            fields = Fields(value, what)
            calibration = _calibration(
                Fields(fields.mapping("calibration", {}), f"{what}, [calibration]")
            )
            layers = fields.mapping("layers", {})
            rules = Fields(layers, f"{what}, [layers]")
            recipe = cls(
                default=fields.choice("default", Scheme.INT8),
                layers=tuple((name, rules.choice(name, Scheme)) for name in layers),
                calibration=calibration,
                symmetric=fields.choice("activations", _Activations.ASYMMETRIC)
                is _Activations.SYMMETRIC,
                engine=fields.choice("engine", Engine.ANY),
            )
            fields.finish()
        except SpecError as error:
            raise UsageError(str(error).replace("a JSON object", "a table")) from None
        return recipe

    def to_toml(self) -> str:
        """Return the recipe as a TOML document."""
        plain = self.to_json()
        lines = [
            f"{key} = {_toml(plain[key])}"
            for key in ("default", "activations", "engine")
            if key in plain
        ]
        for table in ("calibration", "layers"):
            if plain[table]:
                lines += ["", f"[{table}]"]
                lines += [f"{_key(name)} = {_toml(value)}" for name, value in plain[table].items()]
        return "\n".join(lines) + "\n"


def parse_recipe(text: str, what: str = "the recipe") -> Recipe:
    """Return the recipe that a TOML document holds; raises UsageError with one line."""
    try:
        value = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise UsageError(f"{what} is not valid TOML: {error}") from None
    return Recipe.from_json(value, what)


def read_recipe(path: Path) -> Recipe:
    """Read a recipe from a TOML file of at most 1 MB; raises UsageError that says what is wrong."""
    try:
        if path.stat().st_size > _LIMIT_BYTES:
            raise UsageError(f"{path} is larger than 1 MB; it cannot be a recipe")
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise UsageError(f"{path} is no text in UTF-8; a recipe is a TOML file") from None
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror or error}") from None
    return parse_recipe(text, str(path))


class _Activations(str, Enum):
    SYMMETRIC = "symmetric"
    ASYMMETRIC = "asymmetric"


def _calibration(fields: Fields) -> Calibration:
    usual = Calibration()
    calibration = Calibration(
        method=fields.choice("method", usual.method),
        share=fields.number("share", usual.share),
        pictures=fields.integer("pictures", usual.pictures),
        choice=fields.choice("choice", usual.choice),
    )
    fields.finish()
    return calibration


def _key(name: str) -> str:
    plain = name.replace("_", "").replace("-", "")
    return name if plain.isascii() and plain.isalnum() else _toml(name)


def _toml(value: str | float) -> str:
    # A printable JSON string is a TOML string too, and so are finite numbers.
    return json.dumps(value, ensure_ascii=False)

"""Read JSON objects field by field, so that a file from a stranger is either right or refused.

Every reader of a card, a manifest or a specification goes through `Fields`: each value is asked
for by name and type, and what nobody asked for is an error, since a misspelt field that is
silently ignored would be a wrong answer later.
"""

from __future__ import annotations

import json
import math
import re
from enum import Enum
from pathlib import Path
from typing import Any, TypeVar

from mejiro_runtime.errors import SpecError

Choice = TypeVar("Choice", bound=Enum)
_MISSING: Any = object()
# C0 and C1 but for the tab, and lone surrogates, which no file can hold as UTF-8.
CONTROL_CHARACTERS = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f\ud800-\udfff]")


class Fields:
    """Take the values of one JSON object apart; `what` names the object in messages."""

    def __init__(self, value: Any, what: str) -> None:
        if not isinstance(value, dict):
            raise SpecError(f"{what} must be a JSON object, found {_kind(value)}")
        self._left: dict[str, Any] = dict(value)
        self._what = what

    def _take(self, name: str, default: Any, *kinds: type) -> Any:
        value = self._left.pop(name, default)
        if value is _MISSING:
            raise SpecError(f"{self._what} has no '{name}'")
        if value is default:
            return value
        # bool is an int to Python; a JSON true is no number.
        if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
            wanted = " or ".join(kind.__name__ for kind in kinds)
            raise SpecError(f"{self._what}: '{name}' must be {wanted}, found {_kind(value)}")
        return value

    def text(self, name: str, default: str = _MISSING) -> str:
        """Return a string of one line; control characters could rewrite the terminal they reach."""
        value = str(self._take(name, default, str))
        if CONTROL_CHARACTERS.search(value):
            raise SpecError(f"{self._what}: '{name}' holds control characters: {value!r}")
        return value

    def integer(self, name: str, default: int = _MISSING) -> int:
        """Return a whole number."""
        return int(self._take(name, default, int))

    def number(self, name: str, default: float = _MISSING) -> float:
        """Return a finite number."""
        return self._finite(name, self._take(name, default, int, float))

    def numbers(self, name: str, default: tuple[float, ...] = _MISSING) -> tuple[float, ...]:
        """Return a list of finite numbers, as a tuple."""
        values = self._take(name, default, list)
        if not all(isinstance(v, int | float) and not isinstance(v, bool) for v in values):
            raise SpecError(f"{self._what}: '{name}' must be a list of numbers")
        return tuple(self._finite(name, v) for v in values)

    def _finite(self, name: str, value: float) -> float:
        try:
            number = float(value)
        except OverflowError:  # JSON's integers have no limit
            number = math.inf
        if not math.isfinite(number):
            raise SpecError(f"{self._what}: '{name}' must be finite, found {_short(value)}")
        return number

    def flag(self, name: str, default: bool = _MISSING) -> bool:
        """Return true or false."""
        return bool(self._take(name, default, bool))

    def items(self, name: str, default: list[Any] = _MISSING) -> list[Any]:
        """Return a list of anything."""
        return list(self._take(name, default, list))

    def mapping(self, name: str, default: dict[str, Any] = _MISSING) -> dict[str, Any]:
        """Return an object of anything."""
        return dict(self._take(name, default, dict))

    def optional(self, name: str) -> Any:
        """Return whatever is there, or None."""
        return self._left.pop(name, None)

    def choice(self, name: str, default: Choice | type[Choice]) -> Choice:
        """Return a member of an enum; `default` is one member, or the enum if there is none."""
        if isinstance(default, Enum):
            kind = type(default)
            value: object = self._take(name, default, str)
            if value is default:
                return default
        else:
            kind = default
            value = self._take(name, _MISSING, str)
        try:
            return kind(value)
        except ValueError:
            allowed = ", ".join(str(member.value) for member in kind)
            raise SpecError(
                f"{self._what}: '{name}' must be one of {allowed}, found '{value}'"
            ) from None

    def rest(self) -> dict[str, Any]:
        """Return all that is left, and count it as asked for."""
        left, self._left = self._left, {}
        return left

    def finish(self) -> None:
        """Raise SpecError if the object holds a field that nobody asked for."""
        if self._left:
            names = ", ".join(f"'{name}'" for name in sorted(self._left))
            raise SpecError(f"{self._what} has unknown fields: {names}")


def _short(value: object) -> str:
    """Return a value as a message shows it: numbers may have thousands of digits."""
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:40]}..."


def _kind(value: Any) -> str:
    """Name a JSON value's type for a message."""
    return "nothing" if value is None else type(value).__name__


def parse_json(text: str, what: str) -> Any:
    """Parse JSON text, or raise SpecError that names `what` and the place of the fault."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise SpecError(f"{what} is not valid JSON: {error}") from None


def read_json(path: Path, *, limit_bytes: int = 64 * 1024 * 1024) -> Any:
    """Read a JSON file of at most `limit_bytes`; SpecError says which file and why not."""
    try:
        if path.stat().st_size > limit_bytes:
            raise SpecError(f"{path} is larger than {limit_bytes} bytes; it cannot be what it says")
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SpecError(f"{path} cannot be read: {error}") from None
    return parse_json(text, str(path))

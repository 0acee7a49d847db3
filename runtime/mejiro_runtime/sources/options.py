"""Read what follows a source's name: `KIND:REST?key=value&key=value`, the same for all of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from mejiro_runtime.errors import UsageError

# Reads one value, or raises ValueError whose text says what was expected.
Reader: TypeAlias = Callable[[str], Any]
MAX_SIDE = 16_384


def split(
    text: str, kind: str, known: Mapping[str, Reader], *, mark: str = "?"
) -> tuple[str, dict[str, Any]]:
    """Return what stands before the last `mark`, and the options after it, read by `known`.

    Raises UsageError for an option that is unknown, written twice, or has an unfit value. After a
    "#" it quotes nothing: that may be the end of a password.
    """
    secret = mark == "#"
    rest, marked, tail = text.rpartition(mark)
    if not marked:
        return text, {}
    options: dict[str, Any] = {}
    for pair in tail.split("&"):
        name, equals, value = pair.partition("=")
        if name not in known or not equals:
            names = ", ".join(f"{name}=" for name in known) or "none"
            what = "what follows the last '#'" if secret else f"'{pair}'"
            hint = "; write a # of the address as %23" if secret else ""
            raise UsageError(f"{what} is no option of {kind}; its options: {names}{hint}")
        if name in options:
            raise UsageError(f"{name}= is given twice to {kind}; give it once")
        try:
            options[name] = known[name](value)
        except ValueError as error:
            found = "" if secret else f", found '{value}'"
            raise UsageError(f"{name}= of {kind} takes {error}{found}") from None
    return rest, options


def size(text: str) -> tuple[int, int]:
    """Read ``WxH``, in pixels."""
    match = re.fullmatch(r"([0-9]{1,5})x([0-9]{1,5})", text)
    if match is None or not all(1 <= int(side) <= MAX_SIDE for side in match.groups()):
        raise ValueError(f"WIDTHxHEIGHT of 1 to {MAX_SIDE}, such as 1280x720")
    return int(match[1]), int(match[2])


def positive(text: str) -> float:
    """Read a number above 0 and up to 9999.999."""
    if re.fullmatch(r"[0-9]{1,4}(\.[0-9]{1,3})?", text) is None or float(text) == 0:
        raise ValueError("a number above 0, such as 30")
    return float(text)


def one_of(*words: str) -> Reader:
    """Return what reads one of `words`, in small or capital letters."""

    def read(text: str) -> str:
        if text.lower() not in words:
            raise ValueError(" or ".join(words))
        return text.lower()

    return read

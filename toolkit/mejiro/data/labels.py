"""Read the names of a model's classes from the kinds of file that people keep them in."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from mejiro.errors import DataError
from mejiro_runtime.errors import SpecError
from mejiro_runtime.fields import parse_json
from mejiro_runtime.types import Label

MAX_LABELS_BYTES = 4 * 1024 * 1024

# A WordNet noun's offset, as ImageNet names its classes: n01440764.
_SYNSET = re.compile(r"(n[0-9]{8})(?:[\s,:]+(.*))?")
# Nine digits are more classes than any file may name.
_COLON = re.compile(r"([0-9]{1,9})\s*:\s*(\S.*)")
_SPACED = re.compile(r"([0-9]{1,9})\s+(\S.*)")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def read_labels(path: Path) -> tuple[Label, ...]:
    """Return the labels in the UTF-8 text file `path`, in the order of the model's classes.

    A line is a name, ``n01440764 tench`` (a synset and a name, apart by a tab, spaces, a comma
    or a colon) or ``7:name``. Lines that are all numbered in order, ``0 first`` and so on, lose
    their numbers. A JSON file holds a list of names, of pairs [synset, name] or of objects with
    ``name`` and ``synset``, or an object from index to one of these. A byte order mark and blank
    lines at the end are passed over.

    Raises DataError if the file is absent, larger than `MAX_LABELS_BYTES`, no text, or leaves a
    class without a name.
    """
    try:
        if path.stat().st_size > MAX_LABELS_BYTES:
            raise DataError(
                f"{path} is larger than {MAX_LABELS_BYTES} bytes; a labels file has one short "
                "line for each class"
            )
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from None
    return parse_labels(data, str(path))


def parse_labels(data: bytes, what: str) -> tuple[Label, ...]:
    """Return the labels that the bytes of a labels file hold; see `read_labels`.

    `what` names the file in messages.
    """
    try:
        text = data.decode("utf-8-sig").strip("\r\n\t ")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{what} is not UTF-8 text (byte {error.start}); save it as UTF-8, one label a line"
        ) from None
    if not text:
        raise DataError(f"{what} is empty; write one label a line")
    pairs = _json_pairs(text, what) if text[0] in "[{" else _line_pairs(text, what)
    for index, (name, _) in enumerate(pairs):
        if not name or _CONTROL.search(name):
            raise DataError(
                f"{what}: label {index} is {name!r}; a label is a name of printable characters"
            )
    return tuple(Label(index, name, synset) for index, (name, synset) in enumerate(pairs))


def _line_pairs(text: str, what: str) -> list[tuple[str, str]]:
    """Return (name, synset) for each line of a text file."""
    # Not splitlines(): it would break a name at characters such as U+0085, which are no line ends.
    lines = [line.strip() for line in text.replace("\r\n", "\n").replace("\r", "\n").split("\n")]
    for number, line in enumerate(lines, start=1):
        if not line:
            raise DataError(f"{what}: line {number} is blank; every class needs a name")
    return [_pair(line) for line in _without_numbers(lines, what)]


def _without_numbers(lines: list[str], what: str) -> list[str]:
    """Return the lines in the order of the numbers before them, if all have one."""
    if all(_COLON.fullmatch(line) for line in lines):
        return _ordered(_split(lines, _COLON), what)
    # Without the colon a number may belong to the name ("3 wheeler"), unless all stand in order.
    if all(_SPACED.fullmatch(line) for line in lines):
        numbered = _split(lines, _SPACED)
        if [index for index, _ in numbered] == list(range(len(lines))):
            return [name for _, name in numbered]
    return lines


def _split(lines: list[str], pattern: re.Pattern[str]) -> list[tuple[int, str]]:
    matches = [match for line in lines if (match := pattern.fullmatch(line))]
    return [(int(match[1]), match[2]) for match in matches]


def _ordered(numbered: list[tuple[int, str]], what: str) -> list[str]:
    """Return the names by their numbers, which must be 0, 1, 2 and so on."""
    by_index = dict(numbered)
    if sorted(by_index) != list(range(len(numbered))):
        raise DataError(
            f"{what} numbers its {len(numbered)} labels from {min(by_index)} to {max(by_index)}; "
            f"number each once, from 0 to {len(numbered) - 1}"
        )
    return [by_index[index] for index in range(len(numbered))]


def _pair(line: str) -> tuple[str, str]:
    """Return the name and the synset, if any, that a line holds."""
    match = _SYNSET.fullmatch(line)
    if match is None:
        return line, ""
    return (match[2] or match[1]).strip(), match[1]


def _json_pairs(text: str, what: str) -> list[tuple[str, str]]:
    """Return (name, synset) for each entry of a JSON list or object."""
    try:
        value = parse_json(text, what)
    except SpecError as error:
        raise DataError(str(error)) from None
    if isinstance(value, dict):
        value = _values_by_index(value, what)
    if not value:
        raise DataError(f"{what} holds no labels")
    return [_json_pair(index, entry, what) for index, entry in enumerate(value)]


def _values_by_index(value: dict[str, Any], what: str) -> list[Any]:
    indices = [str(index) for index in range(len(value))]
    if set(value) != set(indices):
        raise DataError(f"{what} must name its labels 0 to {len(value) - 1}, or be a plain list")
    return [value[index] for index in indices]


def _json_pair(index: int, entry: Any, what: str) -> tuple[str, str]:
    """Return the name and synset of a string, a pair, or an object."""
    name: Any = None
    synset: Any = ""
    if isinstance(entry, str):
        return _pair(entry.strip())
    if isinstance(entry, list) and len(entry) == 2:
        synset, name = entry
    elif isinstance(entry, dict) and set(entry) <= {"name", "synset"}:
        name, synset = entry.get("name"), entry.get("synset", "")
    if isinstance(name, str) and isinstance(synset, str):
        return name.strip(), synset.strip()
    raise DataError(
        f"{what}: entry {index} is no label; write a name, a pair [synset, name], or an object "
        "with name and synset"
    )

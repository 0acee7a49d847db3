"""Find for each tensor of a quantized file the float tensor that it stands for.

TensorFlow's converter calls a tensor after the operations that were fused into its operator, the
last first, as "net_1/relu_1/Relu;net_1/conv_1/convolution". The names outlive quantization, but
the outer scope and the numbers that make names unique change from one conversion to the next, and
a fused operation may be missing. So tensors are matched by name first, then by name without those,
and what is left between two pairs by its place.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

# What quantizers append to the name of the float tensor that they replace.
_SUFFIXES = re.compile(r"(_quantized|_dequantized?|_requantized?|_float|_int8|_int16)+$")
_NUMBER = re.compile(r"_?\d+$")


@dataclass(frozen=True)
class Candidate:
    """Hold one tensor that may be matched; `place` is its place in the file, in running order."""

    place: int
    name: str
    shape: tuple[int, ...]
    operator: str


def match(quantized: Sequence[Candidate], floats: Sequence[Candidate]) -> dict[int, int]:
    """Return places in the quantized file -> places in the float file, each at most once.

    Both are in running order. Tensors of different shapes never match.
    """
    pairs: dict[int, int] = {}
    for key in (_exact, _parts, _unnumbered, _first_unnumbered):
        mine, theirs = _unique(quantized, key, pairs), _unique(floats, key, pairs, values=True)
        pairs |= {mine[word].place: theirs[word].place for word in mine.keys() & theirs.keys()}
    return pairs | _between(quantized, floats, pairs)


def _exact(one: Candidate) -> Hashable:
    return (one.shape, _SUFFIXES.sub("", one.name))


def _parts(one: Candidate) -> Hashable:
    return (one.shape, frozenset(_plain(one.name)))


def _unnumbered(one: Candidate) -> Hashable:
    return (one.shape, one.operator, frozenset(map(_without_numbers, _plain(one.name))))


def _first_unnumbered(one: Candidate) -> Hashable:
    return (one.shape, one.operator, _without_numbers(_plain(one.name)[0]))


def _plain(name: str) -> list[str]:
    """Return the fused operations of a tensor's name, each without the outermost scope."""
    parts = [part for part in _SUFFIXES.sub("", name).split(";") if part]
    return [part.split("/", 1)[-1] for part in parts] or [""]


def _without_numbers(part: str) -> str:
    """Return an operation without the number that each of its scopes ends with."""
    return "/".join(_NUMBER.sub("", word) for word in part.split("/"))


def _unique(
    candidates: Sequence[Candidate],
    key: Callable[[Candidate], Hashable],
    pairs: dict[int, int],
    *,
    values: bool = False,
) -> dict[Hashable, Candidate]:
    """Return what is not yet paired by a key that no other has."""
    taken = set(pairs.values()) if values else set(pairs)
    groups: dict[Hashable, list[Candidate]] = defaultdict(list)
    for one in candidates:
        if one.place not in taken:
            groups[key(one)].append(one)
    return {word: group[0] for word, group in groups.items() if len(group) == 1}


def _between(
    quantized: Sequence[Candidate], floats: Sequence[Candidate], pairs: dict[int, int]
) -> dict[int, int]:
    """Match what lies between two pairs, from the later one backwards, by shape and operator.

    Backwards, because what differs is mostly at the entry: the way from bytes to numbers.
    """
    order = {one.place: index for index, one in enumerate(floats)}
    taken = set(pairs.values())
    found: dict[int, int] = {}
    upper = len(floats)
    for one in reversed(quantized):
        if one.place in pairs:
            upper = min(upper, order[pairs[one.place]])
            continue
        for index in range(upper - 1, -1, -1):
            other = floats[index]
            if other.place in taken:
                break
            if other.shape == one.shape and _alike(one, other):
                found[one.place] = other.place
                upper = index
                break
    return found


def _alike(one: Candidate, other: Candidate) -> bool:
    """Whether two operators may compute the same: at the entry one does what several do."""
    if one.operator == other.operator:
        return True
    mine = {_without_numbers(part).rsplit("/", 1)[-1] for part in one.name.split(";")}
    theirs = {_without_numbers(part).rsplit("/", 1)[-1] for part in other.name.split(";")}
    return one.operator in ("QUANTIZE", "DEPTHWISE_CONV_2D", "CONV_2D") and bool(
        mine & theirs or one.operator == "QUANTIZE"
    )

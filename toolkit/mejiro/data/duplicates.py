"""Find the pictures that a set holds more than once, and keep each where it does no harm."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Candidate:
    """Hold one readable picture file before it has a place in a set."""

    path: Path
    name: str
    sha256: str
    class_name: str
    for_val: bool = False


@dataclass(frozen=True)
class Sorted:
    """Hold the pictures that are kept, in their order, and what became of the others.

    The fields but for `kept` are those of `DatasetNotes`, by the pictures' names.
    """

    kept: tuple[Candidate, ...]
    duplicates: tuple[tuple[str, str], ...]
    conflicting: tuple[tuple[str, ...], ...]
    crossing: tuple[tuple[str, str], ...]


def sort_out(candidates: Sequence[Candidate]) -> Sorted:
    """Keep each picture once, by its bytes.

    Of those in one class the first is kept, a validation picture before a training picture: to
    have been trained on what is scored would flatter the score. What stands in several classes
    is kept in none, since nothing says which is right.
    """
    groups: dict[str, list[Candidate]] = {}
    for candidate in candidates:
        groups.setdefault(candidate.sha256, []).append(candidate)
    left_out: set[Path] = set()
    duplicates: list[tuple[str, str]] = []
    conflicting: list[tuple[str, ...]] = []
    crossing: list[tuple[str, str]] = []
    for group in groups.values():
        if len({candidate.class_name for candidate in group}) > 1:
            conflicting.append(tuple(candidate.name for candidate in group))
            left_out.update(candidate.path for candidate in group)
            continue
        first = min(group, key=lambda candidate: not candidate.for_val)
        for candidate in group:
            if candidate is not first:
                same_side = candidate.for_val == first.for_val
                (duplicates if same_side else crossing).append((candidate.name, first.name))
                left_out.add(candidate.path)
    return Sorted(
        kept=tuple(candidate for candidate in candidates if candidate.path not in left_out),
        duplicates=tuple(duplicates),
        conflicting=tuple(conflicting),
        crossing=tuple(crossing),
    )

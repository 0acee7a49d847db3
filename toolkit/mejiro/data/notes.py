"""Hold what a user should be told about a set of labelled pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

_NAMED = 5


@dataclass(frozen=True)
class DatasetNotes:
    """Hold what was found and what was done about it. Pictures are named below the set's folder.

    Of `duplicates` the first of each pair was left out, since its bytes are those of the second.
    The pictures of each group in `conflicting` have the same bytes and stand in several classes;
    all were left out. Of `crossing` the first of each pair was left out of the training pictures,
    since the second, a validation picture, has the same bytes. `small_classes` have no picture to
    validate with, `empty_classes` none at all. `ignored` names what else was passed over, each
    with the reason; `remarks` are sentences about the set as a whole.
    """

    unreadable: tuple[str, ...] = ()
    duplicates: tuple[tuple[str, str], ...] = ()
    conflicting: tuple[tuple[str, ...], ...] = ()
    crossing: tuple[tuple[str, str], ...] = ()
    empty_classes: tuple[str, ...] = ()
    small_classes: tuple[str, ...] = ()
    ignored: tuple[tuple[str, str], ...] = ()
    remarks: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "unreadable": list(self.unreadable),
            "duplicates": [list(pair) for pair in self.duplicates],
            "conflicting": [list(group) for group in self.conflicting],
            "crossing": [list(pair) for pair in self.crossing],
            "empty_classes": list(self.empty_classes),
            "small_classes": list(self.small_classes),
            "ignored": [list(pair) for pair in self.ignored],
            "remarks": list(self.remarks),
        }

    def lines(self) -> list[str]:
        """Return what a command prints: one line for each kind of thing that was found.

        Each counts the entries and names the first few; `to_json` has them all.
        """
        findings: dict[str, list[str]] = {
            "pictures that cannot be read, left out": list(self.unreadable),
            "copies of a picture of the same class, left out": _pairs(self.duplicates),
            "pictures that stand in several classes, left out of all": [
                " = ".join(group) for group in self.conflicting
            ],
            "validation pictures found among the training pictures, left out there": _pairs(
                self.crossing
            ),
            "classes without pictures to train on, left out": list(self.empty_classes),
            "classes without a picture to validate with": list(self.small_classes),
        }
        for name, reason in self.ignored:
            findings.setdefault(f"ignored, {reason}", []).append(name)
        lines = [
            f"{what} ({len(names)}): {_some(names)}" for what, names in findings.items() if names
        ]
        return [*self.remarks, *lines]


def _pairs(pairs: Sequence[tuple[str, str]]) -> list[str]:
    return [f"{left_out} (= {kept})" for left_out, kept in pairs]


def _some(names: Sequence[str]) -> str:
    """Return the first few of `names`, and how many more there are."""
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")

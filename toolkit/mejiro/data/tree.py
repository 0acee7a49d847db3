"""Find the pictures of a set in its folders, and name what is passed over and why."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from mejiro.errors import DataError
from mejiro_runtime.fields import CONTROL_CHARACTERS
from mejiro_runtime.sources.pictures import PICTURE_SUFFIXES

TRAIN_NAMES = ("train", "training")
VAL_NAMES = ("val", "valid", "validation", "test")


@dataclass
class Tree:
    """Hold the picture files of each class of one folder, and what else was in it.

    `classes` maps a class's name to its files, by name; `ignored` pairs what was passed over,
    named below the set's root, with the reason.
    """

    classes: dict[str, list[Path]] = field(default_factory=dict)
    ignored: list[tuple[str, str]] = field(default_factory=list)


def shown(path: Path, root: Path) -> str:
    """Return where `path` lies below `root`, fit for any terminal and any UTF-8 file."""
    text = path.relative_to(root).as_posix()
    return CONTROL_CHARACTERS.sub(lambda match: f"\\x{ord(match[0]):02x}", text)


@dataclass(frozen=True)
class Sides:
    """Hold the folders of a set that keeps training and validation pictures apart.

    `val` is None where there are only training pictures. `others` lie beside them.
    """

    train: Path
    val: Path | None
    others: tuple[Path, ...]


def find_sides(root: Path) -> Sides | None:
    """Return the folders of `root` that hold training and validation pictures, or None.

    They are told by their names, and by having folders and no pictures in them: a class may be
    called "train" too. Of several that may hold validation pictures the first of `VAL_NAMES`
    counts. Raises DataError if `root` is not a folder or cannot be read.
    """
    entries = _entries(root)
    by_name = {entry.name.lower(): entry for entry in entries if _holds_classes(entry)}
    train = next((by_name[name] for name in TRAIN_NAMES if name in by_name), None)
    val = next((by_name[name] for name in VAL_NAMES if name in by_name), None)
    others = tuple(entry for entry in entries if entry not in (train, val))
    if train is None:
        return None
    if val is None and any(
        entry.is_dir() and entry.name.lower() not in VAL_NAMES for entry in others
    ):
        return None
    return Sides(train, val, others)


def read_tree(folder: Path, root: Path) -> Tree:
    """Return the pictures of the class folders in `folder`, which is `root` or lies below it.

    A class is named by its folder, composed as Unicode's NFC has it, so that the same name from
    another system's archive is the same class. Links are followed, but for those that lead back
    up. Raises DataError if `folder` has no class folders, cannot be read, or names a class in a
    way that cannot be written down.
    """
    tree = Tree()
    loose = 0
    for entry in _entries(folder):
        if not entry.is_dir():
            loose += _is_picture_name(entry)
            tree.ignored.append((shown(entry, root), _why_no_picture(entry, "beside the classes")))
        elif _leads_up(entry):
            tree.ignored.append((shown(entry, root), "a link that leads back up"))
        else:
            name = unicodedata.normalize("NFC", entry.name)
            _check_class_name(entry, name, tree)
            tree.classes[name] = list(_class_pictures(entry, root, tree.ignored))
    if not tree.classes:
        what = f"{loose} pictures but no class folders" if loose else "no class folders"
        raise DataError(
            f"{folder} has {what}; put the pictures of each class into a folder named by it"
        )
    return tree


def _class_pictures(folder: Path, root: Path, ignored: list[tuple[str, str]]) -> Iterator[Path]:
    """Yield the picture files of one class by name; add everything else to `ignored`."""
    for entry in _entries(folder):
        if entry.is_dir():
            reason = "a link that leads back up" if _leads_up(entry) else _nested(entry)
        elif not entry.is_file() or not _is_picture_name(entry):
            reason = _why_no_picture(entry, "not named like a picture")
        elif CONTROL_CHARACTERS.search(entry.name):
            reason = "a name that cannot be written down"
        else:
            yield entry
            continue
        ignored.append((shown(entry, root), reason))


def _entries(folder: Path) -> list[Path]:
    """Return what lies in `folder` and is not hidden, by name; raises DataError."""
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder; give one that holds a folder for each class")
    try:
        return sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except OSError as error:
        raise DataError(f"{folder} cannot be read: {error.strerror or error}") from None


def _holds_classes(folder: Path) -> bool:
    """Say whether `folder` has folders and no pictures of its own."""
    if not folder.is_dir():
        return False
    entries = _entries(folder)
    return any(entry.is_dir() for entry in entries) and not any(
        entry.is_file() and _is_picture_name(entry) for entry in entries
    )


def _is_picture_name(path: Path) -> bool:
    return path.suffix.lower() in PICTURE_SUFFIXES


def _leads_up(folder: Path) -> bool:
    """Say whether `folder` is a link to a folder that it lies in."""
    if not folder.is_symlink():
        return False
    return folder.parent.resolve().is_relative_to(folder.resolve())


def _nested(folder: Path) -> str:
    """Describe a folder inside a class folder, which is no part of the class."""
    count = sum(
        Path(name).suffix.lower() in PICTURE_SUFFIXES and not name.startswith(".")
        for _, _, names in os.walk(folder)
        for name in names
    )
    return f"a folder inside a class, with {count} pictures"


def _why_no_picture(path: Path, otherwise: str) -> str:
    if not path.exists():  # a link to itself, too, is one to nothing
        return "a link that leads nowhere"
    return otherwise if path.is_file() else "not a file"


def _check_class_name(folder: Path, name: str, tree: Tree) -> None:
    """Raise DataError if `name` cannot be a label, or another folder already has it."""
    if CONTROL_CHARACTERS.search(name):
        raise DataError(
            f"the class folder {folder.name!r} has a name that cannot be printed; rename it"
        )
    if name in tree.classes:
        raise DataError(
            f"{folder.parent} has two folders for the class '{name}', whose names differ only in "
            "how Unicode writes them; put their pictures into one"
        )

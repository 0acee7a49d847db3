"""Read labelled folders: one folder for each class, with the class's pictures in it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mejiro.errors import DataError
from mejiro_runtime.sources.pictures import picture_files
from mejiro_runtime.types import Label

_NAMED_IN_MESSAGES = 5


@dataclass(frozen=True)
class LabelledPicture:
    """Hold one picture file and the index of its class."""

    path: Path
    label_index: int


def labelled_pictures(folder: Path, labels: Sequence[Label]) -> tuple[LabelledPicture, ...]:
    """Return the pictures in the class folders of `folder`, class by class, each by name.

    A class folder is named by its label's name (all of it, or the first of the names that a
    synset lists; case, spaces and underscores count as equal), by its synset, or by its index.
    Hidden folders and files that are not named like pictures are left out; whether a picture
    can be read is found when it is. Raises DataError if `folder` has no class folders, a folder
    that names no class or more than one, or no pictures.
    """
    folders = class_folders(folder)
    names = ClassNames(labels)
    unknown = [path.name for path in folders if names.find(path.name) is None]
    if unknown:
        raise DataError(
            f"{folder} has folders that name no class of this model: {_some(unknown)}; name each "
            "by label, synset or index, and give the folder that holds the class folders"
        )
    found = []
    for path in folders:
        index = names.one(path)
        found += [LabelledPicture(picture, index) for picture in picture_files(path)]
    if not found:
        raise DataError(f"the class folders of {folder} hold no pictures; put some into each")
    return tuple(found)


def class_folders(folder: Path) -> list[Path]:
    """Return the folders in `folder` that are not hidden, by name; DataError if there are none."""
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder; give one that holds a folder for each class")
    try:
        found = sorted(
            path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")
        )
    except OSError as error:
        raise DataError(f"{folder} cannot be read: {error.strerror or error}") from None
    if not found:
        loose = len(picture_files(folder))
        what = f"{loose} pictures but no class folders" if loose else "no class folders"
        raise DataError(
            f"{folder} has {what}; put the pictures of each class into a folder named by it"
        )
    return found


class ClassNames:
    """Find the class that a folder's name means."""

    def __init__(self, labels: Sequence[Label]) -> None:
        self._by_name: dict[str, set[int]] = {}
        self._by_synset = {label.synset: label.index for label in labels if label.synset}
        self._indices = {label.index for label in labels}
        for label in labels:
            for name in (label.name, label.short):
                self._by_name.setdefault(_key(name), set()).add(label.index)

    def find(self, name: str) -> set[int] | None:
        """Return the indices of the classes that `name` may mean, or None; names come first."""
        if name in self._by_synset:
            return {self._by_synset[name]}
        if _key(name) in self._by_name:
            return self._by_name[_key(name)]
        if name.isascii() and name.isdecimal() and int(name) in self._indices:
            return {int(name)}
        return None

    def one(self, path: Path) -> int:
        """Return the index of the one class that the folder `path` names, or raise DataError."""
        indices = self.find(path.name) or set()
        if len(indices) != 1:
            listed = " and ".join(str(index) for index in sorted(indices))
            raise DataError(
                f"{path} may mean class {listed}, which share that name; "
                "name the folder by synset or index"
            )
        return next(iter(indices))


def _key(name: str) -> str:
    """Return `name` with what differs between a label and a folder's name taken out."""
    return " ".join(name.replace("_", " ").casefold().split())


def _some(names: Iterable[str]) -> str:
    """Return the first few of `names` for a message, and how many more there are."""
    every = list(names)
    shown = ", ".join(f"'{name}'" for name in every[:_NAMED_IN_MESSAGES])
    more = len(every) - _NAMED_IN_MESSAGES
    return f"{shown} and {more} more" if more > 0 else shown

"""Read a folder of labelled pictures as two sets: one to train on, one to validate with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mejiro.data.cifar import CIFAR, cifar_folder
from mejiro.data.duplicates import Candidate, sort_out
from mejiro.data.hashing import HashedPicture, hash_readable
from mejiro.data.imagenet import imagenet_labels
from mejiro.data.notes import DatasetNotes
from mejiro.data.split import split_by_hash
from mejiro.data.tree import Sides, Tree, find_sides, read_tree, shown
from mejiro.errors import DataError, UsageError
from mejiro_runtime.types import Label

__all__ = ["DEFAULT_VAL", "Dataset", "HashedPicture", "read_dataset"]

DEFAULT_VAL = 0.2

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Dataset:
    """Hold the pictures to train on and those to validate with; no picture is in both.

    The pictures stand by class, then by name. Their paths begin with `root`.
    """

    name: str
    root: Path
    labels: tuple[Label, ...]
    train: tuple[HashedPicture, ...]
    val: tuple[HashedPicture, ...]
    notes: DatasetNotes

    def place(self, picture: HashedPicture) -> str:
        """Return where `picture` lies below `root`, with forward slashes."""
        return picture.path.relative_to(self.root).as_posix()

    def class_counts(self) -> tuple[tuple[int, int], ...]:
        """Return how many pictures each class has to train on and to validate with."""
        train, val = [0] * len(self.labels), [0] * len(self.labels)
        for counts, pictures in ((train, self.train), (val, self.val)):
            for picture in pictures:
                counts[picture.label_index] += 1
        return tuple(zip(train, val, strict=True))


def read_dataset(
    reference: str,
    *,
    val: float | None = None,
    archive: Path | None = None,
    cache: Path | None = None,
    on_progress: Progress | None = None,
) -> Dataset:
    """Return the labelled pictures that `reference` names, split into two sets.

    `reference` is a folder with a folder for each class in it, or with two such folders, train
    and val; or ``cifar10`` or ``cifar100``, which come by download or from the file `archive`
    and are kept as pictures in `cache`. Where the two sets are not apart yet, about `val`
    (`DEFAULT_VAL` if None) of the pictures are held back; see `split_by_hash`.

    Every file is read: `on_progress` gets how many are, of how many. What was left out and why
    stands in the notes. Raises UsageError for a `val` out of range or where the sets are apart
    already, DataError if fewer than two classes have pictures or none can be held back.
    """
    if val is not None and not 0.0 < val < 1.0:
        raise UsageError(f"--val is a share between 0 and 1, found {val:g}")
    if reference in CIFAR:
        root = cifar_folder(reference, archive=archive, cache=cache, on_progress=on_progress)
    elif archive is None:
        root = Path(reference)
    else:
        raise UsageError(f"--archive goes with {' or '.join(CIFAR)}, not with {reference}")
    name = reference if reference in CIFAR else root.resolve().name
    try:
        sides = find_sides(root)
        if sides is not None and sides.val is not None and val is not None:
            raise UsageError(
                f"{name} keeps its validation pictures in {sides.val.name}/; leave --val out"
            )
        return _read(name, root, sides, DEFAULT_VAL if val is None else val, on_progress)
    except OSError as error:  # a folder that may be listed and not entered, a share gone away
        raise DataError(f"{root} cannot be read: {error}") from None


def _read(
    name: str, root: Path, sides: Sides | None, share: float, on_progress: Progress | None
) -> Dataset:
    trees = _read_trees(root, sides)
    candidates, unreadable = _candidates(trees, root, on_progress)
    sorted_out = sort_out(candidates)
    usable = {candidate.class_name for candidate in sorted_out.kept if not candidate.for_val}
    class_names = sorted({class_name for tree in trees for class_name in tree.classes})
    labels = _labels([class_name for class_name in class_names if class_name in usable])
    _check_classes(root, labels, class_names, trees)
    train, val = _place(sorted_out.kept, sorted(usable), share, apart=len(trees) == 2)
    validated = {picture.label_index for picture in val}
    if not validated:
        raise DataError(f"{root} has no pictures to validate with; give each class two or more")
    notes = DatasetNotes(
        unreadable=tuple(unreadable),
        duplicates=sorted_out.duplicates,
        conflicting=sorted_out.conflicting,
        crossing=sorted_out.crossing,
        empty_classes=tuple(c for c in class_names if c not in usable),
        small_classes=tuple(label.name for label in labels if label.index not in validated),
        ignored=(*_beside(root, sides), *(entry for tree in trees for entry in tree.ignored)),
        remarks=tuple(_remarks(sides)),
    )
    return Dataset(name, root, labels, train, val, notes)


def _read_trees(root: Path, sides: Sides | None) -> tuple[Tree, ...]:
    """Return the training pictures' tree, and that of the validation pictures if they are apart."""
    if sides is None:
        return (read_tree(root, root),)
    train = read_tree(sides.train, root)
    if sides.val is None:
        return (train,)
    val = read_tree(sides.val, root)
    unknown = sorted(set(val.classes) - set(train.classes))
    if unknown:
        raise DataError(
            f"{sides.val} has the class '{unknown[0]}', which {sides.train} has not; "
            "name the folders of a class alike in both"
        )
    return train, val


def _candidates(
    trees: Sequence[Tree], root: Path, on_progress: Progress | None
) -> tuple[list[Candidate], list[str]]:
    """Return the files of `trees` that can be read, by class, and the names of the others."""
    files = [
        (path, class_name, side > 0)
        for side, tree in enumerate(trees)
        for class_name, paths in sorted(tree.classes.items())
        for path in paths
    ]
    hashes = hash_readable([path for path, _, _ in files], on_progress=on_progress)
    candidates, unreadable = [], []
    for (path, class_name, for_val), digest in zip(files, hashes, strict=True):
        if digest is None:
            unreadable.append(shown(path, root))
        else:
            candidates.append(Candidate(path, shown(path, root), digest, class_name, for_val))
    return candidates, unreadable


def _labels(class_names: Sequence[str]) -> tuple[Label, ...]:
    """Return a label for each class, with ImageNet's name where a synset names the folder."""
    known = {label.synset: label.name for label in imagenet_labels()}
    return tuple(
        Label(index, known.get(name, name), name if name in known else "")
        for index, name in enumerate(class_names)
    )


def _check_classes(
    root: Path, labels: Sequence[Label], class_names: Sequence[str], trees: Sequence[Tree]
) -> None:
    """Raise DataError unless there are two classes or more to tell apart."""
    if len(labels) > 1:
        return
    if not any(paths for tree in trees for paths in tree.classes.values()):
        deeper = f"give {root / class_names[0]} if they lie there" if len(class_names) == 1 else ""
        raise DataError(
            f"the class folders of {root} hold no pictures; "
            f"{deeper or 'put the pictures of each class into a folder named by it'}"
        )
    if len(class_names) == 1:
        raise DataError(f"{root} has one class only, '{class_names[0]}'; a classifier needs two")
    usable = f"only '{labels[0].name}' has" if labels else "none has"
    raise DataError(
        f"of the {len(class_names)} class folders of {root} {usable} pictures that can be trained "
        "on; a classifier needs two classes or more"
    )


def _place(
    kept: Sequence[Candidate], class_names: Sequence[str], share: float, *, apart: bool
) -> tuple[tuple[HashedPicture, ...], tuple[HashedPicture, ...]]:
    """Return the pictures of the classes, those to train on and those to validate with."""
    index_of = {name: index for index, name in enumerate(class_names)}
    pictures = [
        (HashedPicture(c.path, index_of[c.class_name], c.sha256), c.for_val)
        for c in kept
        if c.class_name in index_of
    ]
    if not apart:
        return split_by_hash([picture for picture, _ in pictures], share)
    return (
        tuple(picture for picture, for_val in pictures if not for_val),
        tuple(picture for picture, for_val in pictures if for_val),
    )


def _beside(root: Path, sides: Sides | None) -> list[tuple[str, str]]:
    if sides is None:
        return []
    names = [side.name for side in (sides.train, sides.val) if side is not None]
    reason = f"beside {' and '.join(names)}"
    return [(shown(entry, root), reason) for entry in sides.others]


def _remarks(sides: Sides | None) -> list[str]:
    """Say which folder was taken for what, where that could surprise."""
    if sides is None:
        return []
    if sides.val is None:
        return [f"the pictures in {sides.train.name}/ are split; there is no val/ beside it"]
    if sides.val.name.lower() != "val":
        return [f"the pictures in {sides.val.name}/ are those to validate with"]
    return []

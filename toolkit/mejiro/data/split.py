"""Split pictures into those to train on and those to validate with, by what is in them."""

from __future__ import annotations

from collections.abc import Sequence

from mejiro.data.hashing import HashedPicture

_HASH_BITS = 256


def split_by_hash(
    pictures: Sequence[HashedPicture], share: float
) -> tuple[tuple[HashedPicture, ...], tuple[HashedPicture, ...]]:
    """Return about 1 - `share` of `pictures` to train on, and the others, both in their order.

    A picture's hash alone decides on which side it is, so it stays there whatever is added or
    taken away, renamed or moved. But each class of two pictures or more has at least one on each
    side: where the hashes leave a side empty, the picture whose hash comes nearest is taken over.
    The only picture of a class is to train on.
    """
    held_back: set[int] = set()
    classes: dict[int, list[HashedPicture]] = {}
    for picture in pictures:
        classes.setdefault(picture.label_index, []).append(picture)
    for members in classes.values():
        members.sort(key=lambda picture: picture.sha256)
        below = sum(place_of(picture) < share for picture in members)
        # Of one picture this makes none.
        below = min(max(below, 1), len(members) - 1)
        held_back.update(id(picture) for picture in members[:below])
    train = tuple(picture for picture in pictures if id(picture) not in held_back)
    val = tuple(picture for picture in pictures if id(picture) in held_back)
    return train, val


def place_of(picture: HashedPicture) -> float:
    """Return where the picture's hash lies among all hashes, in 0..1."""
    return float(int(picture.sha256, 16) / (1 << _HASH_BITS))

"""The same picture is always on the same side, and every class on both."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mejiro.data.hashing import HashedPicture
from mejiro.data.split import place_of, split_by_hash


def make(name: str, label: int) -> HashedPicture:
    return HashedPicture(Path(name), label, hashlib.sha256(name.encode()).hexdigest())


names = st.lists(st.integers(0, 10_000), unique=True, max_size=60)
shares = st.floats(0.01, 0.99)


@given(names, st.integers(1, 5), shares)
def test_every_picture_is_on_one_side_and_every_class_on_both(numbers, classes, share):
    pictures = [make(str(number), number % classes) for number in numbers]
    train, val = split_by_hash(pictures, share)
    assert sorted([*train, *val], key=pictures.index) == pictures
    assert not set(train) & set(val)
    assert list(train) == [picture for picture in pictures if picture in train]
    for label in range(classes):
        count = sum(picture.label_index == label for picture in pictures)
        if count > 1:
            assert any(picture.label_index == label for picture in train)
            assert any(picture.label_index == label for picture in val)
        elif count == 1:
            assert not any(picture.label_index == label for picture in val)


@given(names, names, shares)
def test_a_picture_stays_where_it_is_when_others_come_and_go(some, more, share):
    before = [make(str(number), 0) for number in some]
    after = [make(str(number), 0) for number in {*some, *more}]
    val_before = set(split_by_hash(before, share)[1])
    val_after = set(split_by_hash(after, share)[1])
    # Only a side that would be empty takes over what belongs to the other.
    if len(val_before) > 1 and len(val_before) < len(before) - 1:
        assert val_before <= val_after


def test_a_name_a_place_or_a_neighbour_decides_nothing():
    pictures = [make(str(number), number % 3) for number in range(200)]
    moved = [
        HashedPicture(Path("elsewhere") / picture.path, picture.label_index, picture.sha256)
        for picture in reversed(pictures)
    ]
    first = {picture.sha256 for picture in split_by_hash(pictures, 0.2)[1]}
    assert first == {picture.sha256 for picture in split_by_hash(moved, 0.2)[1]}
    assert first == {picture.sha256 for picture in pictures if place_of(picture) < 0.2}


@pytest.mark.parametrize("share", [0.1, 0.2, 0.5])
def test_the_share_is_about_what_was_asked_for(share):
    pictures = [make(str(number), 0) for number in range(2000)]
    assert len(split_by_hash(pictures, share)[1]) / 2000 == pytest.approx(share, abs=0.04)

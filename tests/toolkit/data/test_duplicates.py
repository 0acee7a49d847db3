"""Each picture is kept once, and where nothing says which class is right, not at all."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from mejiro.data.duplicates import Candidate, sort_out


def make(name: str, sha256: str, *, for_val: bool = False) -> Candidate:
    return Candidate(Path(name), name, sha256, name.split("/", maxsplit=1)[0], for_val)


def test_the_first_copy_in_a_class_is_kept():
    found = sort_out([make("a/1", "x"), make("a/2", "y"), make("a/3", "x"), make("a/4", "x")])
    assert [candidate.name for candidate in found.kept] == ["a/1", "a/2"]
    assert found.duplicates == (("a/3", "a/1"), ("a/4", "a/1"))
    assert found.conflicting == found.crossing == ()


def test_copies_in_two_classes_are_kept_in_neither():
    found = sort_out([make("a/1", "x"), make("a/2", "x"), make("b/1", "x"), make("b/2", "y")])
    assert [candidate.name for candidate in found.kept] == ["b/2"]
    assert found.conflicting == (("a/1", "a/2", "b/1"),)
    assert found.duplicates == ()


def test_of_training_and_validation_pictures_the_latter_is_kept():
    found = sort_out(
        [
            make("a/1", "x"),
            make("a/2", "x"),
            make("a/3", "y"),
            make("a/v1", "x", for_val=True),
            make("a/v2", "x", for_val=True),
        ]
    )
    assert [candidate.name for candidate in found.kept] == ["a/3", "a/v1"]
    assert found.crossing == (("a/1", "a/v1"), ("a/2", "a/v1"))
    assert found.duplicates == (("a/v2", "a/v1"),)


entries = st.lists(
    st.tuples(st.sampled_from("ab"), st.sampled_from("wxyz"), st.booleans()), max_size=12
)


@given(entries)
def test_no_bytes_are_kept_twice_and_everything_is_accounted_for(entries):
    candidates = [
        make(f"{class_name}/{index}", sha256, for_val=for_val)
        for index, (class_name, sha256, for_val) in enumerate(entries)
    ]
    found = sort_out(candidates)
    hashes = [candidate.sha256 for candidate in found.kept]
    assert len(hashes) == len(set(hashes))
    named = [name for name, _ in (*found.duplicates, *found.crossing)]
    named += [name for group in found.conflicting for name in group]
    named += [candidate.name for candidate in found.kept]
    assert sorted(named) == sorted(candidate.name for candidate in candidates)

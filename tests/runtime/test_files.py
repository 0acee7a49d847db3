"""A file is written whole or not at all."""

from __future__ import annotations

import hashlib
import json
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mejiro_runtime.files import plain_files, replacing, sha256_of, write_json


@pytest.mark.parametrize("size", [0, 1, (1 << 20) - 1, 1 << 20, (1 << 20) + 1])
def test_the_checksum_is_sha256(tmp_path, size) -> None:
    data = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    path = tmp_path / "data"
    path.write_bytes(data)
    assert sha256_of(path) == hashlib.sha256(data).hexdigest()


def test_a_failure_leaves_what_was_there_and_nothing_else(tmp_path) -> None:
    path = tmp_path / "file"
    path.write_text("old", encoding="utf-8")

    def fail_half_way() -> None:
        with replacing(path) as beside:
            beside.write_text("half", encoding="utf-8")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail_half_way()
    assert path.read_text(encoding="utf-8") == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_readers_see_the_old_file_until_the_new_one_is_whole(tmp_path) -> None:
    path = tmp_path / "folder" / "file"
    with replacing(path) as beside:
        assert not path.exists()
        assert beside.parent == path.parent
        beside.write_text("new", encoding="utf-8")
    assert path.read_text(encoding="utf-8") == "new"
    assert list(path.parent.iterdir()) == [path]


def test_rights_follow_the_umask(tmp_path) -> None:
    old = os.umask(0o027)
    try:
        with replacing(tmp_path / "file") as beside:
            beside.touch()
    finally:
        os.umask(old)
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o640


@given(st.dictionaries(st.text(), st.integers() | st.text()))
def test_equal_values_give_equal_bytes(tmp_path_factory, value) -> None:
    folder = tmp_path_factory.mktemp("json")
    write_json(folder / "one", value)
    write_json(folder / "two", dict(reversed(value.items())))
    assert (folder / "one").read_bytes() == (folder / "two").read_bytes()
    assert json.loads((folder / "one").read_text(encoding="utf-8")) == value


def test_what_is_not_json_writes_nothing(tmp_path) -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        write_json(tmp_path / "file", {"x": float("nan")})
    assert not list(tmp_path.iterdir())


def test_plain_files_are_given_by_their_paths(tmp_path) -> None:
    (tmp_path / "inner" / "deep").mkdir(parents=True)
    for name in ("a", "inner/b", "inner/deep/c"):
        (tmp_path / name).write_bytes(b"")
    assert sorted(plain_files(tmp_path, ValueError)) == ["a", "inner/b", "inner/deep/c"]


def test_a_link_is_no_plain_file(tmp_path) -> None:
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "link").symlink_to(tmp_path)
    with pytest.raises(ValueError, match="inner/link"):
        list(plain_files(tmp_path, ValueError))

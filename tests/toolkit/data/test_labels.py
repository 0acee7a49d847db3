from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mejiro.data import labels as labels_module
from mejiro.data.labels import parse_labels, read_labels
from mejiro.errors import DataError
from mejiro_runtime.types import Label

NAMES = st.text(st.characters(categories=["L", "P", "S"]), min_size=1, max_size=20).filter(
    lambda name: name[0] not in "[{"
)


def pairs(text: str | bytes) -> list[tuple[str, str]]:
    data = text.encode() if isinstance(text, str) else text
    found = parse_labels(data, "labels.txt")
    assert [label.index for label in found] == list(range(len(found)))
    return [(label.name, label.synset) for label in found]


@pytest.mark.parametrize(
    "text",
    [
        "cat\ndog\n",
        "cat\r\ndog\r\n\r\n\n",
        "\ufeffcat\ndog",
        "0:cat\n1: dog",
        "1:dog\n0:cat",
        "0 cat\n1  dog",
        '["cat", "dog"]',
        '{"0": "cat", "1": "dog"}',
        '[{"name": "cat"}, {"name": "dog", "synset": ""}]',
    ],
)
def test_every_form_of_a_plain_list_gives_the_same(text: str) -> None:
    assert pairs(text) == [("cat", ""), ("dog", "")]


@pytest.mark.parametrize(
    "text",
    [
        "n01440764\ttench, Tinca tinca\nn01443537 goldfish",
        "n01440764: tench, Tinca tinca\nn01443537,goldfish",
        '[["n01440764", "tench, Tinca tinca"], ["n01443537", "goldfish"]]',
        '{"0": ["n01440764", "tench, Tinca tinca"], "1": ["n01443537", "goldfish"]}',
        '[{"synset": "n01440764", "name": "tench, Tinca tinca"}, "n01443537 goldfish"]',
    ],
)
def test_synsets_are_told_from_names(text: str) -> None:
    assert pairs(text) == [("tench, Tinca tinca", "n01440764"), ("goldfish", "n01443537")]


def test_a_synset_without_a_name_is_its_own_name() -> None:
    assert pairs("n01440764\nn01443537") == [("n01440764", "n01440764"), ("n01443537", "n01443537")]


@pytest.mark.parametrize("text", ["0\n1\n2", "3 wheeler\n2 wheeler", "0 a\n2 b", "12:30\nnoon"])
def test_numbers_that_are_part_of_names_stay(text: str) -> None:
    assert [name for name, _ in pairs(text)] == text.split("\n")


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "is empty"),
        (b"\n \r\n\t", "is empty"),
        (b"cat\n\ndog", "line 2 is blank"),
        (b"cat\xff", "not UTF-8 text (byte 3)"),
        (b"cat\x00\ndog", "label 0"),
        (b"cat\ndo\x1b[31mg", "label 1"),
        (b"1:cat\n2:dog", "from 1 to 2"),
        (b"0:cat\n0:dog", "from 0 to 0"),
        (b"[]", "holds no labels"),
        (b"[1, 2]", "entry 0"),
        (b'["a", ""]', "label 1"),
        (b'{"1": "a"}', "0 to 0"),
        (b'[{"nome": "a"}]', "entry 0"),
        (b'["a"', "not valid JSON"),
        (b'[["a", "b", "c"]]', "entry 0"),
    ],
)
def test_what_is_no_list_of_labels_is_refused_in_one_line(data: bytes, said: str) -> None:
    with pytest.raises(DataError) as caught:
        parse_labels(data, "labels.txt")
    message = str(caught.value)
    assert said in message
    assert message.startswith("labels.txt")
    assert "\n" not in message


@given(st.lists(NAMES, min_size=1, max_size=30))
def test_names_without_digits_or_spaces_come_back_unchanged(names: list[str]) -> None:
    expected = [(name, "") for name in names]
    assert pairs("\n".join(names)) == expected
    assert pairs("\r\n".join(names) + "\n\n") == expected
    assert pairs(json.dumps(names)) == expected
    numbered = [f"{index}:{name}" for index, name in enumerate(names)]
    assert pairs("\n".join(reversed(numbered))) == expected


@given(st.binary(max_size=300) | st.text(max_size=100).map(str.encode))
def test_any_bytes_give_labels_or_one_error(data: bytes) -> None:
    message = ""
    found: tuple[Label, ...] = ()
    try:
        found = parse_labels(data, "labels.txt")
    except DataError as error:
        message = str(error)
    assert bool(found) != bool(message)
    assert "\n" not in message
    assert all(label.name.strip() for label in found)


def test_files_are_read(tmp_path: Path) -> None:
    path = tmp_path / "labels.txt"
    path.write_bytes(b"cat\ndog\n")
    assert read_labels(path) == (Label(0, "cat"), Label(1, "dog"))


def test_a_file_that_is_absent_or_too_large_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(DataError, match="cannot be read: No such file"):
        read_labels(tmp_path / "none.txt")
    monkeypatch.setattr(labels_module, "MAX_LABELS_BYTES", 5)
    path = tmp_path / "labels.txt"
    path.write_text("longer than five")
    with pytest.raises(DataError, match="larger than 5 bytes"):
        read_labels(path)

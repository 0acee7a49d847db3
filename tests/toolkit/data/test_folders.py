"""Read labelled folders of every kind of name."""

from __future__ import annotations

from pathlib import Path

import pytest

from mejiro.data.folders import labelled_pictures
from mejiro.errors import DataError
from mejiro_runtime.types import Label

LABELS = (
    Label(0, "tench, Tinca tinca", "n01440764"),
    Label(1, "Great White Shark", "n01484850"),
    Label(2, "crane", "n02012849"),
    Label(3, "crane", "n03126707"),
    Label(4, "7"),
)


def fill(folder: Path, **classes: list[str]) -> Path:
    for name, files in classes.items():
        (folder / name).mkdir(parents=True)
        for file in files:
            (folder / name / file).write_bytes(b"whatever")
    return folder


@pytest.mark.parametrize(
    ("name", "index"),
    [
        ("tench", 0),
        ("tench, Tinca tinca", 0),
        ("TENCH", 0),
        ("n01440764", 0),
        ("great_white_shark", 1),
        ("n03126707", 3),
        ("0", 0),
        ("0002", 2),
        ("7", 4),  # a label's name comes before an index
    ],
)
def test_a_folder_is_named_by_label_synset_or_index(tmp_path, name, index):
    found = labelled_pictures(fill(tmp_path, **{name: ["a.jpg"]}), LABELS)
    assert [(picture.path, picture.label_index) for picture in found] == [
        (tmp_path / name / "a.jpg", index)
    ]


def test_pictures_come_in_the_order_of_names_and_nothing_else_does(tmp_path):
    fill(tmp_path, tench=["b.PNG", "a.jpeg", "notes.txt", ".hidden.jpg"], n01484850=["c.webp"])
    fill(tmp_path, **{".cache": ["d.jpg"]})
    (tmp_path / "loose.jpg").write_bytes(b"")
    found = labelled_pictures(tmp_path, LABELS)
    assert [(p.path.name, p.label_index) for p in found] == [
        ("c.webp", 1),
        ("a.jpeg", 0),
        ("b.PNG", 0),
    ]
    assert labelled_pictures(tmp_path, LABELS) == found


@pytest.mark.parametrize("name", ["trench", "5", "-1", "1.0", "n99999999", "²"])
def test_a_folder_that_names_no_class_is_named(tmp_path, name):
    fill(tmp_path, tench=["a.jpg"], **{name: ["b.jpg"]})
    with pytest.raises(DataError, match=f"no class of this model: '{name}';"):
        labelled_pictures(tmp_path, LABELS)


def test_of_many_unknown_folders_some_are_named(tmp_path):
    fill(tmp_path, **{f"x{index}": [] for index in range(8)})
    with pytest.raises(DataError, match="'x0', 'x1', 'x2', 'x3', 'x4' and 3 more;"):
        labelled_pictures(tmp_path, LABELS)


def test_a_name_of_two_classes_asks_for_another(tmp_path):
    with pytest.raises(DataError, match="class 2 and 3"):
        labelled_pictures(fill(tmp_path, crane=["a.jpg"]), LABELS)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda folder: None, "no class folders"),
        (lambda folder: (folder / "a.jpg").write_bytes(b""), "1 pictures but no class folders"),
        (lambda folder: fill(folder, tench=["notes.txt"]), "hold no pictures"),
    ],
)
def test_a_folder_without_pictures_says_what_it_has(tmp_path, make, message):
    make(tmp_path)
    with pytest.raises(DataError, match=message):
        labelled_pictures(tmp_path, LABELS)


def test_a_file_or_nothing_is_no_folder(tmp_path):
    (tmp_path / "file").write_text("")
    for name in ("file", "absent"):
        with pytest.raises(DataError, match="is not a folder"):
            labelled_pictures(tmp_path / name, LABELS)

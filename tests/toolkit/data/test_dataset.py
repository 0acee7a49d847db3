"""Folders of pictures of every kind become two sets, or one line that says why not."""

from __future__ import annotations

import json
import os
import unicodedata
from pathlib import Path

import pytest

from mejiro.data.dataset import read_dataset
from mejiro.errors import DataError, UsageError
from mejiro_runtime.files import sha256_of


def places(dataset, side: str = "both") -> list[str]:
    pictures = {"train": dataset.train, "val": dataset.val}.get(side, dataset.train + dataset.val)
    return sorted(dataset.place(picture) for picture in pictures)


def read(root: Path, **options):
    return read_dataset(str(root), **options)


def test_class_folders_become_two_sets(write_set):
    root = write_set("bees", "ants", each=20)
    told = []
    dataset = read(root, val=0.3, on_progress=lambda done, total: told.append((done, total)))
    assert dataset.name == "set"
    assert [(label.index, label.name, label.synset) for label in dataset.labels] == [
        (0, "ants", ""),
        (1, "bees", ""),
    ]
    assert len(dataset.train) + len(dataset.val) == 40
    assert not {p.sha256 for p in dataset.train} & {p.sha256 for p in dataset.val}
    for picture in dataset.train + dataset.val:
        assert picture.sha256 == sha256_of(picture.path)
        assert dataset.labels[picture.label_index].name == picture.path.parent.name
    assert sum(train + val for train, val in dataset.class_counts()) == 40
    assert min(min(counts) for counts in dataset.class_counts()) >= 1
    assert dataset.notes.lines() == []
    assert told == [(done, 40) for done in range(1, 41)]
    assert read(root, val=0.3) == dataset


def test_train_and_val_stay_as_they_are(write_set, tmp_path):
    write_set("ants", "bees", root=tmp_path / "train")
    write_set("ants", "bees", root=tmp_path / "val", each=2, first=500)
    dataset = read(tmp_path)
    assert places(dataset, "train") == [
        f"train/{c}/{i}.png" for c in ("ants", "bees") for i in range(5)
    ]
    assert places(dataset, "val") == [
        f"val/{c}/{i}.png" for c in ("ants", "bees") for i in range(2)
    ]
    assert dataset.notes.lines() == []
    with pytest.raises(UsageError, match=r"keeps its validation pictures in val/; leave --val out"):
        read(tmp_path, val=0.2)


@pytest.mark.parametrize("name", ["valid", "validation", "test", "Val"])
def test_what_else_validation_pictures_are_called_is_said(write_set, tmp_path, name):
    write_set("ants", "bees", root=tmp_path / "Train")
    write_set("ants", "bees", root=tmp_path / name, first=500)
    dataset = read(tmp_path)
    assert {place.split("/")[0] for place in places(dataset, "val")} == {name}
    expected = [] if name == "Val" else [f"the pictures in {name}/ are those to validate with"]
    assert dataset.notes.lines() == expected


def test_what_lies_beside_train_and_val_is_named(write_set, tmp_path):
    for place, name in enumerate(("train", "val", "test", "more")):
        write_set("ants", "bees", root=tmp_path / name, first=100 * place)
    (tmp_path / "README.md").write_text("")
    notes = read(tmp_path).notes
    assert notes.ignored == (
        ("README.md", "beside train and val"),
        ("more", "beside train and val"),
        ("test", "beside train and val"),
    )
    assert notes.lines() == ["ignored, beside train and val (3): README.md, more, test"]


def test_train_alone_is_split_and_pictures_without_classes_are_passed_over(
    write_set, write_picture, tmp_path
):
    write_set("ants", "bees", root=tmp_path / "train")
    write_picture(tmp_path / "test" / "1.png", 77)
    dataset = read(tmp_path)
    assert len(dataset.train) + len(dataset.val) == 10
    assert dataset.notes.lines() == [
        "the pictures in train/ are split; there is no val/ beside it",
        "ignored, beside train (1): test",
    ]


def test_a_class_may_be_called_train(write_set):
    dataset = read(write_set("car", "train", "test"))
    assert [label.name for label in dataset.labels] == ["car", "test", "train"]


def test_a_class_of_val_that_train_has_not_is_refused(write_set, tmp_path):
    write_set("ants", "bees", root=tmp_path / "train")
    write_set("ants", "wasps", root=tmp_path / "val", first=500)
    with pytest.raises(DataError, match="has the class 'wasps', which .*train has not; name"):
        read(tmp_path)


def test_synset_folders_get_the_names_of_imagenet(write_set):
    dataset = read(write_set("n01440764", "n99999999"))
    assert [(label.name, label.synset) for label in dataset.labels] == [
        ("tench, Tinca tinca", "n01440764"),
        ("n99999999", ""),
    ]


@pytest.mark.parametrize("val", [0.0, 1.0, -0.5, 20.0, float("nan")])
def test_a_share_out_of_range_is_refused(write_set, val):
    with pytest.raises(UsageError, match="--val is a share between 0 and 1, found"):
        read(write_set("ants", "bees"), val=val)


def test_one_class_is_not_enough(write_set, write_picture, tmp_path):
    with pytest.raises(DataError, match="has one class only, 'ants'; a classifier needs two"):
        read(write_set("ants"))
    other = tmp_path / "other"
    write_set("ants", root=other)
    (other / "bees").mkdir()
    (other / "wasps").mkdir()
    with pytest.raises(DataError, match="of the 3 class folders .* only 'ants' has pictures"):
        read(other)


def test_a_folder_without_pictures_says_what_it_has(write_picture, tmp_path):
    with pytest.raises(DataError, match="absent is not a folder"):
        read(tmp_path / "absent")
    with pytest.raises(DataError, match="has no class folders; put"):
        read(tmp_path)
    write_picture(tmp_path / "loose.png")
    with pytest.raises(DataError, match="has 1 pictures but no class folders"):
        read(tmp_path)
    for name in ("ants", "bees"):
        (tmp_path / name).mkdir()
    with pytest.raises(DataError, match="class folders of .* hold no pictures"):
        read(tmp_path)


def test_copies_may_leave_nothing_to_train_on(write_set):
    root = write_set("ants", "bees", each=1)
    (root / "bees" / "0.png").write_bytes((root / "ants" / "0.png").read_bytes())
    with pytest.raises(DataError, match="of the 2 class folders of .* none has pictures"):
        read(root)


def test_one_picture_each_cannot_be_split(write_set):
    with pytest.raises(DataError, match="has no pictures to validate with; give each class two"):
        read(write_set("ants", "bees", each=1))


def test_an_empty_class_is_left_out_and_named(write_set):
    root = write_set("ants", "bees")
    (root / "asps").mkdir()
    dataset = read(root)
    assert [label.name for label in dataset.labels] == ["ants", "bees"]
    assert dataset.notes.empty_classes == ("asps",)
    assert dataset.notes.lines() == ["classes without pictures to train on, left out (1): asps"]
    assert {p.path.parent.name: p.label_index for p in dataset.train} == {"ants": 0, "bees": 1}


def test_the_only_picture_of_a_class_is_trained_on_and_named(write_set, write_picture):
    root = write_set("ants", "bees")
    write_picture(root / "wasps" / "only.png", 99)
    dataset = read(root)
    assert dataset.class_counts()[2] == (1, 0)
    assert dataset.notes.small_classes == ("wasps",)
    assert dataset.notes.lines() == ["classes without a picture to validate with (1): wasps"]


def test_pictures_that_cannot_be_read_are_named_and_skipped(write_set):
    root = write_set("ants", "bees")
    (root / "ants" / "text.jpg").write_bytes(b"no picture at all")
    (root / "ants" / "empty.png").write_bytes(b"")
    half = (root / "bees" / "0.png").read_bytes()
    (root / "bees" / "half.png").write_bytes(half[: len(half) // 2])
    dataset = read(root)
    assert dataset.notes.unreadable == ("ants/empty.png", "ants/text.jpg", "bees/half.png")
    assert len(dataset.train) + len(dataset.val) == 10
    assert dataset.notes.lines() == [
        "pictures that cannot be read, left out (3): ants/empty.png, ants/text.jpg, bees/half.png"
    ]


def test_a_truncated_jpeg_is_named_and_skipped(write_set, write_picture):
    root = write_set("ants", "bees")
    path = write_picture(root / "ants" / "photo.jpg", 5, side=200)
    path.write_bytes(path.read_bytes()[:-2000])
    assert read(root).notes.unreadable == ("ants/photo.jpg",)


def test_pictures_of_every_kind_are_read(write_set):
    pillow = pytest.importorskip("PIL.Image")
    root = write_set("ants", "bees")
    red, blue = (pillow.new("RGB", (30, 20), colour) for colour in ("red", "blue"))
    exif = pillow.Exif()
    exif[0x0112] = 6
    kinds = root / "kinds"
    kinds.mkdir()
    red.convert("CMYK").save(kinds / "cmyk.jpg")
    red.convert("L").save(kinds / "grey.png")
    red.convert("P").save(kinds / "palette.png")
    red.convert("1").save(kinds / "bits.tif")
    red.save(kinds / "turned.JPG", exif=exif)
    pillow.new("I;16", (30, 20), 30_000).save(kinds / "deep.png")
    pillow.new("RGBA", (30, 20), (9, 9, 9, 0)).save(kinds / "clear.webp", lossless=True)
    for name in ("moving.gif", "moving.webp", "moving.png", "pages.tiff"):
        red.save(kinds / name, save_all=True, append_images=[blue])
    dataset = read(root)
    assert len([p for p in dataset.train + dataset.val if p.label_index == 2]) == 11
    assert dataset.notes.lines() == []


def test_copies_are_kept_once(write_set):
    root = write_set("ants", "bees")
    (root / "ants" / "copy.png").write_bytes((root / "ants" / "3.png").read_bytes())
    dataset = read(root)
    assert dataset.notes.duplicates == (("ants/copy.png", "ants/3.png"),)
    assert len(dataset.train) + len(dataset.val) == 10
    assert dataset.notes.lines() == [
        "copies of a picture of the same class, left out (1): ants/copy.png (= ants/3.png)"
    ]


def test_what_stands_in_two_classes_is_kept_in_neither(write_set):
    root = write_set("ants", "bees")
    (root / "ants" / "9.png").write_bytes((root / "bees" / "3.png").read_bytes())
    dataset = read(root)
    assert dataset.notes.conflicting == (("ants/9.png", "bees/3.png"),)
    assert "bees/3.png" not in places(dataset)
    assert dataset.notes.lines() == [
        "pictures that stand in several classes, left out of all (1): ants/9.png = bees/3.png"
    ]


def test_a_validation_picture_is_not_trained_on(write_set, tmp_path):
    write_set("ants", "bees", root=tmp_path / "train")
    write_set("ants", "bees", root=tmp_path / "val", first=500)
    copy = tmp_path / "train" / "ants" / "other name.png"
    copy.write_bytes((tmp_path / "val" / "ants" / "1.png").read_bytes())
    dataset = read(tmp_path)
    assert dataset.notes.crossing == (("train/ants/other name.png", "val/ants/1.png"),)
    assert "train/ants/other name.png" not in places(dataset)
    assert "val/ants/1.png" in places(dataset, "val")
    assert "validation pictures found among the training pictures" in dataset.notes.lines()[0]


def test_folders_inside_a_class_are_named_not_read(write_set, write_picture):
    root = write_set("ants", "bees")
    write_picture(root / "ants" / "2021" / "a.png", 99)
    write_picture(root / "ants" / "2021" / "june" / "b.png", 98)
    dataset = read(root)
    assert len(dataset.train) + len(dataset.val) == 10
    assert dataset.notes.lines() == [
        "ignored, a folder inside a class, with 2 pictures (1): ants/2021"
    ]


def test_an_extra_level_of_folders_is_found_out(write_set, tmp_path):
    write_set("ants", "bees", root=tmp_path / "insects")
    with pytest.raises(
        DataError, match=f"hold no pictures; give {tmp_path / 'insects'} if they lie there"
    ):
        read(tmp_path)


def test_what_is_no_picture_is_named_by_reason(write_set):
    root = write_set("ants", "bees")
    (root / "ants" / "notes.txt").write_text("")
    (root / "ants" / "photo.heic").write_text("")
    (root / "loose.png").write_text("")
    (root / ".hidden").mkdir()
    (root / "ants" / ".DS_Store").write_text("")
    os.mkfifo(root / "ants" / "pipe.png")
    assert read(root).notes.lines() == [
        "ignored, not named like a picture (2): ants/notes.txt, ants/photo.heic",
        "ignored, not a file (1): ants/pipe.png",
        "ignored, beside the classes (1): loose.png",
    ]


NAMES = ["目白", "ünïcode ﷽", "with space", "a'b\"c", "-dash", "$HOME", "日本語 テスト"]


def test_names_may_hold_any_letters(write_set, write_picture):
    root = write_set(*NAMES, each=2)
    for index, name in enumerate(NAMES):
        write_picture(root / name / f"{name}.png", 90_000 + index)
    dataset = read(root)
    assert [label.name for label in dataset.labels] == sorted(NAMES)
    assert len(dataset.train) + len(dataset.val) == 3 * len(NAMES)
    assert dataset.notes.lines() == []


def test_one_name_written_in_two_ways_is_one_class(write_set, tmp_path):
    composed, apart = (unicodedata.normalize(form, "mésange") for form in ("NFC", "NFD"))
    write_set("ants", apart, root=tmp_path / "train")
    write_set("ants", composed, root=tmp_path / "val", first=500)
    assert [label.name for label in read(tmp_path).labels] == ["ants", composed]
    write_set(composed, root=tmp_path / "train", first=900)
    with pytest.raises(DataError, match="two folders for the class 'mésange', whose names differ"):
        read(tmp_path)


def test_names_that_no_file_can_hold_are_named_escaped(write_set, write_picture):
    root = write_set("ants", "bees")
    for name in (b"caf\xe9.png", b"two\nlines.png"):
        write_picture(root / "ants" / os.fsdecode(name), len(name) + 700)
    dataset = read(root)
    assert dataset.notes.lines() == [
        (
            "ignored, a name that cannot be written down (2): "
            "ants/caf\\xdce9.png, ants/two\\x0alines.png"
        )
    ]
    json.dumps(dataset.notes.to_json(), ensure_ascii=False).encode("utf-8")


@pytest.mark.parametrize("name", [b"caf\xe9", b"two\nlines", b"\x1b[31m"])
def test_a_class_whose_name_cannot_be_printed_is_refused(write_set, name):
    with pytest.raises(DataError, match="has a name that cannot be printed; rename it") as caught:
        read(write_set("ants", os.fsdecode(name)))
    assert str(caught.value).isprintable()


def test_links_are_followed_once_and_never_in_circles(write_set, write_picture, tmp_path):
    root = write_set("ants", each=5)
    elsewhere = write_set("any", root=tmp_path / "elsewhere", first=300)
    (root / "bees").symlink_to(elsewhere / "any", target_is_directory=True)
    (root / "loop").symlink_to(root, target_is_directory=True)
    (root / "ants" / "up").symlink_to(root, target_is_directory=True)
    (root / "ants" / "itself.png").symlink_to(root / "ants" / "itself.png")
    (root / "ants" / "gone.png").symlink_to(tmp_path / "gone.png")
    outside = write_picture(tmp_path / "outside.png", 900)
    for name in ("linked.png", "linked again.png"):
        (root / "ants" / name).symlink_to(outside)
    dataset = read(root)
    assert [label.name for label in dataset.labels] == ["ants", "bees"]
    assert len(dataset.train) + len(dataset.val) == 11
    assert dataset.notes.duplicates == (("ants/linked.png", "ants/linked again.png"),)
    assert dataset.notes.ignored == (
        ("ants/gone.png", "a link that leads nowhere"),
        ("ants/itself.png", "a link that leads nowhere"),
        ("ants/up", "a link that leads back up"),
        ("loop", "a link that leads back up"),
    )


def test_two_classes_that_are_one_folder_conflict(write_set):
    root = write_set("ants", "bees", "wasps")
    (root / "hornets").symlink_to(root / "wasps", target_is_directory=True)
    dataset = read(root)
    assert len(dataset.notes.conflicting) == 5
    assert dataset.notes.empty_classes == ("hornets", "wasps")
    assert [label.name for label in dataset.labels] == ["ants", "bees"]


def test_notes_are_plain_json(write_set):
    root = write_set("ants", "bees", "n01440764")
    (root / "ants" / "9.png").write_bytes((root / "bees" / "3.png").read_bytes())
    (root / "ants" / "text.png").write_text("")
    notes = read(root).notes.to_json()
    assert json.loads(json.dumps(notes)) == notes
    assert notes["conflicting"] == [["ants/9.png", "bees/3.png"]]
    assert notes["unreadable"] == ["ants/text.png"]


def test_of_many_names_some_are_shown(write_set):
    root = write_set("ants", "bees")
    for index in range(8):
        (root / "ants" / f"{index}.txt").write_text("")
    assert read(root).notes.lines() == [
        (
            "ignored, not named like a picture (8): "
            "ants/0.txt, ants/1.txt, ants/2.txt, ants/3.txt, ants/4.txt and 3 more"
        )
    ]


def test_an_archive_is_for_cifar(write_set, tmp_path):
    with pytest.raises(UsageError, match="--archive goes with cifar10 or cifar100, not with"):
        read(write_set("ants", "bees"), archive=tmp_path / "a.tar.gz")


@pytest.mark.shared
def test_real_sets_hold_what_they_hold(shared_folder, tmp_path):
    import zipfile

    with zipfile.ZipFile(shared_folder / "data" / "hymenoptera.zip") as archive:
        archive.extractall(tmp_path)
    root = next(path.parent for path in tmp_path.rglob("train") if path.is_dir())
    dataset = read(root)
    assert (len(dataset.train), len(dataset.val)) == (243, 153)
    assert dataset.notes.lines() == []

"""Check ImageNet's labels: their number, their order, and that they mean what others mean."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from mejiro.errors import UsageError
from mejiro.zoo.labels import check_labels, imagenet_labels
from mejiro_runtime.types import Label


def test_there_are_a_thousand_sorted_by_synset() -> None:
    labels = imagenet_labels()
    synsets = [label.synset for label in labels]
    assert len(labels) == 1000
    assert synsets == sorted(set(synsets))
    assert [label.index for label in labels] == list(range(1000))
    assert all(len(s) == 9 and s[0] == "n" and s[1:].isdigit() for s in synsets)
    assert all(label.name and label.name == label.name.strip() for label in labels)


@pytest.mark.parametrize(
    ("index", "synset", "short"),
    [
        (0, "n01440764", "tench"),
        (134, "n02012849", "crane"),
        (281, "n02123045", "tabby"),
        (517, "n03126707", "crane"),
        (999, "n15075141", "toilet tissue"),
    ],
)
def test_known_classes(index: int, synset: str, short: str) -> None:
    label = imagenet_labels()[index]
    assert (label.synset, label.short) == (synset, short)


@pytest.mark.shared
def test_names_are_those_of_the_models_with_a_background_class(shared_folder: Path) -> None:
    path = shared_folder / "models" / "imagenet_labels.txt"
    assert ["background", *(label.name for label in imagenet_labels())] == (
        path.read_text(encoding="utf-8").splitlines()
    )


@pytest.mark.shared
def test_synsets_are_those_of_the_sample_pictures(shared_folder: Path) -> None:
    path = shared_folder / "data" / "imagenet-sample.zip"
    folders = {Path(name).parent.name for name in zipfile.ZipFile(path).namelist()}
    every_fifth = {label.synset for label in imagenet_labels()[::5]}
    assert every_fifth <= folders


def test_labels_are_checked() -> None:
    pair = (Label(0, "ant"), Label(1, "bee"))
    check_labels(pair, 2)
    with pytest.raises(UsageError, match="3 classes and 2 labels"):
        check_labels(pair, 3)
    with pytest.raises(UsageError, match="two labels or more, found 1"):
        check_labels(pair[:1])
    with pytest.raises(UsageError, match="'bee' has index 1 and stands at 0"):
        check_labels(pair[::-1])

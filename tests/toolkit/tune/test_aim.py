"""What all trials share counts by its content, and the first difference is named."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from mejiro.data.dataset import Dataset
from mejiro.data.hashing import HashedPicture
from mejiro.data.notes import DatasetNotes
from mejiro.errors import UsageError
from mejiro.tune import Choices, Range, Space
from mejiro.tune.aim import check_aim, make_aim, named_data, named_model, options_of
from mejiro_runtime.types import Label

SPACE = Space({"rate": Range(1e-5, 1e-3), "augment": Choices(("none", "light"))})


def dataset(name: str = "birds", *, digit: str = "a", root: str = "here") -> Dataset:
    folder = Path(root)
    pictures = tuple(
        HashedPicture(folder / str(index) / "1.jpg", index, digit * 63 + str(index))
        for index in range(2)
    )
    labels = (Label(0, "finch"), Label(1, "wren"))
    return Dataset(name, folder, labels, pictures[:1], pictures[1:], DatasetNotes())


def aim(**changes: object) -> dict[str, str]:
    given = {
        "dataset": dataset(),
        "model": "tiny",
        "space": SPACE,
        "options": {"--set": ("a", "b")},
    }
    return make_aim(**{**given, **changes})  # type: ignore[arg-type]


def test_an_aim_is_written_in_words() -> None:
    found = aim(options={"--depth": None, "--set": (), "--mixed-precision": False, "--val": 0.5})
    assert named_data(found) == "birds"
    assert named_model(found) == "tiny"
    assert found["a search of rate"] == "1e-05..0.001"
    assert found["a search of augment"] == "none, light"
    assert found["--depth"] == found["--set"] == "nothing"
    assert list(options_of(found)) == ["the data", "the model", "--mixed-precision", "--val"]


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"dataset": dataset(digit="b")}, "the data birds"),
        ({"model": "large"}, "the model tiny, found large"),
        (
            {"space": Space({**SPACE.dimensions, "rate": Range(1e-5, 1e-2)})},
            "a search of rate 1e-05..0.001, found 1e-05..0.01",
        ),
        (
            {"space": Space({"rate": SPACE.dimensions["rate"]})},
            "a search of augment none, light, found nothing",
        ),
        ({"options": {"--set": ("a",)}}, "--set a b, found a;"),
    ],
)
def test_a_difference_is_named(changes: dict[str, object], named: str) -> None:
    with pytest.raises(UsageError) as caught:
        check_aim("study", aim(), aim(**changes))
    assert f"study was begun with {named}" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_where_pictures_lie_and_what_their_folder_is_called_decides_nothing() -> None:
    check_aim("study", aim(), aim(dataset=dataset("copy", root="there")))


def test_the_split_belongs_to_the_data() -> None:
    ours = dataset()
    other = replace(ours, train=ours.val, val=ours.train)
    with pytest.raises(UsageError, match="the data"):
        check_aim("study", aim(dataset=ours), aim(dataset=other))


def model_folder(folder: Path, content: bytes, *, below: str = "") -> str:
    (folder / below).mkdir(parents=True)
    (folder / below / "model.keras").write_bytes(content)
    (folder / "history.csv").write_text(folder.name, encoding="utf-8")
    return str(folder)


def test_a_model_that_lies_on_disk_counts_by_its_weights(tmp_path: Path) -> None:
    one = model_folder(tmp_path / "a", b"weights")
    same = model_folder(tmp_path / "b", b"weights")
    run = model_folder(tmp_path / "run", b"weights", below="model")
    other = model_folder(tmp_path / "c", b"others")
    file = tmp_path / "c" / "model.keras"
    check_aim("study", aim(model=one), aim(model=same))
    check_aim("study", aim(model=one), aim(model=run))
    check_aim("study", aim(model=other), aim(model=str(file)))
    with pytest.raises(UsageError, match=r"the model a \(.*found c \("):
        check_aim("study", aim(model=one), aim(model=other))
    assert named_model(aim(model=one)) == "a"

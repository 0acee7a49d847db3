"""CIFAR becomes folders of pictures, from archives that may hold anything."""

from __future__ import annotations

import io
import os
import pickle
import tarfile
from pathlib import Path

import cv2
import numpy as np
import pytest

from mejiro.data.cifar import CIFAR, cifar_folder
from mejiro.data.dataset import read_dataset
from mejiro.errors import DataError, UsageError

EACH = 20


def tarred(path: Path, members: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name, data in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


def rows(number: int) -> np.ndarray:
    return np.random.default_rng(number).integers(0, 256, (EACH, 3072)).astype(np.uint8)


def old_pickle(batch: dict) -> bytes:
    """Return `batch` as Python 2 and numpy of its day wrote the published archives."""
    data = pickle.dumps(batch, protocol=2)
    return data.replace(b"numpy._core.multiarray", b"numpy.core.multiarray")


def batch(number: int, key: str, classes: int) -> dict:
    truth = [(number + index) % classes for index in range(EACH)]
    return {b"data": rows(number), key.encode(): truth, b"filenames": [b"a.png"] * EACH}


def cifar10_python(path: Path, dump=old_pickle) -> Path:
    names = [*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"]
    members = {
        f"cifar-10-batches-py/{name}": dump(batch(number, "labels", 10))
        for number, name in enumerate(names)
    }
    return tarred(path, {**members, "cifar-10-batches-py/batches.meta": b"no pickle"})


def records(number: int, label_bytes: int, classes: int) -> bytes:
    truth = np.array([(number + index) % classes for index in range(EACH)], np.uint8)
    labels = np.zeros((EACH, label_bytes), np.uint8)
    labels[:, -1] = truth
    return np.concatenate([labels, rows(number)], axis=1).tobytes()


def cifar10_binary(path: Path) -> Path:
    names = [*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"]
    members = {
        f"cifar-10-batches-bin/{name}.bin": records(number, 1, 10)
        for number, name in enumerate(names)
    }
    return tarred(path, members)


def cifar100(path: Path, *, binary: bool) -> Path:
    if binary:
        members = {"a/train.bin": records(0, 2, 100), "a/test.bin": records(1, 2, 100)}
    else:
        members = {
            f"a/{name}": old_pickle(
                {**batch(number, "fine_labels", 100), b"coarse_labels": [0] * EACH}
            )
            for number, name in enumerate(("train", "test"))
        }
    return tarred(path, members)


def pictures(folder: Path) -> dict[str, np.ndarray]:
    return {
        path.relative_to(folder).as_posix(): cv2.imread(str(path))[..., ::-1]
        for path in sorted(folder.rglob("*.png"))
    }


@pytest.mark.parametrize("make", [cifar10_python, cifar10_binary])
def test_both_versions_give_the_same_pictures(tmp_path, make):
    told = []
    folder = cifar_folder(
        "cifar10",
        archive=make(tmp_path / "a.tar.gz"),
        cache=tmp_path / "cache",
        on_progress=lambda *done: told.append(done),
    )
    found = pictures(folder)
    assert len(found) == 6 * EACH
    assert told[-1] == (120, 120)
    expected = rows(1)[3].reshape(3, 32, 32).transpose(1, 2, 0)
    # The fourth picture of the second batch: class 1 + 3.
    np.testing.assert_array_equal(found["train/deer/00023.png"], expected)
    np.testing.assert_array_equal(
        found["val/frog/00001.png"], rows(5)[1].reshape(3, 32, 32).transpose(1, 2, 0)
    )


@pytest.mark.parametrize("binary", [False, True])
def test_cifar100_has_its_fine_labels(tmp_path, binary):
    archive = cifar100(tmp_path / "a.tar.gz", binary=binary)
    found = pictures(cifar_folder("cifar100", archive=archive, cache=tmp_path / "cache"))
    assert len(found) == 2 * EACH
    assert "train/aquarium_fish/00001.png" in found
    assert "val/baby/00001.png" in found


def test_pickles_of_today_are_read_too(tmp_path):
    archive = cifar10_python(tmp_path / "a.tar.gz", dump=pickle.dumps)
    assert len(pictures(cifar_folder("cifar10", archive=archive, cache=tmp_path))) == 6 * EACH


def test_the_classes_are_those_of_the_sets():
    assert [len(cifar.classes) for cifar in CIFAR.values()] == [10, 100]
    for cifar in CIFAR.values():
        assert list(cifar.classes) == sorted(set(cifar.classes))


def test_a_set_is_made_once(tmp_path):
    archive = cifar10_binary(tmp_path / "a.tar.gz")
    first = cifar_folder("cifar10", archive=archive, cache=tmp_path / "cache")
    before = {path: path.stat().st_mtime_ns for path in first.rglob("*")}
    assert cifar_folder("cifar10", archive=archive, cache=tmp_path / "cache") == first
    assert {path: path.stat().st_mtime_ns for path in first.rglob("*")} == before
    other = cifar10_python(tmp_path / "b.tar.gz")
    assert cifar_folder("cifar10", archive=other, cache=tmp_path / "cache") != first


def test_an_interruption_leaves_no_half_of_a_set(tmp_path):
    def interrupt(done: int, total: int) -> None:
        if done == 50:
            raise KeyboardInterrupt

    archive = cifar10_binary(tmp_path / "a.tar.gz")
    with pytest.raises(KeyboardInterrupt):
        cifar_folder("cifar10", archive=archive, cache=tmp_path / "cache", on_progress=interrupt)
    assert not list((tmp_path / "cache").rglob("*.png"))
    folder = cifar_folder("cifar10", archive=archive, cache=tmp_path / "cache")
    assert len(pictures(folder)) == 6 * EACH


def test_a_dataset_comes_of_it(tmp_path):
    archive = cifar10_python(tmp_path / "a.tar.gz")
    options = {"archive": archive, "cache": tmp_path / "cache"}
    dataset = read_dataset("cifar10", val=None, **options)
    assert dataset.name == "cifar10"
    assert [label.name for label in dataset.labels] == list(CIFAR["cifar10"].classes)
    assert (len(dataset.train), len(dataset.val)) == (100, 20)
    assert dataset.notes.lines() == []
    with pytest.raises(UsageError, match="cifar10 keeps its validation pictures in val/"):
        read_dataset("cifar10", val=0.2, **options)


def test_the_cache_follows_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("MEJIRO_CACHE", str(tmp_path / "there"))
    folder = cifar_folder("cifar10", archive=cifar10_binary(tmp_path / "a.tar.gz"))
    assert folder.is_relative_to(tmp_path / "there")


class _Evil:
    def __reduce__(self):
        return os.system, ("touch /tmp/mejiro-was-here",)


def refused(tmp_path: Path, members: dict[str, bytes], name: str = "cifar100") -> str:
    with pytest.raises(DataError) as caught:
        cifar_folder(name, archive=tarred(tmp_path / "a.tar.gz", members), cache=tmp_path / "cache")
    assert not list((tmp_path / "cache").rglob("*.png"))
    assert "\n" not in str(caught.value)
    return str(caught.value)


GOOD = batch(0, "fine_labels", 100)
BAD_BATCHES = {
    "code": (pickle.dumps(_Evil()), "asks for posix.system"),
    "no pickle": (b"text", "a batch cannot be read"),
    "truncated": (old_pickle(GOOD)[:-1000], "a batch cannot be read"),
    "a list": (pickle.dumps([1]), "a batch is no dictionary"),
    "no data": (pickle.dumps({"fine_labels": [1]}), "no array 'data' or no list"),
    "no labels": (old_pickle({b"data": rows(0)}), "no array 'data' or no list"),
    "few labels": (old_pickle({**GOOD, b"fine_labels": [1, 2]}), "does not hold 2 pictures"),
    "words": (old_pickle({**GOOD, b"fine_labels": ["a"] * EACH}), "something else than class"),
    "floats": (old_pickle({**GOOD, b"data": rows(0) / 2}), "does not hold 20 pictures"),
    "other classes": (
        old_pickle({**GOOD, b"fine_labels": [200] * EACH}),
        "not hold the 100 classes",
    ),
    "a huge memo": (b"\x80\x02}r\xff\xff\xff\x7f.", "a batch"),
}


@pytest.mark.parametrize("name", BAD_BATCHES)
def test_what_is_no_batch_is_refused(tmp_path, name):
    data, message = BAD_BATCHES[name]
    assert message in refused(tmp_path, {"a/train": data, "a/test": old_pickle(GOOD)})
    assert not Path("/tmp/mejiro-was-here").exists()


def test_an_archive_that_is_none_or_not_whole_is_refused(tmp_path):
    assert "has no file 'train'" in refused(tmp_path, {"a/other": b""})
    assert "has no file 'test'" in refused(tmp_path, {"a/train": old_pickle(GOOD)})
    assert "no row of 3074-byte records" in refused(
        tmp_path, {"a/train.bin": b"0" * 100, "a/test.bin": b""}
    )
    assert "not hold the 100 classes" in refused(tmp_path, {"a/train.bin": b"", "a/test.bin": b""})
    path = cifar100(tmp_path / "b.tar.gz", binary=True)
    whole = path.read_bytes()
    for damaged in (whole[: len(whole) // 2], b"text" * 200, b"", whole[:2000] + whole[2100:]):
        path.write_bytes(damaged)
        with pytest.raises(DataError, match="tar archive|has no file|not CIFAR") as caught:
            cifar_folder("cifar100", archive=path, cache=tmp_path / "cache")
        assert "\n" not in str(caught.value)
    with pytest.raises(DataError, match="absent.tar is not a file; give cifar100's archive"):
        cifar_folder("cifar100", archive=tmp_path / "absent.tar", cache=tmp_path / "cache")


def test_links_in_an_archive_are_not_followed(tmp_path):
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w") as archive:
        link = tarfile.TarInfo("a/train")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    with pytest.raises(DataError, match="has no file 'train'"):
        cifar_folder("cifar100", archive=path, cache=tmp_path / "cache")


def test_keras_loader_is_used_without_an_archive(tmp_path, monkeypatch, capsys):
    from mejiro.tensorflow import load_keras

    def part(number: int):
        pixels = rows(number).reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
        return pixels, (np.arange(EACH, dtype=np.uint8) % 10)[:, None]

    def load():
        print("Downloading data from somewhere")
        return part(0), part(1)

    monkeypatch.setattr(load_keras().datasets.cifar10, "load_data", load)
    folder = cifar_folder("cifar10", cache=tmp_path)
    assert len(pictures(folder)) == 2 * EACH
    assert capsys.readouterr().out == ""


def test_without_a_network_the_archive_is_asked_for(tmp_path, monkeypatch):
    from mejiro.tensorflow import load_keras

    def fail():
        raise Exception("URL fetch failure on ADDRESS: None -- [Errno -2] Name not known")

    monkeypatch.setattr(load_keras().datasets.cifar100, "load_data", fail)
    with pytest.raises(DataError, match=r"downloaded \(\[Errno -2\] Name not known\); .*--archive"):
        read_dataset("cifar100", val=None, cache=tmp_path)
    assert not list(tmp_path.rglob("*.png"))

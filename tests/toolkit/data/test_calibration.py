"""Choose calibration pictures: spread, repeatable, through the runtime's preprocessing."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mejiro.data.calibration import (
    CalibrationSet,
    SampleView,
    _spread,
    calibration_from_folder,
    default_calibration,
)
from mejiro.data.samples import SAMPLES
from mejiro.errors import CalibrationError
from mejiro_runtime.errors import SourceError
from mejiro_runtime.preprocess import InputSpec, TensorType, preprocess
from mejiro_runtime.types import PixelOrder

SPEC = InputSpec(
    height=8, width=8, scale=(1 / 128,), offset=(-127 / 128,), dtype=TensorType.FLOAT32
)


def picture(path: Path, value: int = 100) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.full((10, 12, 3), value, dtype=np.uint8)
    pixels[:, :6, 0] = 7
    assert cv2.imwrite(str(path), pixels)
    return path


@given(sizes=st.lists(st.integers(1, 12), min_size=1, max_size=12), limit=st.integers(1, 60))
def test_each_folder_gives_as_many_as_any_other_as_far_as_they_last(sizes, limit):
    groups = [[Path(f"{g}/{i}") for i in range(size)] for g, size in enumerate(sizes)]
    chosen = _spread(groups, limit)
    assert len(chosen) == len(set(chosen)) == min(limit, sum(sizes))
    taken = Counter(path.parent.name for path in chosen)
    most = max(taken.values())
    for index, size in enumerate(sizes):
        assert taken[str(index)] >= min(size, most - 1)


def test_the_choice_depends_on_names_alone(tmp_path):
    def choose(folder: Path, order: range) -> list[str]:
        for index in order:
            picture(folder / f"class{index % 3}" / "deeper" / f"{index}.png", index)
        return [p.name for p in calibration_from_folder(folder, limit=7).pictures]

    first = choose(tmp_path / "one", range(30))
    assert first == choose(tmp_path / "two", range(29, -1, -1))
    assert len(first) == 7
    assert Counter(name.split("/")[0] for name in first) == {"class0": 3, "class1": 2, "class2": 2}


def test_tensors_are_what_the_runtime_makes(tmp_path):
    path = picture(tmp_path / "a.png")
    (tensor,) = calibration_from_folder(tmp_path).tensors(SPEC)
    expected = preprocess(cv2.imread(str(path)), PixelOrder.BGR, SPEC)
    assert tensor.dtype == np.float32
    np.testing.assert_array_equal(tensor, expected)


def test_unreadable_pictures_are_told_or_fatal(tmp_path):
    picture(tmp_path / "good.png")
    (tmp_path / "bad.jpg").write_bytes(b"")
    chosen = calibration_from_folder(tmp_path)
    told = []
    tensors = list(chosen.tensors(SPEC, on_unreadable=lambda item: told.append(item.name)))
    assert (len(tensors), told) == (1, ["bad.jpg"])
    with pytest.raises(SourceError, match=r"bad\.jpg"):
        list(chosen.tensors(SPEC))


def test_links_in_a_circle_end(tmp_path):
    picture(tmp_path / "in" / "a.png")
    (tmp_path / "in" / "back").symlink_to(tmp_path)
    assert [p.name for p in calibration_from_folder(tmp_path).pictures] == ["in/a.png"]


@pytest.mark.parametrize(
    ("limit", "name", "message"),
    [(5, ".", "holds no pictures"), (5, "absent", "is not a folder"), (0, ".", "at least 1")],
)
def test_nothing_to_choose_from_is_an_error(tmp_path, limit, name, message):
    (tmp_path / "notes.txt").write_text("none")
    with pytest.raises(CalibrationError, match=message):
        calibration_from_folder(tmp_path / name, limit=limit)
    with pytest.raises(CalibrationError, match="is empty"):
        CalibrationSet("none", ())


def test_the_default_set_is_repeatable_and_says_that_it_is_small():
    chosen = default_calibration()
    assert "small" in chosen.note
    assert f"{len(SAMPLES)} photographs in {len(chosen)} views" in chosen.note
    tensors = np.concatenate(list(chosen.tensors(SPEC)))
    again = np.concatenate(list(default_calibration().tensors(SPEC)))
    np.testing.assert_array_equal(tensors, again)
    assert len(np.unique(tensors, axis=0)) == len(chosen)  # no two views are the same
    assert tensors.min() < -0.9
    assert tensors.max() > 0.9


@pytest.mark.parametrize("name", list(SAMPLES))
def test_a_view_is_a_window_mirrored_and_brightened(name):
    whole, order = SampleView(name).read()
    assert order is PixelOrder.BGR
    mirrored, _ = SampleView(name, mirrored=True).read()
    np.testing.assert_array_equal(mirrored, whole[:, ::-1])
    corner, _ = SampleView(name, share=0.5, across=1.0, down=1.0).read()
    np.testing.assert_array_equal(corner, whole[-corner.shape[0] :, -corner.shape[1] :])
    bright, _ = SampleView(name, gain=2.0).read()
    np.testing.assert_array_equal(bright, np.clip(whole.astype(int) * 2, 0, 255))

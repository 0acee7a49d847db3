"""The sheet shows pictures, what becomes of them, and whole files only."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from mejiro.data.augmentation import PRESETS, Augmentation
from mejiro.data.contact_sheet import (
    CAPTION,
    CELL,
    GAP,
    MARGIN,
    MAX_ROWS,
    VERSIONS,
    write_contact_sheet,
)
from mejiro.errors import UsageError
from mejiro_runtime.sources.pictures import read_picture
from mejiro_runtime.types import Label, PixelOrder

LABELS = (Label(0, "ants"), Label(1, "目白, white-eye"))


def colours(count: int, height: int = 20, width: int = 20) -> np.ndarray:
    """Return pictures of one colour each, RGB."""
    values = np.random.default_rng(0).integers(30, 220, (count, 1, 1, 3))
    return np.broadcast_to(values, (count, height, width, 3)).astype(np.uint8)


def cell(sheet: np.ndarray, row: int, column: int) -> np.ndarray:
    top, left = MARGIN + row * (CELL + CAPTION + GAP), MARGIN + column * (CELL + GAP)
    return sheet[top : top + CELL, left : left + CELL, ::-1]


def test_originals_stand_beside_what_is_made_of_them(tmp_path):
    pixels = colours(3)
    path = tmp_path / "new" / "sheet.png"
    write_contact_sheet(path, pixels, [0, 1, 0], LABELS, Augmentation(brightness=0.3), seed=2)
    sheet = read_picture(path)
    assert sheet.shape == (
        2 * MARGIN + 3 * (CELL + CAPTION + GAP) - GAP,
        2 * MARGIN + (VERSIONS + 1) * (CELL + GAP) - GAP,
        3,
    )
    for row in range(3):
        assert (cell(sheet, row, 0) == pixels[row, 0, 0]).all()
        made = [tuple(cell(sheet, row, column)[50, 50]) for column in range(1, VERSIONS + 1)]
        assert len({*made, tuple(pixels[row, 0, 0])}) > VERSIONS - 1


@pytest.mark.parametrize("order", [PixelOrder.BGR, PixelOrder.GRAY])
def test_colours_are_right_in_every_order(tmp_path, order):
    pixels = colours(1)
    given = pixels[..., ::-1] if order is PixelOrder.BGR else pixels[..., :1]
    path = tmp_path / "sheet.png"
    write_contact_sheet(path, given, [0], LABELS, PRESETS["none"], seed=2, order=order)
    expected = pixels[0, 0, 0] if order is PixelOrder.BGR else pixels[0, 0, 0, :1].repeat(3)
    for column in range(VERSIONS + 1):
        assert (cell(read_picture(path), 0, column) == expected).all()


def test_one_seed_gives_one_sheet(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3)).astype(np.uint8)
    made = []
    for seed in (1, 1, 2):
        path = tmp_path / "sheet.jpg"
        write_contact_sheet(path, pixels, [0, 1], LABELS, PRESETS["strong"], seed=seed)
        made.append(path.read_bytes())
    assert made[0] == made[1] != made[2]
    assert made[0][:2] == b"\xff\xd8"


def test_many_pictures_wide_ones_and_long_labels_fit(tmp_path):
    labels = (Label(0, "a very long name of a class, that nobody could read here $^{1}$" * 3),)
    pixels = colours(MAX_ROWS + 5, height=10, width=30)
    path = tmp_path / "sheet.png"
    write_contact_sheet(path, pixels, [0] * len(pixels), labels, PRESETS["light"], seed=1)
    height = round(CELL / 3)
    assert read_picture(path).shape[0] == 2 * MARGIN + MAX_ROWS * (height + CAPTION + GAP) - GAP


@pytest.mark.parametrize("name", ["sheet.gif", "sheet", "sheet.svg"])
def test_another_kind_of_file_is_refused(tmp_path, name):
    with pytest.raises(UsageError, match=f"is a .jpg or .png file, found '{name}'"):
        write_contact_sheet(tmp_path / name, colours(1), [0], LABELS, Augmentation(), seed=1)
    assert not list(tmp_path.iterdir())


def test_a_failure_leaves_no_half_of_a_file(tmp_path, monkeypatch):
    monkeypatch.setattr(cv2, "resize", lambda *a, **k: np.zeros((1, 1), np.uint8)[5])
    with pytest.raises(IndexError):
        write_contact_sheet(tmp_path / "s.png", colours(1), [0], LABELS, Augmentation(), seed=1)
    assert not list(tmp_path.iterdir())

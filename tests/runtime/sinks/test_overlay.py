"""What was seen is drawn where it is in the frame, at every size, without touching the frame."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from mejiro_runtime.sinks import overlay
from mejiro_runtime.types import (
    ActivationMap,
    Box,
    Classification,
    Detection,
    Frame,
    Label,
    PixelOrder,
    Result,
    Segmentation,
    Timing,
)

TIMING = Timing(1, 2, 3, 4, 5)
CAT, DOG, BACKGROUND = Label(1, "cat, tom"), Label(2, "dog"), Label(0, "background")
pytestmark = pytest.mark.usefixtures("cv2")


def frame_of(pixels: Any, order: PixelOrder = PixelOrder.BGR) -> Frame:
    return Frame(pixels, order, 0, 0, 0)


def grey(height: int = 120, width: int = 160) -> Any:
    return np.full((height, width, 3), 90, np.uint8)


def result(**seen: Any) -> Result:
    return Result(0, "x", **{"top": (), "timing": TIMING, **seen})


def near(pixel: Any, colour: tuple[int, int, int], within: int = 3) -> bool:
    return bool(np.abs(np.asarray(pixel, int) - colour).max() <= within)


@pytest.mark.parametrize(
    ("order", "given"),
    [
        (PixelOrder.BGR, (10, 20, 30)),
        (PixelOrder.RGB, (30, 20, 10)),
        (PixelOrder.RGBA, (30, 20, 10, 255)),
        (PixelOrder.BGRA, (10, 20, 30, 0)),
    ],
)
def test_every_order_of_pixels_becomes_bgr(order: PixelOrder, given: tuple[int, ...]) -> None:
    pixels = np.full((6, 8, len(given)), given, np.uint8)
    canvas = overlay.fit(frame_of(pixels, order))
    assert canvas.pixels.shape == (6, 8, 3)
    assert (canvas.pixels == (10, 20, 30)).all()
    assert canvas.scale == 1.0
    gray = overlay.fit(frame_of(np.full((6, 8), 7, np.uint8), PixelOrder.GRAY))
    assert (gray.pixels == 7).all()
    assert gray.pixels.shape == (6, 8, 3)


@pytest.mark.parametrize(
    ("size", "longest", "fitted"),
    [
        ((480, 640), 640, (480, 640)),
        ((480, 640), 320, (240, 320)),
        ((1080, 1920), 640, (360, 640)),
        ((1920, 1080), 640, (640, 360)),
        ((1, 2000), 640, (1, 640)),
        ((100, 80), 640, (100, 80)),  # never enlarged
    ],
)
def test_no_side_is_longer_than_asked(size, longest: int, fitted) -> None:
    canvas = overlay.fit(frame_of(np.zeros((*size, 3), np.uint8)), longest)
    assert canvas.pixels.shape == (*fitted, 3)


def test_a_frame_is_never_drawn_on() -> None:
    pixels = grey()
    pixels.setflags(write=False)
    seen = result(
        top=(Classification(CAT, 0.9),),
        heat=ActivationMap(np.ones((3, 3), np.float32), Box(0, 0, 160, 120), CAT, 1),
    )
    painted = overlay.paint(frame_of(pixels), seen)
    assert painted.shape == pixels.shape
    assert (pixels == 90).all()
    assert (painted != 90).any()


def test_a_label_stands_in_the_corner_and_leaves_the_rest() -> None:
    painted = overlay.paint(frame_of(grey()), result(top=(Classification(CAT, 0.9),)))
    assert near(painted[0, 0], overlay.PAPER)
    plate = (painted != 90).any(axis=2)
    rows, columns = np.flatnonzero(plate.any(axis=1)), np.flatnonzero(plate.any(axis=0))
    assert rows[-1] < 30
    assert columns[-1] < 120
    assert (painted[: rows[-1], : columns[-1]].min(axis=2) > 200).any()  # the letters
    assert (overlay.paint(frame_of(grey()), result()) == 90).all()  # nothing seen, nothing drawn


@pytest.mark.parametrize("longest", [None, 80])
def test_a_box_lies_where_it_is_in_the_frame(longest: int | None) -> None:
    box = Box(40.0, 60.0, 120.0, 100.0)
    seen = result(boxes=(Detection(DOG, 0.5, box),))
    painted = overlay.paint(frame_of(grey()), seen, longest_side=longest)
    scale = 1.0 if longest is None else longest / 160
    colour = overlay.colour_of(DOG.index)
    left, top, right, bottom = (round(edge * scale) for edge in box)
    middle_y, middle_x = (top + bottom) // 2, (left + right) // 2
    for y, x in ((middle_y, left), (middle_y, right), (bottom, middle_x)):
        assert near(painted[y, x], colour), (y, x)
    assert near(painted[middle_y, middle_x], (90, 90, 90))
    assert near(painted[bottom + 4, middle_x], (90, 90, 90))


def test_boxes_that_reach_beyond_the_frame_are_cut() -> None:
    for box in (Box(-50, -50, 500, 500), Box(300, 300, 400, 400), Box(-9, -9, -1, -1)):
        painted = overlay.paint(frame_of(grey()), result(boxes=(Detection(CAT, 1.0, box),)))
        assert painted.shape == (120, 160, 3)


def test_a_mask_colours_its_classes_and_not_the_background() -> None:
    classes = np.zeros((4, 4), np.uint8)
    classes[:, 2:] = DOG.index
    mask = Segmentation(classes, Box(40, 0, 120, 120), ((DOG, 0.5), (BACKGROUND, 0.5)))
    painted = overlay.paint(frame_of(grey()), result(mask=mask))
    blend = [
        round(90 * (1 - overlay.MASK_OPACITY) + c * overlay.MASK_OPACITY)
        for c in overlay.colour_of(DOG.index)
    ]
    assert near(painted[100, 100], tuple(blend))
    assert near(painted[100, 81], tuple(blend))
    for x in (10, 60, 78, 130):  # outside the mask's box, and its background
        assert near(painted[100, x], (90, 90, 90)), x
    assert near(painted[0, 0], overlay.colour_of(DOG.index))  # the legend


def test_the_map_glows_where_it_is_high_and_only_in_its_region() -> None:
    values = np.full((4, 4), -1.0, np.float32)
    values[0, 3] = 5.0  # the upper right of the region
    heat = ActivationMap(values, Box(20, 0, 140, 120), CAT, 1)
    painted = overlay.paint(frame_of(grey()), result(heat=heat))
    assert near(painted[60, 5], (90, 90, 90))
    assert near(painted[60, 150], (90, 90, 90))
    lit, dim = painted[10, 125].astype(int), painted[110, 30].astype(int)
    assert lit[2] > lit[0] + 40  # the hottest is red
    assert dim.max() - dim.min() < 30  # the rest is grey and darker
    assert dim.max() < 90


def test_the_map_of_a_letterbox_reaches_beyond_the_frame() -> None:
    # A frame of 160x120 in a square tensor: a quarter of the tensor's height is padding.
    values = np.zeros((8, 8), np.float32)
    values[4:] = 1.0
    heat = ActivationMap(values, Box(0, -20, 160, 140), CAT, 1)
    painted = overlay.paint(frame_of(grey()), result(heat=heat)).astype(int)
    assert painted[100, 80, 2] > painted[100, 80, 0] + 40
    assert abs(painted[20, 80, 2] - painted[20, 80, 0]) < 30


def test_a_map_that_speaks_for_nothing_changes_nothing() -> None:
    for values in (np.zeros((2, 2), np.float32), np.full((2, 2), -3, np.float32)):
        heat = ActivationMap(values, Box(0, 0, 160, 120), CAT, 1)
        assert (overlay.paint(frame_of(grey()), result(heat=heat)) == 90).all()


def test_neighbouring_classes_differ_in_colour() -> None:
    colours = [overlay.colour_of(index) for index in range(30)]
    for one, other in pairwise(colours):
        assert sum(abs(a - b) for a, b in zip(one, other, strict=True)) > 100


@pytest.mark.parametrize("size", [(1, 1), (3, 500), (500, 3)])
def test_frames_of_any_shape_can_be_drawn_on(size: tuple[int, int]) -> None:
    label = Label(0, "a very long name of a class that does not fit on any plate, 目白")
    seen = result(top=(Classification(label, 1.0),))
    assert overlay.paint(frame_of(np.zeros((*size, 3), np.uint8)), seen).shape == (*size, 3)


def test_letters_that_an_old_font_lacks_are_told() -> None:
    assert overlay._plain("vert clair é…") == "vert clair e..."
    assert overlay._plain("目白") == "??"


def test_without_opencv_5_labels_are_drawn_all_the_same(monkeypatch) -> None:
    monkeypatch.setattr(overlay._fonts(), "sans", None)
    painted = overlay.paint(frame_of(grey()), result(top=(Classification(CAT, 0.9),)))
    assert (painted[:30, :120].min(axis=2) > 200).any()

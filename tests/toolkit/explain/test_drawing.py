"""What is drawn is readable, and the colours lie where the heat is."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from mejiro.explain import Explanation, Method, write_drawing
from mejiro.explain.drawing import overlay
from mejiro.explain.subject import Seen
from mejiro_runtime.preprocess import InputSpec, ResizeMode
from mejiro_runtime.types import Classification, Label

LABELS = tuple(Label(index, name) for index, name in enumerate(("cat " * 40, "目白", "dog $x^2$")))


def explanation(**changes):
    rng = np.random.default_rng(1)
    heat = np.zeros((4, 4), np.float32)
    heat[3, 0] = 1
    about = {
        "model": "some-model-int8",
        "pixels": rng.integers(90, 160, (120, 200, 3)).astype(np.uint8),
        "spec": InputSpec(32, 32),
        "method": Method.GRADCAM,
        "top": tuple(Classification(label, 0.6 - 0.2 * label.index) for label in LABELS),
        "label": LABELS[1],
        "score": 0.4,
        "heat": heat,
    }
    return Explanation(**{**about, **changes})


def colourfulness(pixels):
    return np.ptp(pixels.astype(int), axis=2)


def test_colours_lie_where_the_heat_is():
    drawn = overlay(explanation(), (120, 200))
    assert drawn.dtype == np.uint8
    coloured = colourfulness(drawn)
    assert coloured[100:118, 42:60].mean() > 60  # the lower left of what is seen
    assert coloured[5:50, 110:155].max() == 0
    # What the model did not see is dimmed: the square in the middle is all it was given.
    assert coloured[:, :38].max() == coloured[:, 162:].max() == 0
    assert drawn[:, :38].std() < drawn[5:50, 110:155].std()


def test_whatever_the_scale_the_greatest_heat_looks_the_same():
    one = overlay(explanation(), (60, 100))
    other = overlay(explanation(heat=explanation().heat * 1e-6), (60, 100))
    assert np.abs(one.astype(int) - other).max() <= 1


def test_without_heat_the_picture_is_grey():
    none = overlay(explanation(heat=np.zeros((4, 4), np.float32)), (60, 100))
    assert colourfulness(none).max() == 0


@pytest.mark.parametrize("resize", list(ResizeMode))
@pytest.mark.parametrize("shape", [(300, 100, 3), (60, 400, 3), (1, 1, 3), (3, 900, 3)])
def test_pictures_of_any_shape_are_drawn(tmp_path, resize, shape):
    spec = InputSpec(32, 48, resize=resize, crop_fraction=0.875)
    pixels = np.random.default_rng(0).integers(0, 255, shape).astype(np.uint8)
    write_drawing(tmp_path / "a.jpg", explanation(pixels=pixels, spec=spec))
    drawn = cv2.imread(str(tmp_path / "a.jpg"))
    assert drawn.shape[1] == 1620
    assert drawn.shape[0] < 1620
    assert [path.name for path in tmp_path.iterdir()] == ["a.jpg"]


def test_text_is_dark_on_light_and_inside_of_the_drawing(tmp_path):
    write_drawing(tmp_path / "a.jpg", explanation(layer="block7a_project_bn", computed="gradients"))
    drawn = cv2.imread(str(tmp_path / "a.jpg"), cv2.IMREAD_GRAYSCALE)
    for edge in (drawn[:6], drawn[-6:], drawn[:, :6], drawn[:, -6:]):
        assert edge.min() > 235  # nothing runs over the border
    title = drawn[30:70, 30:800]
    assert title.min() < 60
    names = drawn[-150:-40, 36:600]
    assert names.min() < 90


def test_a_grid_has_a_row_of_maps_for_each_stage(tmp_path):
    rng = np.random.default_rng(2)
    stages = tuple(
        Seen(name, rng.random((side, side, channels), dtype=np.float32))
        for name, side, channels in (("first", 32, 3), ("second", 8, 20), ("third", 2, 50))
    )
    write_drawing(tmp_path / "grid.jpg", explanation(method=Method.FEATURES, stages=stages))
    three = cv2.imread(str(tmp_path / "grid.jpg"))
    write_drawing(tmp_path / "grid.jpg", explanation(method=Method.FEATURES, stages=stages[1:2]))
    one = cv2.imread(str(tmp_path / "grid.jpg"))
    assert three.shape[0] > one.shape[0] > 400
    assert colourfulness(three).mean() > 15


def test_a_failure_leaves_what_was_there(tmp_path, monkeypatch):
    (tmp_path / "a.jpg").write_text("before")

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("mejiro.explain.drawing._draw_overlay", fail)
    with pytest.raises(OSError, match="No space"):
        write_drawing(tmp_path / "a.jpg", explanation())
    assert [path.read_text() for path in tmp_path.iterdir()] == ["before"]

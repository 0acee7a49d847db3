"""Tiny real detectors and segmentations see the blocks that were drawn, on every engine here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mejiro_runtime.bundle import open_bundle
from mejiro_runtime.card import Format, read_card
from mejiro_runtime.errors import ModelError
from mejiro_runtime.golden import array_name, read_arrays
from mejiro_runtime.model import open_model
from mejiro_runtime.postprocess.segmentation import at_frame_size
from mejiro_runtime.selection import runnable_cards
from mejiro_runtime.types import Frame, PixelOrder
from mejiro_runtime.verify import Stage, verify

BGR = {"red": (20, 20, 235), "green": (20, 235, 20), "blue": (235, 20, 20)}
# Left, top, right, bottom of each, in cells of a quarter of the frame.
PLACES = {"red": (0, 0, 1, 1), "green": (2, 1, 3, 2), "blue": (3, 3, 4, 4)}
DETECTORS = ("blocks-yolo", "blocks-ssd", "blocks-postprocessed")
TFLITE_ONLY = ("blocks-ssd", "blocks-postprocessed")


def blocks(height: int, width: int) -> Frame:
    pixels = np.full((height, width, 3), 30, np.uint8)
    for colour, (left, top, right, bottom) in PLACES.items():
        rows = slice(top * height // 4, bottom * height // 4)
        pixels[rows, left * width // 4 : right * width // 4] = BGR[colour]
    return Frame(pixels, PixelOrder.BGR, 0, captured_ns=0, capture_ns=0)


def opened(model_fixtures: Path, name: str, **options: Any) -> Any:
    path = model_fixtures / "tasks" / name
    if path.stem in TFLITE_ONLY and path.suffix != ".tflite":
        pytest.skip(f"{path.stem} is made as a .tflite alone")
    return open_model(path, read_card(path), threads=1, **options)


@pytest.mark.parametrize("name", DETECTORS)
@pytest.mark.parametrize("size", [(64, 64), (240, 320), (90, 60)])
def test_a_detector_sees_each_block_where_it_is(
    model_fixtures: Path, real_format: Format, name: str, size: tuple[int, int]
) -> None:
    frame = blocks(*size)
    if "yolo" in name and size[0] != size[1]:
        # It letterboxes: only a square frame puts the blocks into its cells.
        frame = blocks(64, 64)
    height, width = frame.pixels.shape[:2]
    with opened(model_fixtures, f"{name}.{real_format.value}", threshold=0.3) as model:
        result = model(frame)
    assert result.mask is None
    assert result.top == ()
    assert result.boxes is not None
    found = {one.label.name: tuple(one.box) for one in result.boxes}
    assert len(result.boxes) == len(found) == 3
    for colour, place in PLACES.items():
        wanted = np.array(place) / 4 * [width, height, width, height]
        # Halving may leave out a few rows or columns at the frame's edges.
        np.testing.assert_allclose(found[colour], wanted, atol=0.04 * max(size))


@pytest.mark.parametrize("size", [(64, 64), (240, 320)])
def test_a_segmentation_colours_each_pixel(
    model_fixtures: Path, real_format: Format, size: tuple[int, int]
) -> None:
    frame = blocks(*size)
    with opened(model_fixtures, f"squares.{real_format.value}") as model:
        mask = model(frame).mask
    assert mask is not None
    assert [label.name for label, _ in mask.shares] == ["red", "green", "blue"]
    assert [share for _, share in mask.shares] == pytest.approx([1 / 16] * 3)
    full = at_frame_size(mask, *size)
    for index, (left, top, right, bottom) in enumerate(PLACES.values()):
        y, x = (top + bottom) * size[0] // 8, (left + right) * size[1] // 8
        assert full[y, x] == index + 1
    assert (full == 0).mean() == pytest.approx(13 / 16, abs=0.03)


@pytest.mark.parametrize("task", ["detection", "segmentation", "recurrent"])
def test_a_bundle_of_any_task_verifies(model_fixtures: Path, real_format: Format, task) -> None:
    bundle = open_bundle(model_fixtures / task)
    for card in (card for card in runnable_cards(bundle) if card.format is real_format):
        with open_model(bundle.model_path(card), card) as model:
            verdict = verify(bundle, model)
        assert verdict.passed, str(verdict.difference)
        assert json.loads(json.dumps(verdict.to_json()))["unit"] == model.reader.unit


CHANGES: dict[str, Any] = {
    "a class": ("detection", lambda rows: rows[:, 0].__setitem__(0, 2 - rows[0, 0] // 2)),
    "a box": ("detection", lambda rows: rows[0].__setitem__(slice(2, 6), rows[0, 2:] + 9)),
    "a score": ("detection", lambda rows: rows[0].__setitem__(1, rows[0, 1] / 2)),
    "some places": ("segmentation", lambda classes: classes[0].__setitem__(slice(0, 3), 3)),
}


@pytest.mark.parametrize("what", CHANGES)
def test_another_answer_is_a_difference(
    model_fixtures: Path, real_format: Format, copy_of: Any, handmade: Any, what: str
) -> None:
    task, change = CHANGES[what]
    folder = copy_of(model_fixtures / task)
    cards = [c for c in open_bundle(folder).manifest.artifacts if c.format is real_format]
    name = f"golden/outputs-{cards[0].file}.npz"
    arrays = [array.copy() for array in read_arrays(folder / name, 8)]
    change(arrays[2])
    np.savez(folder / name, **{array_name(i): array for i, array in enumerate(arrays)})
    handmade.seal(folder)
    bundle = open_bundle(folder)
    card = bundle.card(cards[0].file)
    with open_model(bundle.model_path(card), card) as model:
        found = verify(bundle, model).difference
    assert found is not None
    assert (found.stage, found.frame) == (Stage.INFER, 2)


def test_only_classifiers_have_probabilities(model_fixtures: Path, real_format: Format) -> None:
    with (
        opened(model_fixtures, f"blocks-yolo.{real_format.value}") as model,
        pytest.raises(ModelError, match="is for detection; only a classifier"),
    ):
        model.scores(blocks(32, 32))


def test_the_command_shows_boxes_and_shares(
    model_fixtures: Path, real_format: Format, say: Any, cv2: Any, tmp_path: Path
) -> None:
    picture = str(tmp_path / "blocks.png")
    assert cv2.imwrite(picture, blocks(64, 64).pixels)
    for task, wanted in (
        ("detection", "red 0.765 0,0-16,16, green 0.765 32,16-48,32, blue 0.765 48,48-64,64"),
        ("segmentation", "red 6.2%, green 6.2%, blue 6.2%"),
    ):
        bundle = str(model_fixtures / task)
        name = ("blocks-yolo" if task == "detection" else "squares") + f".{real_format.value}"
        words = ["run", bundle, "--artifact", name, "--source", picture]
        code, out, err = say(*words)
        assert code == 0, err
        assert out.startswith(f"blocks.png: {wanted} (")
        code, out, err = say(*words, "--json")
        value = json.loads(out.splitlines()[0])
        seen = value["boxes" if task == "detection" else "shares"]
        assert {one["label"] for one in seen} == set(BGR)
        code, out, err = say(*words, "--smooth", "3")
        assert (code, out) == (2, "")
        assert "--smooth is for classifiers" in err
        assert f"for {task}" in say("info", bundle)[1]

"""Boxes and scores come out of every form of head, and what is broken is told in one line."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from mejiro_runtime.card import ArtifactCard, Format, OutputSpec, Precision, Scores, Task
from mejiro_runtime.errors import ModelError, UsageError
from mejiro_runtime.heads import AnchorGrid, DetectionSpec, Head
from mejiro_runtime.postprocess import ReadOptions, make_reader
from mejiro_runtime.postprocess.decoding import MAX_CANDIDATES, anchors_of, sigmoid
from mejiro_runtime.preprocess import InputSpec, Quantization, ResizeMode, TensorInfo
from mejiro_runtime.types import Label

LABELS = tuple(Label(index, name) for index, name in enumerate(("cat", "dog", "bird")))
INPUT = InputSpec(100, 200, resize=ResizeMode.STRETCH)
GRIDS = (AnchorGrid(1, 2, ((0.5, 0.25), (1.0, 0.5))),)
INF = float("inf")


def card(head: Head, *, labels: Any = LABELS, **more: Any) -> ArtifactCard:
    output = {k: more.pop(k) for k in ("scores", "background") if k in more}
    if head is Head.SSD:
        more.setdefault("grids", GRIDS)
    return ArtifactCard(
        file="m.tflite",
        format=Format.TFLITE,
        precision=Precision.FP32,
        input=more.pop("input", INPUT),
        output=OutputSpec(Task.DETECTION, detection=DetectionSpec(head, **more), **output),
        size_bytes=1,
        sha256="0",
        labels=labels,
    )


def infos(*outputs: np.ndarray, names: tuple[str, ...] = ()) -> tuple[TensorInfo, ...]:
    names = names or tuple(f"o{n}" for n in range(len(outputs)))
    return tuple(TensorInfo(n, o.shape, o.dtype.name) for n, o in zip(names, outputs, strict=True))


def seen(description: ArtifactCard, *outputs: np.ndarray, **options: Any) -> list[tuple[Any, ...]]:
    """Return (label, score, box) of each box that is read in a frame of 400 x 200 pixels."""
    outputs = tuple(np.asarray(one, np.float32) for one in outputs)
    names = options.pop("names", ())
    reader = make_reader(description, infos(*outputs, names=names), ReadOptions(**options))
    _, boxes, _ = reader.read(outputs, 200, 400)
    assert boxes is not None
    return [
        (one.label.name, round(one.score, 4), tuple(round(edge, 2) for edge in one.box))
        for one in boxes
    ]


POSTPROCESSED = (
    [[[0.1, 0.2, 0.5, 0.6], [0.0, 0.0, 1.5, 0.5], [0.0, 0.0, 0.1, 0.1], [0, 0, 1, 1]]],
    [[1, 0, 2, 2]],
    [[0.7, 0.9, 0.4, 0.95]],
    [3],
)
WANTED = [("cat", 0.9, (0, 0, 200, 200)), ("dog", 0.7, (80, 20, 240, 100))]


def test_the_operators_own_order_is_read() -> None:
    names = tuple(f"TFLite_Detection_PostProcess{end}" for end in ("", ":1", ":2", ":3"))
    assert seen(card(Head.POSTPROCESSED), *POSTPROCESSED, names=names) == WANTED


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (2, 0, 3, 1), (3, 2, 1, 0)])
def test_outputs_in_any_order_are_found_by_name_or_by_the_card(order: tuple[int, ...]) -> None:
    outputs = [POSTPROCESSED[place] for place in order]
    names = tuple(("boxes", "class_ids", "confidence", "count")[place] for place in order)
    assert seen(card(Head.POSTPROCESSED), *outputs, names=names) == WANTED
    roles = tuple(order.index(role) for role in range(4))
    assert seen(card(Head.POSTPROCESSED, roles=roles), *outputs) == WANTED


def test_outputs_that_nothing_tells_apart_are_refused() -> None:
    with pytest.raises(ModelError, match="do not tell boxes, classes, scores, count apart"):
        seen(card(Head.POSTPROCESSED), *POSTPROCESSED)


def test_a_threshold_leaves_out_and_lets_in() -> None:
    description = card(Head.POSTPROCESSED, roles=(0, 1, 2, 3))
    assert seen(description, *POSTPROCESSED, threshold=0.8) == WANTED[:1]
    assert len(seen(description, *POSTPROCESSED, threshold=0.1)) == 3  # the fourth does not count


def test_a_class_without_a_label_is_refused() -> None:
    boxes, _, scores, count = POSTPROCESSED
    with pytest.raises(ModelError, match="sees class 7 and has 3 labels"):
        seen(card(Head.POSTPROCESSED, roles=(0, 1, 2, 3)), boxes, [[1, 7, 2, 2]], scores, count)
    # One that scores too little to be shown is nobody's business.
    quiet = [[0.7, 0.1, 0.4, 0.9]]
    assert seen(card(Head.POSTPROCESSED, roles=(0, 1, 2, 3)), boxes, [[1, 7, 2, 2]], quiet, count)


def test_anchors_stand_in_the_cells_row_by_row() -> None:
    found = anchors_of(DetectionSpec(Head.SSD, grids=(AnchorGrid(2, 2, ((0.5, 0.4),)),)))
    np.testing.assert_allclose(
        found, [[y, x, 0.5, 0.4] for y in (0.25, 0.75) for x in (0.25, 0.75)], rtol=1e-6
    )
    assert len(anchors_of(DetectionSpec(Head.SSD, grids=GRIDS))) == 4


def test_ssd_offsets_move_and_stretch_their_anchors() -> None:
    # Anchors of the first cell: centre (0.5, 0.25), sizes (0.5, 0.25) and (1, 0.5).
    offsets = np.zeros((1, 4, 4))
    offsets[0, 0] = [2, -4, 5 * np.log(1.2), 0]  # y + 0.2 * 0.5, x - 0.4 * 0.25, height * 1.2
    scores = np.zeros((1, 4, 3))
    scores[0, 0, 2], scores[0, 3, 1] = 0.8, 0.6
    assert seen(card(Head.SSD), offsets, scores, names=("boxes", "scores")) == [
        ("bird", 0.8, (10, 60, 110, 180)),
        ("dog", 0.6, (200, 0, 400, 200)),
    ]
    turned = offsets[..., [1, 0, 3, 2]]
    assert seen(card(Head.SSD, x_first=True, roles=(0, 1)), turned, scores)[0][2] == (
        10, 60, 110, 180,
    )  # fmt: skip
    anchors = tuple(tuple(map(float, a)) for a in anchors_of(DetectionSpec(Head.SSD, grids=GRIDS)))
    listed = card(Head.SSD, grids=(), anchors=anchors, roles=(0, 1))
    assert seen(listed, offsets, scores)[0][2] == (10, 60, 110, 180)


def test_logits_go_through_a_sigmoid_or_a_softmax_with_the_background() -> None:
    offsets, logits = np.zeros((1, 4, 4)), np.full((1, 4, 3), -9.0)
    logits[0, 0] = [2.0, 1.0, -1.0]
    sigmoid_card = card(Head.SSD, scores=Scores.LOGITS, sigmoid=True, roles=(0, 1))
    assert [row[:2] for row in seen(sigmoid_card, offsets, logits)] == [("cat", 0.8808)]
    softmax_card = card(Head.SSD, scores=Scores.LOGITS, background=0, roles=(0, 1))
    logits[0, 1:, 0] = 9
    # Softmax of 2, 1, -1: the background's 0.7054 is no answer, the dog's is 0.2595.
    found = seen(softmax_card, offsets, logits, threshold=0.2)
    assert [row[:2] for row in found] == [("dog", 0.2595)]


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("pixels", [False, True])
@pytest.mark.parametrize("objectness", [False, True])
def test_yolo_rows_and_columns(turned: bool, pixels: bool, objectness: bool) -> None:
    size = np.array([1, 1, 1, 1] if not pixels else [200, 100, 200, 100])
    rows = np.zeros((9, 7 + objectness))
    rows[4, :4] = np.array([0.5, 0.5, 0.2, 0.4]) * size
    rows[5, :4] = np.array([0.5, 0.55, 0.2, 0.4]) * size  # the same thing again
    rows[7, :4] = np.array([0.9, 0.5, 0.4, 0.4]) * size  # reaches out of the frame
    rows[4:6, 4 + objectness], rows[7, 6 + objectness] = (0.9, 0.8), 0.6
    if objectness:
        rows[[4, 5, 7], 4] = 1, 1, 0.9
    head = Head.YOLO_OBJECTNESS if objectness else Head.YOLO
    raw = rows.T[None] if turned else rows[None]
    assert seen(card(head, pixels=pixels), raw) == [
        ("cat", 0.9, (160, 60, 240, 140)),
        ("bird", 0.54 if objectness else 0.6, (280, 60, 400, 140)),
    ]


def test_boxes_come_back_through_a_letterbox() -> None:
    spec = InputSpec(100, 100, resize=ResizeMode.LETTERBOX)
    rows = np.zeros((1, 7, 5))
    rows[0, :5, 2] = [0.5, 0.5, 1.0, 0.5, 0.9]  # all of the picture, which is 100 x 50 of it
    assert seen(card(Head.YOLO, input=spec), rows) == [("cat", 0.9, (0, 0, 400, 200))]


def test_integers_are_read_through_their_scale() -> None:
    real = np.zeros((1, 7, 4), np.float32)
    real[0, :5, 1] = [0.5, 0.5, 0.25, 0.25, 0.75]
    quantization = Quantization(1 / 256, -128)
    raw = (real * 256 - 128).round().astype(np.int8)
    info = TensorInfo("made", raw.shape, "int8", quantization)
    reader = make_reader(card(Head.YOLO), (info,), ReadOptions())
    _, boxes, _ = reader.read((raw,), 200, 400)
    assert boxes is not None
    assert [(b.score, tuple(b.box)) for b in boxes] == [(0.75, (150, 75, 250, 125))]
    reader = make_reader(card(Head.YOLO), (info._replace(quantization=None),), ReadOptions())
    with pytest.raises(ModelError, match="int8 without a scale"):
        reader.read((raw,), 200, 400)


def test_of_too_many_boxes_the_best_are_looked_at() -> None:
    count = 4 * MAX_CANDIDATES
    rows = np.zeros((1, 7, count), np.float32)
    rows[0, 0], rows[0, 1] = np.linspace(0.1, 0.9, count), 0.5
    rows[0, 2:4], rows[0, 4] = 1e-4, np.linspace(0.5, 1.0, count)
    found = seen(card(Head.YOLO, most=50), rows)
    assert len(found) == 50
    assert found[0][1] == 1.0
    assert found[-1][1] == pytest.approx(rows[0, 4, count - 50], abs=1e-3)


@pytest.mark.parametrize("broken", [np.nan, INF, -INF])
def test_what_is_not_finite_is_one_line(broken: float) -> None:
    rows = np.zeros((1, 7, 4))
    rows[0, :5, 1] = [broken, 0.5, 0.2, 0.2, 0.9]
    with pytest.raises(ModelError, match="not finite"):
        seen(card(Head.YOLO), rows)
    rows[0, :5, 1] = [0.5, 0.5, 0.2, 0.2, np.nan]
    with pytest.raises(ModelError, match="not finite"):
        seen(card(Head.YOLO), rows)
    with pytest.raises(ModelError, match="how many boxes count"):
        seen(card(Head.POSTPROCESSED, roles=(0, 1, 2, 3)), *POSTPROCESSED[:3], [broken])


@pytest.mark.parametrize(
    ("head", "shapes"),
    [
        (Head.YOLO, [(1, 8, 20)]),
        (Head.YOLO, [(2, 7, 20)]),
        (Head.YOLO, [(1, 7, -1)]),
        (Head.YOLO_OBJECTNESS, [(1, 7, 20)]),
        (Head.SSD, [(1, 5, 4), (1, 5, 3)]),
        (Head.SSD, [(1, 4, 4), (1, 4, 2)]),
        (Head.POSTPROCESSED, [(1, 9, 4), (1, 9), (1, 8), (1,)]),
        (Head.POSTPROCESSED, [(1, 9, 4), (1, 9), (1, 9), (2,)]),
    ],
)
def test_outputs_of_other_shapes_are_refused(head: Head, shapes: list[tuple[int, ...]]) -> None:
    roles = tuple(range(len(shapes)))
    outputs = tuple(TensorInfo(f"o{n}", shape, "float32") for n, shape in enumerate(shapes))
    with pytest.raises(ModelError, match=rf"is no {head.value} head of 3 labels"):
        make_reader(card(head, roles=roles), outputs, ReadOptions())
    with pytest.raises(ModelError, match="its card reads output"):
        make_reader(card(head, roles=tuple(role + 1 for role in roles)), outputs, ReadOptions())


def test_smoothing_is_for_classifiers() -> None:
    outputs = (TensorInfo("o", (1, 7, 5), "float32"),)
    with pytest.raises(UsageError, match="--smooth is for classifiers"):
        make_reader(card(Head.YOLO), outputs, ReadOptions(smooth=3))
    with pytest.raises(UsageError, match="--threshold must lie in 0..1"):
        make_reader(card(Head.YOLO), outputs, ReadOptions(threshold=1.5))
    with pytest.raises(ModelError, match="no labels"):
        make_reader(replace(card(Head.YOLO), labels=()), outputs, ReadOptions())


def test_records_are_compared_by_what_a_box_loses() -> None:
    reader = make_reader(card(Head.YOLO), (TensorInfo("o", (1, 7, 5), "float32"),), ReadOptions())
    wanted = np.float32([[0, 0.9, 0, 0, 100, 100], [1, 0.5, 0, 0, 10, 10]])
    assert reader.compare(wanted, wanted).size == 0
    moved = wanted.copy()
    moved[0, [2, 4]] += 10  # overlap 90 / 110
    assert reader.compare(moved, wanted).size == pytest.approx(0.9 * (1 - 90 / 110), abs=1e-6)
    weaker = wanted * np.float32([1, 0.9, 1, 1, 1, 1])
    assert reader.compare(weaker, wanted).size == pytest.approx(0.09, abs=1e-6)
    # The least score that is recorded is a quarter of the threshold, 0.125.
    assert reader.compare(wanted[:1], wanted).size == pytest.approx(0.375, abs=1e-6)
    assert reader.compare(wanted, wanted[:1]).size == pytest.approx(0.375, abs=1e-6)
    other = wanted.copy()
    other[0, 0] = 2
    assert reader.compare(other, wanted).size == pytest.approx(0.775, abs=1e-6)
    assert reader.compare(wanted[:0], wanted[:0]).size == 0


def test_records_that_cannot_be_are_told() -> None:
    reader = make_reader(card(Head.YOLO), (TensorInfo("o", (1, 7, 5), "float32"),), ReadOptions())
    row = np.float32([[0, 0.9, 0, 0, 9, 9]])
    assert reader.fits(row)
    assert reader.fits(row[:0])
    assert not reader.fits(row.astype(np.float64))
    assert not reader.fits(row[:, :5])
    assert not reader.fits(row * np.nan)
    assert not reader.fits(row + 3)
    assert not reader.fits(row + np.float32([0.5, 0, 0, 0, 0, 0]))


def test_a_sigmoid_never_overflows() -> None:
    values = sigmoid(np.float32([-1e30, -100, 0, 100, 1e30]))
    assert values.tolist() == pytest.approx([0, 0, 0.5, 1, 1])

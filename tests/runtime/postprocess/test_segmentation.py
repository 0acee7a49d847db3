"""The class of each place comes out of every form of map, and comes back to the frame."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mejiro_runtime.card import ArtifactCard, Format, OutputSpec, Precision, Scores, Task
from mejiro_runtime.errors import ModelError, UsageError
from mejiro_runtime.postprocess import ReadOptions, make_reader
from mejiro_runtime.postprocess.segmentation import UNSEEN, at_frame_size, map_region
from mejiro_runtime.preprocess import InputSpec, Quantization, ResizeMode, TensorInfo, place
from mejiro_runtime.types import Box, Label, Segmentation

NAMES = ("background", "cat", "dog", "bird")


def card(*, labels: int = 4, spec: InputSpec | None = None, **output: Any) -> ArtifactCard:
    return ArtifactCard(
        file="m.onnx",
        format=Format.ONNX,
        precision=Precision.FP32,
        input=spec or InputSpec(32, 32, resize=ResizeMode.STRETCH),
        output=OutputSpec(Task.SEGMENTATION, **output),
        size_bytes=1,
        sha256="0",
        labels=tuple(Label(n, name) for n, name in enumerate(NAMES[:labels])),
    )


def seen(raw: Any, description: ArtifactCard, *, quantization: Any = None) -> Segmentation:
    """Return what is read in a frame of 80 x 40 pixels."""
    info = TensorInfo("map", raw.shape, raw.dtype.name, quantization)
    _, _, mask = make_reader(description, (info,), ReadOptions()).read((raw,), 40, 80)
    assert mask is not None
    assert mask.classes.dtype == np.uint8
    return mask


CLASSES = np.random.default_rng(3).integers(0, 4, (6, 8))
ONE_HOT = np.eye(4, dtype=np.float32)[CLASSES]


@pytest.mark.parametrize(
    ("raw", "output"),
    [
        (ONE_HOT[None], {}),
        (ONE_HOT.transpose(2, 0, 1)[None] * 30 - 9, {"scores": Scores.LOGITS}),
        ((ONE_HOT[None] * 200 - 100).astype(np.int8), {}),
        (CLASSES[None].astype(np.int64), {"indices": True}),
        (CLASSES[None, ..., None].astype(np.uint8), {"indices": True}),
        (CLASSES[None, None].astype(np.float32), {"indices": True}),
    ],
)
def test_every_form_of_map_gives_the_same(raw: Any, output: dict[str, Any]) -> None:
    mask = seen(raw, card(**output))
    assert (mask.classes == CLASSES).all()
    assert mask.box == Box(0, 0, 80, 40)
    shares = {label.index: share for label, share in mask.shares}
    assert shares == {n: pytest.approx((n == CLASSES).mean()) for n in range(4)}
    assert [share for _, share in mask.shares] == sorted(shares.values(), reverse=True)


def test_the_background_has_no_share_of_its_own() -> None:
    mask = seen(ONE_HOT[None], card(background=0))
    assert [label.name for label, _ in mask.shares].count("background") == 0
    assert sum(share for _, share in mask.shares) == pytest.approx((CLASSES != 0).mean())


@pytest.mark.parametrize(
    ("raw", "quantization", "scores"),
    [
        (np.float32([[0.2, 0.7], [0.5, 0.51]]), None, Scores.PROBABILITIES),
        (np.float32([[-3, 2], [0, 0.1]]), None, Scores.LOGITS),
        (np.uint8([[50, 180], [128, 129]]), Quantization(1 / 256, 0), Scores.PROBABILITIES),
        (np.int8([[-50, 20], [10, 11]]), Quantization(0.1, 10), Scores.LOGITS),
    ],
)
def test_a_single_score_is_that_of_the_second_label(
    raw: Any, quantization: Any, scores: Scores
) -> None:
    for shape in ((1, 2, 2), (1, 2, 2, 1), (1, 1, 2, 2)):
        mask = seen(raw.reshape(shape), card(labels=2, scores=scores), quantization=quantization)
        assert mask.classes.tolist() == [[0, 1], [0, 1]]


@pytest.mark.parametrize("wrong", [4, -1, np.nan])
def test_a_class_without_a_label_is_refused(wrong: float) -> None:
    raw = np.array([[[0, 1], [2, wrong]]], np.float32)
    with pytest.raises(ModelError, match="has 4 labels"):
        seen(raw, card(indices=True))


def test_scores_that_are_not_finite_are_refused() -> None:
    raw = ONE_HOT[None].copy()
    raw[0, 2, 2, 2] = np.nan
    with pytest.raises(ModelError, match="not finite"):
        seen(raw, card())


@pytest.mark.parametrize(
    ("shape", "output"),
    [
        ((1, 6, 8, 5), {}),
        ((2, 6, 8, 4), {}),
        ((1, 6, 8), {}),
        ((1, -1, 8, 4), {}),
        ((48, 4), {}),
        ((1, 6, 8, 4), {"indices": True}),
    ],
)
def test_outputs_of_other_shapes_are_refused(shape: Any, output: Any) -> None:
    with pytest.raises(ModelError, match="is no map of"):
        make_reader(card(**output), (TensorInfo("map", shape, "float32"),), ReadOptions())


def test_a_map_has_two_labels_or_more_and_no_threshold() -> None:
    info = (TensorInfo("map", (1, 6, 8, 4), "float32"),)
    with pytest.raises(ModelError, match="has 1 labels"):
        make_reader(card(labels=1), info, ReadOptions())
    with pytest.raises(UsageError, match="--threshold is for scores"):
        make_reader(card(), info, ReadOptions(threshold=0.5))


def test_a_letterbox_is_cut_away() -> None:
    raw = np.zeros((1, 8, 8), np.int32)
    raw[0, 2:6] = 1  # the picture, 32 x 16 of 32 x 32 pixels
    spec = InputSpec(32, 32, resize=ResizeMode.LETTERBOX)
    mask = seen(raw, card(indices=True, spec=spec))
    assert mask.classes.shape == (4, 8)
    assert mask.box == Box(0, 0, 80, 40)
    assert [(label.name, share) for label, share in mask.shares] == [("cat", 1.0)]


sides = st.integers(1, 90)


@given(
    st.builds(InputSpec, sides, sides, resize=st.sampled_from(ResizeMode)),
    st.tuples(sides, sides),
    sides,
    sides,
)
def test_each_pixel_gets_its_nearest_place(
    spec: InputSpec, size: tuple[int, int], height: int, width: int
) -> None:
    rows, columns, box = map_region(spec, size, height, width)
    assert 0 <= rows.start < rows.stop <= size[0]
    assert 0 <= columns.start < columns.stop <= size[1]
    classes = np.random.default_rng(0).integers(0, 9, size).astype(np.uint8)[rows, columns]
    full = at_frame_size(Segmentation(classes, box, ()), height, width)
    assert full.shape == (height, width)
    for y, x in ((0, 0), (height - 1, width // 2), (height // 2, width - 1)):
        row = (y + 0.5 - box.top) / (box.bottom - box.top) * classes.shape[0]
        column = (x + 0.5 - box.left) / (box.right - box.left) * classes.shape[1]
        if min(abs(row - round(row)), abs(column - round(column))) < 1e-6:
            continue  # on an edge, where rounding decides
        inside = 0 <= row < classes.shape[0] and 0 <= column < classes.shape[1]
        assert full[y, x] == (classes[int(row), int(column)] if inside else UNSEEN)
    if spec.resize is not ResizeMode.CROP:
        where = place(spec, height, width)  # less than the frame: halving leaves edges over
        assert (full != UNSEEN).sum() >= where.height * where.width


def test_what_a_crop_left_out_is_unseen() -> None:
    spec = InputSpec(10, 10)
    rows, columns, box = map_region(spec, (10, 10), 20, 40)
    mask = Segmentation(np.ones((10, 10), np.uint8)[rows, columns], box, ())
    assert box == Box(10, 0, 30, 20)
    full = at_frame_size(mask, 20, 40, outside=7)
    assert (full[:, 10:30] == 1).all()
    assert (full[:, :10] == 7).all()
    assert (full[:, 30:] == 7).all()


def test_records_are_compared_by_the_share_that_differs() -> None:
    reader = make_reader(card(), (TensorInfo("map", (1, 6, 8, 4), "float32"),), ReadOptions())
    one = reader.record((ONE_HOT[None],), 40, 80)
    other = one.copy()
    other[0, :3] = (other[0, :3] + 1) % 4
    gap = reader.compare(other, one)
    assert (gap.size, gap.values, gap.total) == (pytest.approx(3 / 48), 3, 48)
    assert reader.fits(one)
    assert not reader.fits(one + np.uint8(4))
    assert not reader.fits(one[:4])
    assert not reader.fits(one.astype(np.int64))
    whole = np.zeros_like(one)
    assert reader.compare(whole + np.uint8(1), whole).answer == "background became cat"

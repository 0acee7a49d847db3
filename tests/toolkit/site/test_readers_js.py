"""The page reads outputs as the runtime does: any numbers of any head, one after the other."""

from __future__ import annotations

import base64
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mejiro_runtime.card import ArtifactCard, Format, OutputSpec, Precision, Scores, Task
from mejiro_runtime.heads import AnchorGrid, DetectionSpec, Head
from mejiro_runtime.postprocess import ReadOptions, make_reader
from mejiro_runtime.preprocess import InputSpec, Quantization, ResizeMode, TensorInfo
from mejiro_runtime.types import Label

pytestmark = [pytest.mark.browser, pytest.mark.requires_tool("chromium")]

READ = """
async (asked) => {
  const { makeReader } = await import("/core/readers/open.js");
  const kinds = {float32: Float32Array, uint8: Uint8Array, int8: Int8Array, int32: Int32Array};
  const { card, infos, raws, height, width, options } = asked;
  const arrays = raws.map((text, index) => {
    const bytes = Uint8Array.from(atob(text), (one) => one.charCodeAt(0));
    return new kinds[infos[index].dtype](bytes.buffer);
  });
  try {
    const reader = makeReader(card, infos);
    const found = reader.read(arrays, height, width, options);
    if (found.mask) found.mask.classes = Array.from(found.mask.classes);
    const record = reader.record(arrays, height, width);
    const gaps = (asked.others ?? []).map((other) => reader.compare(record, other));
    return {...found, record: Array.from(record), gaps};
  } catch (error) {
    return {error: error.message};
  }
}
"""

SIZES = st.tuples(st.integers(20, 300), st.integers(20, 300))
INPUTS = st.builds(
    lambda h, w, resize, crop: InputSpec(h, w, resize=resize, crop_fraction=crop),
    st.sampled_from([32, 48]),
    st.sampled_from([32, 64]),
    st.sampled_from(list(ResizeMode)),
    st.floats(0.5, 1.0),
)


def card_of(output: OutputSpec, labels: int, spec: InputSpec | None = None) -> ArtifactCard:
    names = [f"class {index}, other name" for index in range(labels)]
    return ArtifactCard(
        "some.tflite", Format.TFLITE, Precision.FP32, spec or InputSpec(32, 32), output, 1, "0",
        tuple(Label(index, name) for index, name in enumerate(names)),
    )  # fmt: skip


def info_of(array: np.ndarray, quantization: Quantization | None = None, name: str = "made") -> Any:
    return TensorInfo(name, array.shape, array.dtype.name, quantization)


def read_by_page(
    page: Any,
    card: ArtifactCard,
    outputs: list[tuple[np.ndarray, TensorInfo]],
    size: tuple[int, int],
    **options: Any,
) -> dict[str, Any]:
    infos = [
        {**info._asdict(), "quantization": info.quantization and info.quantization._asdict()}
        for _, info in outputs
    ]
    others = options.pop("others", [])
    asked = {
        "card": card.to_json(),
        "infos": infos,
        "raws": [base64.b64encode(array.tobytes()).decode() for array, _ in outputs],
        "height": size[0],
        "width": size[1],
        "options": {"top": 5, "threshold": None, **options},
        "others": [other.tolist() for other in others],
    }
    told: dict[str, Any] = page.evaluate(READ, asked)
    return told


def agree_on_boxes(
    page: Any,
    card: ArtifactCard,
    outputs: list[tuple[np.ndarray, TensorInfo]],
    size: tuple[int, int],
) -> None:
    reader = make_reader(card, tuple(info for _, info in outputs), ReadOptions())
    arrays = [array for array, _ in outputs]
    record = reader.record(arrays, *size)
    moved = record.copy()
    moved[:, 2:] += 3
    others = [record, moved, record[1:]]
    told = read_by_page(page, card, outputs, size, others=others)
    assert "error" not in told
    _, boxes, _ = reader.read(arrays, *size)
    assert [(b["index"], b["name"]) for b in told["boxes"]] == [
        (b.label.index, b.label.name) for b in boxes or ()
    ]
    for seen, wanted in zip(told["boxes"], boxes or (), strict=True):
        assert seen["score"] == pytest.approx(wanted.score, abs=1e-6)
        assert seen["box"] == pytest.approx(list(wanted.box), abs=1e-3)
    assert np.array(told["record"]).reshape(-1, 6) == pytest.approx(record, abs=1e-3)
    for gap, other in zip(told["gaps"], others, strict=True):
        wanted_gap = reader.compare(record, other)
        assert gap["size"] == pytest.approx(wanted_gap.size, abs=1e-4)
        assert gap["total"] == wanted_gap.total


@given(data=st.data(), size=SIZES, seed=st.integers(0, 1 << 30))
def test_classes_are_read_alike(
    core_page: Any, data: st.DataObject, size: tuple[int, int], seed: int
) -> None:
    rng = np.random.default_rng(seed)
    labels = data.draw(st.integers(1, 40))
    background = data.draw(st.none() | st.integers(0, labels - 1))
    scores = data.draw(st.sampled_from(list(Scores)))
    quantization = None
    if data.draw(st.booleans()):
        raw = rng.integers(0, 256, (1, labels), dtype=np.uint8)
        quantization = Quantization(data.draw(st.sampled_from([1 / 256, 0.0391])), 7)
    else:
        raw = (rng.random((1, labels)) * 9 - 2).astype(np.float32)
        if data.draw(st.booleans()):
            raw = np.round(raw)  # equals
    card = card_of(OutputSpec(scores=scores, background=background), labels)
    info = info_of(raw, quantization)
    top = data.draw(st.integers(1, 8))
    threshold = data.draw(st.none() | st.floats(0, 1))
    reader = make_reader(card, (info,), ReadOptions(top, threshold))
    record = reader.record([raw], *size)
    others = [record, np.roll(record, 1), record * np.float32(0.5)]
    told = read_by_page(
        core_page, card, [(raw, info)], size, top=top, threshold=threshold, others=others
    )
    wanted, _, _ = reader.read([raw], *size)
    assert [one["index"] for one in told["top"]] == [one.label.index for one in wanted]
    assert [one["score"] for one in told["top"]] == pytest.approx(
        [one.score for one in wanted], abs=1e-6
    )
    assert told["record"] == pytest.approx(record.tolist(), abs=1e-6)
    for gap, other in zip(told["gaps"], others, strict=True):
        wanted_gap = reader.compare(record, other)
        assert gap["size"] == pytest.approx(wanted_gap.size, abs=1e-6)
        assert (gap["total"], gap["answer"]) == (wanted_gap.total, wanted_gap.answer)


@given(data=st.data(), spec=INPUTS, size=SIZES, seed=st.integers(0, 1 << 30))
def test_yolo_heads_are_read_alike(
    core_page: Any, data: st.DataObject, spec: InputSpec, size: tuple[int, int], seed: int
) -> None:
    rng = np.random.default_rng(seed)
    labels, count = data.draw(st.integers(1, 5)), data.draw(st.integers(12, 60))
    head = data.draw(st.sampled_from([Head.YOLO, Head.YOLO_OBJECTNESS]))
    pixels = data.draw(st.booleans())
    scores = data.draw(st.sampled_from(list(Scores)))
    detection = DetectionSpec(
        head, threshold=0.4, iou=0.45, most=30, sigmoid=data.draw(st.booleans()), pixels=pixels
    )
    objectness = head is Head.YOLO_OBJECTNESS
    rows = rng.random((count, 4 + objectness + labels)).astype(np.float32)
    if scores is Scores.LOGITS:
        rows[:, 4:] = rows[:, 4:] * 8 - 4
    if pixels:
        rows[:, :4] *= spec.width
    raw = (rows if objectness else rows.T)[None].copy()
    background = data.draw(st.none() | st.just(0)) if labels > 1 else None
    card = card_of(OutputSpec(Task.DETECTION, scores, background, detection), labels, spec)
    agree_on_boxes(core_page, card, [(raw, info_of(raw))], size)


@given(data=st.data(), spec=INPUTS, size=SIZES, seed=st.integers(0, 1 << 30))
def test_ssd_heads_are_read_alike(
    core_page: Any, data: st.DataObject, spec: InputSpec, size: tuple[int, int], seed: int
) -> None:
    rng = np.random.default_rng(seed)
    labels = data.draw(st.integers(2, 5))
    grids = (
        AnchorGrid(3, 4, ((0.2, 0.3), (0.4, 0.25))),
        AnchorGrid(2, 2, ((0.6, 0.6),)),
    )
    detection = DetectionSpec(
        Head.SSD,
        threshold=0.3,
        most=20,
        roles=(1, 0),
        sigmoid=data.draw(st.booleans()),
        grids=grids,
        x_first=data.draw(st.booleans()),
    )
    anchors = detection.anchor_count
    offsets = (rng.random((1, anchors, 4)) * 6 - 3).astype(np.float32)
    quantization = None
    if data.draw(st.booleans()):
        logits = rng.integers(0, 256, (1, anchors, labels), dtype=np.uint8)
        quantization = Quantization(0.05, 120)
    else:
        logits = (rng.random((1, anchors, labels)) * 8 - 4).astype(np.float32)
    card = card_of(OutputSpec(Task.DETECTION, Scores.LOGITS, 0, detection), labels, spec)
    outputs = [(logits, info_of(logits, quantization)), (offsets, info_of(offsets))]
    agree_on_boxes(core_page, card, outputs, size)


@given(data=st.data(), spec=INPUTS, size=SIZES, seed=st.integers(0, 1 << 30))
def test_boxes_of_the_postprocessing_operator_are_read_alike(
    core_page: Any, data: st.DataObject, spec: InputSpec, size: tuple[int, int], seed: int
) -> None:
    rng = np.random.default_rng(seed)
    count = data.draw(st.integers(2, 12))
    corners = np.sort(rng.random((count, 2, 2)) * 1.4 - 0.2, axis=1).astype(np.float32)
    named = {
        "boxes": corners.reshape(1, count, 4),
        "class": rng.integers(0, 3, (1, count)).astype(np.float32),
        "score": rng.random((1, count)).astype(np.float32),
        "count": np.float32([data.draw(st.integers(0, count + 2))]),
    }
    order = data.draw(st.permutations(sorted(named)))
    outputs = [(named[name], info_of(named[name], name=f"the_{name}")) for name in order]
    detection = DetectionSpec(Head.POSTPROCESSED, threshold=0.3, most=8)
    card = card_of(OutputSpec(Task.DETECTION, Scores.PROBABILITIES, None, detection), 3, spec)
    agree_on_boxes(core_page, card, outputs, size)


@given(data=st.data(), spec=INPUTS, size=SIZES, seed=st.integers(0, 1 << 30))
def test_maps_are_read_alike(
    core_page: Any, data: st.DataObject, spec: InputSpec, size: tuple[int, int], seed: int
) -> None:
    rng = np.random.default_rng(seed)
    labels = data.draw(st.integers(2, 6))
    rows, columns = data.draw(st.sampled_from([(8, 8), (11, 7), (spec.height, spec.width)]))
    kind = data.draw(st.sampled_from(["last", "first", "indices", "single"]))
    labels = 2 if kind == "single" else labels
    shapes = {
        "last": (1, rows, columns, labels),
        "first": (1, labels, rows, columns),
        "indices": (1, rows, columns),
        "single": (1, rows, columns, 1),
    }
    raw = rng.integers(0, labels if kind == "indices" else 256, shapes[kind])
    quantization = None
    if kind == "indices":
        raw = raw.astype(np.int32)
    elif data.draw(st.booleans()):
        raw, quantization = raw.astype(np.uint8), Quantization(1 / 200, 9)
    else:
        raw = (raw / np.float32(255)).astype(np.float32)
    scores = data.draw(st.sampled_from(list(Scores)))
    background = data.draw(st.none() | st.integers(0, labels - 1))
    output = OutputSpec(Task.SEGMENTATION, scores, background, indices=kind == "indices")
    card, info = card_of(output, labels, spec), info_of(raw, quantization)
    reader = make_reader(card, (info,), ReadOptions())
    record = reader.record([raw], *size)
    others = [record.reshape(-1), np.roll(record.reshape(-1), 1), np.zeros(record.size, np.uint8)]
    told = read_by_page(core_page, card, [(raw, info)], size, others=others)
    _, _, mask = reader.read([raw], *size)
    assert mask is not None
    assert told["record"] == record.reshape(-1).tolist()
    seen = told["mask"]
    assert (seen["height"], seen["width"]) == mask.classes.shape
    assert seen["classes"] == mask.classes.reshape(-1).tolist()
    assert seen["box"] == pytest.approx(list(mask.box), abs=1e-9)
    assert [(s["index"], s["name"], s["share"]) for s in seen["shares"]] == [
        (label.index, label.name, pytest.approx(share)) for label, share in mask.shares
    ]
    for gap, other in zip(told["gaps"], others, strict=True):
        wanted = reader.compare(record, other.reshape(record.shape))
        assert (gap["size"], gap["values"], gap["answer"]) == (
            pytest.approx(wanted.size), wanted.values, wanted.answer,
        )  # fmt: skip


@settings(max_examples=12)
@given(place=st.integers(0, 5), strange=st.sampled_from([np.nan, np.inf, -np.inf]))
def test_what_is_not_finite_is_an_error(core_page: Any, place: int, strange: float) -> None:
    raw = np.linspace(0, 1, 6, dtype=np.float32)[None].copy()
    raw[0, place] = strange
    told = read_by_page(core_page, card_of(OutputSpec(), 6), [(raw, info_of(raw))], (9, 9))
    assert "not finite" in told["error"]
    boxes = np.full((1, 7, 4), 0.5, np.float32)
    boxes[0, 4:] = 0.9
    boxes[0, place, 2] = strange
    detection = DetectionSpec(Head.YOLO)
    card = card_of(OutputSpec(Task.DETECTION, Scores.PROBABILITIES, None, detection), 3)
    told = read_by_page(core_page, card, [(boxes, info_of(boxes))], (9, 9))
    # Minus infinity as a score is one that no threshold lets through, here as in the runtime.
    if not (place > 3 and strange == -np.inf):
        assert "not finite" in told["error"]
    card = replace(card, output=OutputSpec(Task.SEGMENTATION))
    raw = np.zeros((1, 4, 4, 3), np.float32)
    raw[0, 1, 1, place % 3] = strange
    assert "not finite" in read_by_page(core_page, card, [(raw, info_of(raw))], (9, 9))["error"]

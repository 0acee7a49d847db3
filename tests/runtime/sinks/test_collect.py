"""What is worth keeping is kept, once, within bounds, and never on the hot path."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mejiro_runtime.errors import UsageError
from mejiro_runtime.sinks.collect import (
    ALIKE_BITS,
    WAITING,
    Collector,
    Confidence,
    Disagreement,
    parse_condition,
    picture_hash,
)
from mejiro_runtime.sources.pictures import picture_files, read_picture
from mejiro_runtime.types import (
    Box,
    Classification,
    Detection,
    Frame,
    Label,
    PixelOrder,
    Result,
    Timing,
)

WAIT_S = 30
TIMING = Timing(0, 0, 0, 0, 0)
LOW = Confidence("<", 0.5)


def result(score: float = 0.1, *, label: int = 0, index: int = 0) -> Result:
    top = (Classification(Label(label, f"class {label}"), score),)
    return Result(index, "", top, TIMING)


def picture(seed: int, *, size: tuple[int, int] = (48, 54)) -> np.ndarray:
    """Return a picture of coarse fields, which differ from seed to seed."""
    fields = np.random.default_rng(seed).integers(0, 256, (8, 9, 3), dtype=np.uint8)
    return fields.repeat(size[0] // 8, axis=0).repeat(size[1] // 9, axis=1)


def frame(seed: int = 0, order: PixelOrder = PixelOrder.BGR) -> Frame:
    return Frame(picture(seed), order, seed, 0, 0)


@pytest.fixture
def collect(tmp_path: Path, cv2: Any) -> Iterator[Callable[..., Collector]]:
    """Return a function that opens a collector in a folder of its own, and close it."""
    opened: list[Collector] = []

    def make(**options: Any) -> Collector:
        condition = options.pop("condition", LOW)
        opened.append(
            Collector(tmp_path / "kept", condition, **{"when": "confidence<0.5", **options})
        )
        return opened[-1]

    yield make
    for one in opened:
        one.close()
        assert not one._thread.is_alive()


def show_all(collector: Collector, *shown: tuple[Frame, Result]) -> None:
    """Show frames, each when the one before has been looked at, and close."""
    for one in shown:
        collector._consider(*one)
    collector.close()


# Conditions.


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("confidence<0.5", Confidence("<", 0.5)),
        (" confidence >= .25 ", Confidence(">=", 0.25)),
        ("confidence<=1", Confidence("<=", 1.0)),
        ("disagree:int8,fp32", Disagreement("int8", "fp32")),
        ("disagree:a-b.tflite,c.onnx", Disagreement("a-b.tflite", "c.onnx")),
    ],
)
def test_a_condition_is_read(text: str, expected: Any) -> None:
    assert parse_condition(text) == expected


@pytest.mark.parametrize(
    "text",
    ["", "confidence", "confidence<", "confidence<50", "confidence<1.5", "confidence<50%",
     "confidence=0.5", "confidence<-0.1", "disagree", "disagree:int8", "disagree:a,b,c",
     "disagree:,b", "score<0.5"],
)  # fmt: skip
def test_what_is_no_condition_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is no condition; write 'confidence<0.5'"):
        parse_condition(text)


@given(st.text(max_size=40))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        found = parse_condition(text)
    except UsageError:
        return
    assert isinstance(found, Disagreement) or 0 <= found.limit <= 1


@pytest.mark.parametrize(
    ("comparison", "score", "kept"),
    [("<", 0.4, True), ("<", 0.5, False), ("<=", 0.5, True), (">", 0.5, False), (">=", 0.6, True)],
)
def test_confidence_is_that_of_the_best_answer(comparison: str, score: float, kept: bool) -> None:
    assert Confidence(comparison, 0.5).matches(result(score)) is kept


def test_a_detector_is_as_sure_as_of_its_surest_box() -> None:
    boxes = tuple(Detection(Label(0, "x"), score, Box(0, 0, 1, 1)) for score in (0.2, 0.7))
    assert not LOW.matches(Result(0, "", (), TIMING, boxes=boxes))
    assert LOW.matches(Result(0, "", (), TIMING, boxes=()))


# Duplicates.


@given(st.integers(0, 10_000), st.integers(-20, 20))
def test_a_picture_is_like_itself_in_another_light(seed: int, light: int) -> None:
    plain = picture(seed).astype(np.int32) // 2 + 60
    rng = np.random.default_rng(seed)
    noisy = plain + light + rng.integers(-3, 4, plain.shape)
    one, other = picture_hash(plain.astype(np.uint8)), picture_hash(noisy.astype(np.uint8))
    assert (one ^ other).bit_count() <= ALIKE_BITS


def test_other_pictures_are_unlike() -> None:
    hashes = [picture_hash(picture(seed)) for seed in range(100)]
    apart = [
        (one ^ other).bit_count()
        for place, one in enumerate(hashes)
        for other in hashes[place + 1 :]
    ]
    assert min(apart) > ALIKE_BITS


@given(st.integers(1, 40), st.integers(1, 40), st.sampled_from([None, 1, 3, 4]))
def test_a_picture_of_any_size_has_a_hash(height: int, width: int, channels: int | None) -> None:
    shape = (height, width) if channels is None else (height, width, channels)
    assert 0 <= picture_hash(np.full(shape, 7, np.uint8)) < 1 << 64


def test_what_is_alike_is_kept_once(collect, tmp_path: Path) -> None:
    collector = collect()
    again = frame(1)._replace(pixels=np.minimum(picture(1), 250) + 2)
    show_all(collector, (frame(1), result()), (again, result()), (frame(2), result()))
    assert (collector.new, collector.duplicates) == (2, 1)
    assert len(picture_files(tmp_path / "kept")) == 2


# What is written.


@pytest.mark.parametrize("order", list(PixelOrder))
def test_the_pixels_come_back(collect, tmp_path: Path, order: PixelOrder) -> None:
    bgr = picture(3)
    pixels = {
        PixelOrder.BGR: bgr,
        PixelOrder.RGB: bgr[..., ::-1],
        PixelOrder.BGRA: np.dstack([bgr, np.full(bgr.shape[:2], 255, np.uint8)]),
        PixelOrder.RGBA: np.dstack([bgr[..., ::-1], np.full(bgr.shape[:2], 255, np.uint8)]),
        PixelOrder.GRAY: bgr[..., 0],
    }[order]
    show_all(collect(), (Frame(pixels, order, 0, 0, 0), result()))
    (path,) = picture_files(tmp_path / "kept")
    expected = bgr if order is not PixelOrder.GRAY else np.dstack([bgr[..., 0]] * 3)
    assert np.array_equal(read_picture(path), expected)


def test_a_picture_says_beside_it_what_it_is(collect, tmp_path: Path) -> None:
    show_all(collect(about={"artifact": "a.tflite"}), (frame(1), result(0.25, label=7, index=4)))
    (path,) = picture_files(tmp_path / "kept")
    told = json.loads(path.with_name(path.name + ".json").read_text(encoding="utf-8"))
    assert told["artifact"] == "a.tflite"
    assert told["when"] == "confidence<0.5"
    assert told["seen"]["label"] == "class 7"
    assert told["seen"]["frame"] == 4
    assert told["other"] is None
    assert told["taken"].endswith("+00:00")


def test_only_what_the_condition_asks_for_is_kept(collect) -> None:
    collector = collect()
    collector.show(frame(1), result(0.9))
    collector.show(frame(2), result(0.4))
    collector.close()
    assert collector.new == 1


def test_artifacts_that_agree_leave_nothing(collect, tmp_path: Path) -> None:
    collector = collect(
        condition=Disagreement("int8", "fp32"), when="disagree:int8,fp32",
        second=lambda frame: result(0.6, label=frame.index % 2),
    )  # fmt: skip
    show_all(collector, (frame(2), result(label=0)), (frame(3), result(label=0)))
    (path,) = picture_files(tmp_path / "kept")
    told = json.loads(path.with_name(path.name + ".json").read_text(encoding="utf-8"))
    assert (told["seen"]["label"], told["other"]["label"]) == ("class 0", "class 1")


# Bounds.


def test_no_more_is_kept_than_allowed(collect, tmp_path: Path) -> None:
    collector = collect(limit=3)
    for seed in range(3):
        collector._consider(frame(seed), result())
    assert collector.state.endswith("; full")
    collector.show(frame(9), result())  # not even looked at
    collector.close()
    assert len(picture_files(tmp_path / "kept")) == 3
    assert collector.to_json()["full"]


def test_earlier_runs_count(collect, tmp_path: Path) -> None:
    show_all(collect(limit=3), (frame(1), result()), (frame(2), result()))
    second = collect(limit=3)
    assert second.kept == 2
    show_all(second, (frame(1), result()), (frame(3), result()))
    assert (second.new, second.duplicates, second.kept) == (1, 1, 3)
    assert collect(limit=3)._full


def test_bytes_are_bounded_as_well(collect, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (60, 60, 3), dtype=np.uint8)
    collector = collect(limit_bytes=noise.nbytes // 2)
    show_all(collector, (Frame(noise, PixelOrder.BGR, 0, 0, 0), result()))
    assert picture_files(tmp_path / "kept") == []
    assert collector.to_json()["full"]


def test_other_files_of_the_folder_are_left_alone(collect, tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "mine.png").write_bytes(b"not a picture")
    collector = collect(limit=1)
    show_all(collector, (frame(1), result()))
    assert collector.kept == 1
    assert (tmp_path / "kept" / "mine.png").read_bytes() == b"not a picture"


# Off the hot path.


def test_showing_waits_for_nothing(collect) -> None:
    release, seen = threading.Event(), threading.Event()

    def slow(frame: Frame) -> Result:
        seen.set()
        assert release.wait(WAIT_S)
        return result(label=1)

    collector = collect(condition=Disagreement("a", "b"), second=slow)
    collector.show(frame(0), result())
    assert seen.wait(WAIT_S)
    for seed in range(1, 10):
        collector.show(frame(seed), result())
    assert collector.passed_over == 9 - WAITING
    release.set()
    collector.close()
    assert collector.new == 1 + WAITING
    assert f"{9 - WAITING} came too fast" in collector.summary


def test_a_folder_that_cannot_be_written_ends_the_collecting_alone(collect, monkeypatch) -> None:
    def fails(path: Path, value: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("mejiro_runtime.sinks.collect.write_json", fails)
    collector = collect()
    collector.show(frame(1), result())
    collector.close()
    collector.show(frame(2), result())
    assert "No space left on device" in (collector.error or "")
    assert "ended: " in collector.state


def test_closing_twice_closes_the_other_artifact_once(collect) -> None:
    closed: list[int] = []
    collector = collect(on_close=lambda: closed.append(1))
    collector.close()
    collector.close()
    assert closed == [1]


# The command.


@pytest.fixture
def run(bundle, say, tmp_path: Path, cv2: Any) -> Callable[..., tuple[int, str, str]]:
    def run(*options: str, when: str | None = "confidence<0.9") -> tuple[int, str, str]:
        more = [] if when is None else ["--when", when]
        return say("run", bundle, "--source", "synthetic:40x30", "--frames", "30", "--json",
                   "--collect", str(tmp_path / "out"), *more, *options)  # fmt: skip

    return run


def test_run_collects_and_says_so(run, tmp_path: Path) -> None:
    code, out, err = run()
    assert code == 0
    summary = json.loads(out.splitlines()[-1])["summary"]
    assert summary["collected"]["new"] >= 1
    assert summary["collected"]["when"] == "confidence<0.9"
    assert len(picture_files(tmp_path / "out")) == summary["collected"]["kept"]
    assert err.startswith("collected: ")


def test_run_collects_where_two_artifacts_disagree(run, tmp_path: Path, handmade) -> None:
    code, _, err = run(when="disagree:colours.tflite,colours.onnx")
    assert code == 0
    assert err.startswith("collected: 0 new")  # the same engine simulates both


@pytest.mark.parametrize(
    ("when", "options", "reason"),
    [
        (None, (), "go together"),
        ("confidence<9", (), "is no condition"),
        ("disagree:fp16,fp32", (), "which is neither fp16 nor fp32"),
        ("disagree:int8,fp32", (), "no other artifact 'fp32'"),
        ("disagree:int8,int8", ("--keep-fps", "5"), "leave out --keep-fps"),
        ("confidence<0.5", ("--collect-limit", "0"), "--collect-limit must be 1 or more"),
    ],
)
def test_what_cannot_be_collected_is_refused(run, when, options, reason: str) -> None:
    code, out, err = run(*options, when=when)
    assert (code, out) == (2, "")
    assert reason in err


def test_a_file_is_no_folder(bundle, say, tmp_path: Path, cv2: Any) -> None:
    (tmp_path / "file").write_text("x")
    code, _, err = say("run", bundle, "--source", "synthetic:8x8", "--frames", "1", "--collect",
                       str(tmp_path / "file"), "--when", "confidence<0.5")  # fmt: skip
    assert code == 2
    assert "is a file; name a folder" in err

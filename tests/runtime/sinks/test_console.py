"""Results are shown line by line, or in a table that stays where it is."""

from __future__ import annotations

import io
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mejiro_runtime.sinks.console import LinesSink, TableSink, fit_columns, format_ms
from mejiro_runtime.types import (
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


def result(name: str = "cat.jpg", *labels: str, index: int = 0) -> Result:
    top = tuple(
        Classification(Label(i, label), 0.9 / (i + 1)) for i, label in enumerate(labels or ("cat",))
    )
    timing = Timing(1_000_000, 400_000, 2_900_000, 30_000, 5_000_000)
    return Result(index, name, top, timing)


FRAME = Frame(pixels=None, order=PixelOrder.BGR, index=0, captured_ns=0, capture_ns=0)  # type: ignore[arg-type]


class Watched(io.StringIO):
    """Count how often what was written is sent off."""

    flushes = 0

    def flush(self) -> None:
        self.flushes += 1


def test_lines_are_sent_as_they_come() -> None:
    stream = Watched()
    sink = LinesSink(stream)
    sink.show(FRAME, result("cat.jpg", "tabby, tabby cat", "tiger cat"))
    assert stream.getvalue() == "cat.jpg: tabby 0.900 (3.33 ms)\n"
    assert stream.flushes == 1
    sink.show(FRAME, result("", index=7))
    assert stream.getvalue().endswith("7: cat 0.900 (3.33 ms)\n")
    sink.close()


def test_no_answer_is_shown_as_such() -> None:
    stream = io.StringIO()
    LinesSink(stream).show(FRAME, Result(0, "x", (), Timing(0, 0, 0, 0, 0)))
    assert stream.getvalue() == "x: nothing (0.00 ms)\n"


def test_milliseconds_have_the_digits_that_count() -> None:
    assert [format_ms(ns) for ns in (0, 1234, 2_345_678, 99_994_000, 123_456_789)] == [
        "0.00",
        "0.00",
        "2.35",
        "99.99",
        "123",
    ]


@pytest.fixture
def clock(monkeypatch) -> Any:
    """Return a list whose first element is the time."""
    now = [1_000_000_000]
    monkeypatch.setattr("mejiro_runtime.sinks.console.perf_counter_ns", lambda: now[0])
    return now


def draw(text: str) -> list[str]:
    """Return the screen that `text` leaves on a terminal, of the codes that are used here."""
    screen: list[str] = []
    row = 0
    for part in re.split(r"(\x1b\[\d*[A-Z]|\n)", text):
        if not part:
            continue
        if part == "\n":
            row += 1
        elif code := re.fullmatch(r"\x1b\[(\d*)A", part):
            row -= int(code[1])
            assert row >= 0, "the table climbs above where it began"
        elif part == "\x1b[2K":
            screen += [""] * (row + 1 - len(screen))
            screen[row] = ""
        else:
            assert "\x1b" not in part
            screen[row] += part
    return screen


def test_a_table_is_redrawn_in_place_and_ends_with_the_last_frame(clock) -> None:
    stream = io.StringIO()
    sink = TableSink(stream)
    for index in range(50):
        clock[0] += 20_000_000
        sink.show(FRAME, result(f"frame {index}", "cat", "dog"))
    drawn = stream.getvalue().count("frame ")
    assert 5 <= drawn <= 11  # ten times a second
    sink.close()
    screen = draw(stream.getvalue())
    assert len(screen) == 4
    assert screen[0] == "frame 49   50.0 frames a second"
    assert screen[1].startswith("capture 1.00   preprocess 0.40   infer 2.90   postprocess 0.03")
    assert screen[2].split() == ["0.900", "█" * 18, "cat"]
    assert screen[3].split() == ["0.450", "█" * 9, "dog"]


def test_a_table_of_fewer_answers_leaves_no_old_ones_above(clock) -> None:
    stream = io.StringIO()
    sink = TableSink(stream)
    for name in ("one", "two"):
        clock[0] += 200_000_000
        sink.show(FRAME, result(name, "cat", "dog"))
    sink.close()
    assert draw(stream.getvalue())[0].startswith("two")
    assert len(draw(stream.getvalue())) == 4


def test_nothing_was_shown_nothing_is_drawn() -> None:
    stream = io.StringIO()
    TableSink(stream).close()
    assert stream.getvalue() == ""


@pytest.mark.parametrize(
    ("text", "columns", "fitted"),
    [
        ("abc", 3, "abc"),
        ("abcd", 3, "abc"),
        ("目白押し", 8, "目白押し"),
        ("目白押し", 7, "目白押"),
        ("a目b", 2, "a"),
        ("", 0, ""),
    ],
)
def test_wide_letters_take_two_columns(text: str, columns: int, fitted: str) -> None:
    assert fit_columns(text, columns) == fitted


@given(st.text(max_size=30), st.integers(0, 40))
def test_fitting_keeps_a_beginning(text: str, columns: int) -> None:
    fitted = fit_columns(text, columns)
    assert text.startswith(fitted)
    assert len(fitted) <= columns


def other_results() -> tuple[Result, Result]:
    """Return the results of a detector, with twelve boxes, and of a segmentation."""
    timing = Timing(0, 0, 1_000_000, 0, 0)
    cat, dog = Label(0, "cat, tomcat"), Label(1, "dog")
    boxes = tuple(Detection(cat, 0.9 - i / 100, Box(i, 2.4, 30.6, 40)) for i in range(12))
    mask = Segmentation(classes=None, box=Box(0, 0, 1, 1), shares=((dog, 0.6), (cat, 0.123)))  # type: ignore[arg-type]
    return Result(0, "a", (), timing, boxes=boxes), Result(1, "b", (), timing, mask=mask)


def test_boxes_and_shares_take_one_line() -> None:
    stream = io.StringIO()
    detected, segmented = other_results()
    sink = LinesSink(stream)
    sink.show(FRAME, detected._replace(boxes=detected.boxes[:2]))  # type: ignore[index]
    sink.show(FRAME, segmented)
    sink.show(FRAME, detected._replace(boxes=()))
    sink.show(FRAME, detected)
    lines = stream.getvalue().splitlines()
    assert lines[0] == "a: cat 0.900 0,2-31,40, cat 0.890 1,2-31,40 (1.00 ms)"
    assert lines[1] == "b: dog 60.0%, cat 12.3% (1.00 ms)"
    assert lines[2] == "a: nothing (1.00 ms)"
    assert lines[3].endswith("cat 0.810 9,2-31,40, and 2 more (1.00 ms)")


def test_boxes_and_shares_are_rows_of_the_table() -> None:
    for shown, rows in zip(other_results(), (10, 2), strict=True):
        stream = io.StringIO()
        sink = TableSink(stream)
        sink.show(FRAME, shown)
        bars = [line for line in stream.getvalue().splitlines() if "█" in line]
        assert len(bars) == rows
        assert re.search(r"0\.[69]00 █+ +(cat 0,2-31,40|dog)$", bars[0])

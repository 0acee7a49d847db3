"""Every frame is one line of JSON, sent as it comes."""

from __future__ import annotations

import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mejiro_runtime.sinks.jsonlines import JsonLinesSink, LogFileSink
from mejiro_runtime.types import Classification, Frame, Label, PixelOrder, Result, Timing

FRAME = Frame(pixels=None, order=PixelOrder.BGR, index=0, captured_ns=0, capture_ns=0)  # type: ignore[arg-type]


@given(
    st.lists(
        st.tuples(st.text(), st.lists(st.tuples(st.text(), st.floats(0, 1)), max_size=3)),
        min_size=1,
        max_size=3,
    )
)
def test_each_result_is_one_line_that_parses(results) -> None:
    stream = io.StringIO(newline="")
    sink = JsonLinesSink(stream)
    for index, (name, answers) in enumerate(results):
        top = tuple(
            Classification(Label(i, text), score) for i, (text, score) in enumerate(answers)
        )
        sink.show(FRAME, Result(index, name, top, Timing(1, 2, 3, 4, 5)))
    sink.close()
    lines = stream.getvalue().split("\n")
    assert lines.pop() == ""
    assert len(lines) == len(results)
    for line, (name, answers) in zip(lines, results, strict=True):
        value = json.loads(line)
        assert value["name"] == name
        assert [answer["label"] for answer in value["top"]] == [text for text, _ in answers]
        assert value["label"] == (answers[0][0] if answers else None)
        if answers:
            assert value["score"] == pytest.approx(answers[0][1], abs=1e-6)
        assert value["infer_ns"] == 3


def test_a_line_does_not_wait_for_the_next() -> None:
    class Watched(io.StringIO):
        flushed = ""

        def flush(self) -> None:
            self.flushed = self.getvalue()

    stream = Watched()
    sink = JsonLinesSink(stream)
    sink.show(FRAME, Result(0, "x", (), Timing(1, 2, 3, 4, 5), extra={"more": 1}))
    assert json.loads(stream.flushed)["more"] == 1


def test_a_log_goes_on_where_it_ended(tmp_path) -> None:
    path = tmp_path / "logs" / "run.jsonl"
    for index in range(2):
        sink = LogFileSink(path)
        sink.show(FRAME, Result(index, "目白", (), Timing(1, 2, 3, 4, 5)))
        lines = path.read_text(encoding="utf-8").splitlines()
        assert len(lines) == index + 1  # there before the run ends
        sink.close()
        sink.close()
    assert [json.loads(line)["frame"] for line in lines] == [0, 1]
    assert json.loads(lines[0])["name"] == "目白"

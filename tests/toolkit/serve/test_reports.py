"""Reports from pages are checked, limited, named by us and written whole."""

from __future__ import annotations

import json
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mejiro.report.devices import read_report
from mejiro.serve.reports import MAX_REPORT_BYTES, Refused, ReportBox, parse_received, plain
from tests.site_stand_in import REPORT, changed_report


def body(value: Any) -> bytes:
    return json.dumps(value).encode()


def test_a_report_is_kept_and_can_be_compared(tmp_path: Path) -> None:
    received = ReportBox(tmp_path / "reports").save(body(REPORT))
    assert received.path.parent == tmp_path / "reports"
    assert received.path.name.endswith("-birds-int8-pixel-8.json")
    assert read_report(received.path).board == "Pixel 8"
    assert received.passed
    assert "infer 9.7 ms, frame to label 9.7 ms (p50), 300 frames, verified" in received.line()
    assert json.loads(json.dumps(received.to_json()))["verified"] is True


def test_two_of_one_second_have_two_names(tmp_path: Path) -> None:
    box = ReportBox(tmp_path)
    names = {box.save(body(REPORT)).path.name for _ in range(5)}
    assert len(names) == len(list(tmp_path.glob("*.json"))) == 5


def test_a_page_that_failed_is_told(tmp_path: Path) -> None:
    failed = {"kind": "browser", "error": "no camera", "device": {"board": "Pixel 8"}}
    received = ReportBox(tmp_path).save(body(failed))
    assert received.path.name.endswith("-failed-pixel-8.json")
    assert not received.passed
    assert received.line().endswith("the page failed: no camera")


def test_a_report_of_wrong_answers_has_not_passed(tmp_path: Path) -> None:
    wrong = changed_report(verification={"passed": False})
    received = ReportBox(tmp_path).save(body(wrong))
    assert not received.passed
    assert "NOT VERIFIED" in received.line()
    unverified = ReportBox(tmp_path).save(body(changed_report(verification=None)))
    assert not unverified.passed
    assert unverified.line().endswith(", not verified")


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        (b"{", "not valid JSON"),
        (b"\xff", "not valid JSON"),
        (b"[" * 100_000, "not valid JSON"),
        (b"[]", "must be a JSON object"),
        (b'{"device": NaN}', "not valid JSON"),
        (body({}), "has no 'device'"),
        (body(changed_report(stages={})), "no times"),
        (body(changed_report(verification={})), "has no 'passed'"),
        (body(changed_report(device={"board": "x" * 300})), "longer than 200"),
        (body({"error": "a\nb"}), "control characters"),
        (body({"error": "x" * 600}), "longer than 500"),
        (body({"error": {}}), "must be str"),
        (body(changed_report(extra="\ud800")), "no JSON file can"),
        (body(REPORT)[:-1] + b', "extra": 1e999}', "no JSON file can"),
    ],
)
def test_what_is_no_report_is_refused_in_one_line(tmp_path: Path, sent: bytes, said: str) -> None:
    with pytest.raises(Refused, match=said) as told:
        ReportBox(tmp_path).save(sent)
    assert told.value.status is HTTPStatus.BAD_REQUEST
    assert len(str(told.value).splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_there_is_a_limit_of_size_of_pace_and_of_number(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="at most") as told:
        ReportBox(tmp_path).save(b" " * (MAX_REPORT_BYTES + 1))
    assert told.value.status is HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    hasty = ReportBox(tmp_path, each_minute=2)
    hasty.save(body(REPORT))
    hasty.save(body(REPORT))
    with pytest.raises(Refused, match="within a minute") as told:
        hasty.save(body(REPORT))
    assert told.value.status is HTTPStatus.TOO_MANY_REQUESTS
    with pytest.raises(Refused, match="2 reports are kept already"):
        ReportBox(tmp_path, limit=2).save(body(REPORT))


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "reports").write_text("a file")
    with pytest.raises(Refused, match="cannot be written"):
        ReportBox(tmp_path / "reports").save(body(REPORT))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=6,
)


@given(st.sampled_from([*REPORT, "error", "sustained", "report"]), JSON)
def test_any_value_in_any_place_is_taken_or_refused(name: str, value: Any) -> None:
    sent = json.dumps(changed_report(**{name: value})).encode("utf-8", "surrogatepass")
    refusal = ""
    try:
        parse_received(sent)
    except Refused as refused:
        refusal = str(refused)
    assert len(refusal.splitlines()) <= 1


@given(st.binary(max_size=200))
def test_any_bytes_are_refused(sent: bytes) -> None:
    with pytest.raises(Refused):
        parse_received(sent)


@given(st.text())
def test_a_name_holds_letters_digits_and_hyphens(text: str) -> None:
    name = plain(text)
    assert len(name) <= 40
    assert set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")
    assert name == name.strip("-")

"""Reports of devices are read with care and set side by side."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mejiro.errors import UsageError
from mejiro.report.devices import differences, parse_report, read_report, read_reports
from mejiro_runtime.errors import SpecError

STAGE = {"count": 9, "p50_ns": 5_000_000, "p90_ns": 6_000_000, "p95_ns": 7_000_000,
         "p99_ns": 8_000_000, "max_ns": 9_000_000}  # fmt: skip
REPORT: dict[str, Any] = {
    "bundle": "birds",
    "artifact": "birds-int8.tflite",
    "precision": "int8",
    "backend": {
        "name": "litert",
        "engine": "ai-edge-litert",
        "version": "2.3.0",
        "accelerator": "XNNPACK",
        "threads": 4,
        "requested": "litert",
        "fallback": None,
    },
    "source": "synthetic 640x480",
    "device": {"board": "Raspberry Pi 5", "cpu": None, "machine": "aarch64"},
    "frames": 200,
    "frames_per_second": 61.5,
    "stages": {"capture": STAGE, "preprocess": STAGE, "infer": STAGE, "frame_to_label": STAGE},
    "peak_memory_bytes": 70_000_000,
    "telemetry": {"temperature_celsius": 55.5, "throttled": [], "power_watts": 3.25},
}


def changed(**more: Any) -> dict[str, Any]:
    return {**copy.deepcopy(REPORT), **more}


def test_a_report_is_read() -> None:
    report = parse_report(REPORT, "kitchen")
    assert (report.name, report.board) == ("kitchen", "Raspberry Pi 5")
    assert report.engine == "ai-edge-litert 2.3.0, XNNPACK, 4 threads"
    assert report.stages["infer"] == {
        "p50_ns": 5_000_000, "p95_ns": 7_000_000, "p99_ns": 8_000_000
    }  # fmt: skip
    assert "capture" not in report.stages
    assert (report.temperature_celsius, report.power_watts) == (55.5, 3.25)
    assert report.throttled is False
    assert report.verdict is None
    assert json.loads(json.dumps(report.to_json()))["fps"] == 61.5


def test_a_report_that_was_brought_home_is_read_alike() -> None:
    brought = {"device": "ssh://pi@kitchen", "probe": {}, "release": "0" * 16, "report": REPORT}
    assert parse_report(brought, "kitchen") == parse_report(REPORT, "kitchen")


def test_a_sustained_run_counts_with_its_hottest_window() -> None:
    windows = [
        {"temperature_celsius": 50.0, "throttled": []},
        {"temperature_celsius": 82.0, "throttled": ["throttled"], "power_watts": 6.5},
        {"temperature_celsius": None, "throttled": None},
    ]
    report = parse_report(changed(sustained={"verdict": "it got hot", "windows": windows}), "k")
    assert (report.temperature_celsius, report.power_watts) == (82.0, 6.5)
    assert report.throttled
    assert report.verdict == "it got hot"


def test_what_is_not_told_is_none() -> None:
    bare = changed(telemetry=None, peak_memory_bytes=None, device={"machine": "aarch64"})
    report = parse_report(bare, "k")
    assert report.board == "aarch64"
    assert report.memory_bytes is report.temperature_celsius is report.throttled is None
    older = changed(stages={"frame_to_label": {"p50_ns": 1, "p90_ns": 2, "p99_ns": 3}})
    assert parse_report(older, "k").stages == {"frame_to_label": {"p50_ns": 1, "p99_ns": 3}}


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ([], "must be a JSON object, found list"),
        ({}, "has no 'device'"),
        (changed(frames=0), "has no frames"),
        (changed(stages={}), "no times from frame to label"),
        (changed(stages={"frame_to_label": {"p50_ns": "x"}}), "'p50_ns' must be int"),
        (changed(stages={"frame_to_label": {"p50_ns": -1}}), "out of reach"),
        (changed(backend={"engine": "x"}), "has no 'version'"),
        (changed(sustained={"windows": [3]}), "each an object"),
        (changed(artifact="a\nb"), "control characters"),
        ({"kind": "browser", "error": "no camera"}, "it tells of a failure: no camera"),
        (changed(verification={"passed": "yes"}), "'passed' must be bool"),
    ],
)
def test_what_is_no_report_is_refused_in_one_line(tmp_path: Path, value: Any, said: str) -> None:
    path = tmp_path / "odd.json"
    path.write_text(json.dumps(value))
    with pytest.raises(UsageError, match=said) as told:
        read_report(path)
    assert str(told.value).startswith(f"{path} is no report of a bench: ")
    assert "\n" not in str(told.value)


def test_a_file_that_is_no_json_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.json").write_text("hello")
    with pytest.raises(UsageError, match="is not valid JSON"):
        read_report(tmp_path / "text.json")
    with pytest.raises(UsageError, match="cannot be read"):
        read_report(tmp_path / "absent.json")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=6,
)


@given(st.sampled_from([*REPORT, "sustained", "verification", "error", "kind"]), JSON)
def test_any_value_in_any_place_is_read_or_refused(name: str, value: Any) -> None:
    refusal = ""
    try:
        parse_report(changed(**{name: value}), "k")
    except SpecError as error:
        refusal = str(error)
    assert len(refusal.splitlines()) <= 1


def test_two_of_one_name_are_told_apart_by_their_folders(tmp_path: Path) -> None:
    for folder in ("pi4", "pi5"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "bench.json").write_text(json.dumps(REPORT))
    paths = [tmp_path / "pi4" / "bench.json", tmp_path / "pi5" / "bench.json"]
    assert [report.name for report in read_reports(paths)] == ["pi4/bench", "pi5/bench"]


def test_wrong_outputs_are_said() -> None:
    wrong = parse_report(changed(verification={"passed": False}), "phone")
    right = parse_report(changed(verification={"passed": True}), "kitchen")
    assert (wrong.verified, right.verified) == (False, True)
    assert parse_report(REPORT, "k").verified is None
    assert differences([wrong, right]) == ["phone gave wrong outputs for the golden frames"]


def test_what_makes_a_comparison_unfair_is_said() -> None:
    slow = changed(
        artifact="other.tflite",
        telemetry={"throttled": ["throttled"]},
        backend={**REPORT["backend"], "fallback": "no XNNPACK"},
    )
    reports = [parse_report(REPORT, "a"), parse_report(slow, "b")]
    assert differences(reports) == [
        "not the same artifacts: birds-int8.tflite, other.tflite",
        "b ran on a fallback: no XNNPACK",
        "b was held down while it was measured",
    ]
    assert differences(reports[:1]) == []


ENGINE_ALONE = {
    **{name: REPORT[name] for name in ("artifact", "backend", "device", "frames")},
    "kind": "engine",
    "source": "random input",
    "stages": {"infer": {"count": 50, "mean_ns": 8_000_000, "p50_ns": 7_900_000}},
}


def test_a_report_of_an_engine_alone_claims_no_more() -> None:
    report = parse_report(ENGINE_ALONE, "phone")
    assert report.engine_only
    assert report.fps is None
    assert report.stages == {"infer": {"p50_ns": 7_900_000}}
    assert report.infer_mean_ns == 8_000_000
    assert differences([report, parse_report(REPORT, "kitchen")]) == [
        "phone is of the engine alone, on random input"
    ]


@pytest.mark.parametrize(
    "stages",
    [
        {},
        {"infer": {"p50_ns": 1}},
        {"infer": {"mean_ns": 1}, "frame_to_label": {"p50_ns": 1}},
        {"infer": {"mean_ns": "x"}},
        {"infer": 3},
    ],
)
def test_a_report_of_an_engine_alone_has_its_mean_and_nothing_else(stages: Any) -> None:
    with pytest.raises(SpecError):
        parse_report({**ENGINE_ALONE, "stages": stages}, "phone")


@given(st.sampled_from([*ENGINE_ALONE, "infer"]), JSON)
def test_any_value_in_a_report_of_an_engine_alone_is_read_or_refused(name: str, value: Any) -> None:
    changed_one = copy.deepcopy(ENGINE_ALONE)
    if name == "infer":
        changed_one["stages"] = {"infer": value}
    else:
        changed_one[name] = value
    refusal = ""
    try:
        parse_report(changed_one, "k")
    except SpecError as error:
        refusal = str(error)
    assert len(refusal.splitlines()) <= 1

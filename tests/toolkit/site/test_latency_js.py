"""The page's latency figures are those of the runtime, and its report is one that is compared."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mejiro.report.devices import parse_report
from mejiro_runtime.latency import STAGES, LatencyRecorder
from mejiro_runtime.types import Timing

pytestmark = [pytest.mark.browser, pytest.mark.requires_tool("chromium")]

SUMMARY = """
async ({capacity, rows}) => {
  const { LatencyRecorder } = await import("/core/latency.js");
  const recorder = new LatencyRecorder(capacity);
  for (const [timing, sink_ns, age_ns] of rows) recorder.add(timing, sink_ns, age_ns);
  return {summary: recorder.summary(), count: recorder.count};
}
"""
REPORT = """
async ({info, rows, device}) => {
  const { LatencyRecorder } = await import("/core/latency.js");
  const { makeReport } = await import("/core/report.js");
  const recorder = new LatencyRecorder();
  for (const [timing, sink_ns, age_ns] of rows) recorder.add(timing, sink_ns, age_ns);
  return makeReport({
    site: {name: "colours", version: "0123456789abcdef", made_by: "mejiro", target: "android-web"},
    model: {card: {file: "colours-int8.tflite", precision: "int8"}, info},
    recorder, dropped: {busy: 3}, elapsed_ns: 2e9, device,
    telemetry: {battery: 0.5, temperature_celsius: null, peak_memory_bytes: 1.5e8},
    verification: {passed: true}, source: "camera \\n 640x480",
  });
}
"""
NS = st.integers(0, 10**9)


def timing_of(values: tuple[int, ...]) -> dict[str, int]:
    capture, preprocess, infer, postprocess = values
    return {
        "capture_ns": capture,
        "preprocess_ns": preprocess,
        "infer_ns": infer,
        "postprocess_ns": postprocess,
        "frame_to_label_ns": preprocess + infer + postprocess,
    }


@given(
    rows=st.lists(st.tuples(st.tuples(NS, NS, NS, NS), NS, NS), max_size=60),
    capacity=st.integers(1, 40),
)
def test_percentiles_are_the_same(core_page: Any, rows: list[Any], capacity: int) -> None:
    sent = [[timing_of(values), sink, age] for values, sink, age in rows]
    told = core_page.evaluate(SUMMARY, {"capacity": capacity, "rows": sent})
    recorder = LatencyRecorder(capacity)
    for values, sink, age in rows:
        recorder.add(Timing(*values, age_ns=age), sink)
    wanted = {stage: one.to_json() for stage, one in recorder.summary().items()}
    assert told == {"summary": wanted, "count": len(rows)}
    assert not wanted or set(wanted) == set(STAGES)


def test_a_report_is_one_that_can_be_compared(core_page: Any) -> None:
    info = {
        "engine": "litert.js", "version": "2.5.3", "backend": "wasm", "variant": "relaxed-simd",
        "threads": 1, "isolated": False, "load_ns": 5, "first_infer_ns": 6,
        "requested": "wasm, threads auto", "fallback": None,
    }  # fmt: skip
    rows = [[timing_of((1, 2_000_000, 8_000_000, 30_000)), 9, 11] for _ in range(7)]
    device = {"board": "Some\u0000 phone", "browser": "Chromium 156", "cores": 8}
    report = core_page.evaluate(REPORT, {"info": info, "rows": rows, "device": device})
    assert report["kind"] == "browser"
    assert report["frames_per_second"] == 3.5
    assert report["dropped"] == {"busy": 3}
    found = parse_report(report, "phone")
    assert found.board == "Some  phone"
    assert found.engine == "litert.js 2.5.3, wasm relaxed-simd, 1 thread"
    assert found.artifact == "colours-int8.tflite"
    assert found.source == "camera   640x480"
    assert found.stages["frame_to_label"]["p50_ns"] == 10_030_000
    assert (found.frames, found.fps, found.memory_bytes) == (7, 3.5, 150_000_000)

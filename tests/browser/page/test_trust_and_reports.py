"""The page verifies a model before it believes it, and brings home what it measured."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mejiro.report.devices import parse_report
from mejiro_runtime.verify import Difference, Stage
from tests.browser.page.conftest import OpenPage
from tests.browser.page.standing_in import FAILED, hosting, write_page

pytestmark = [pytest.mark.browser, pytest.mark.requires_tool("chromium")]


def test_each_version_is_verified_once(open_page: OpenPage) -> None:
    opened = open_page()
    page = opened.page
    assert page.evaluate("verifications") == 1
    assert page.evaluate("mejiro.verification.passed") is True
    page.reload()
    opened.wait("ready")
    assert page.evaluate("window.verifications ?? 0") == 0
    assert page.evaluate("mejiro.verification.passed") is True
    write_page(opened.host.folder, infer_ms=6)
    page.reload()
    opened.wait("ready")
    assert page.evaluate("verifications") == 1


def test_the_button_verifies_while_the_model_runs(open_page: OpenPage) -> None:
    opened = open_page("?source=golden", state="running")
    opened.page.click("#open-latency")
    opened.page.click("#verify")
    opened.until("verifications === 2")
    assert opened.text("#verdict") == "Passed"
    expected = "2 golden frames; outputs within 0.000000, allowed 0.062500"
    assert opened.text("#verdict-detail") == expected
    opened.wait("running")


@pytest.fixture(scope="module")
def sentence_of(chromium: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Return how the page words a difference."""
    folder = tmp_path_factory.mktemp("words")
    write_page(folder)
    with hosting(folder) as host, chromium.new_context(service_workers="block") as context:
        page = context.new_page()
        page.goto(host.url)

        def sentence(difference: dict[str, Any]) -> str:
            return str(
                page.evaluate(
                    """async (difference) => {
                      const { sentence } = await import("/js/panels/verdict.js");
                      const { Words } = await import("/js/words.js");
                      return sentence(difference, new Words("en"));
                    }""",
                    difference,
                )
            )

        yield sentence


@given(
    stage=st.sampled_from(Stage),
    largest=st.floats(1e-12, 1e12) | st.sampled_from([0.0, 1.0, 1e-4, 99999.95, 999999.5, 1e6]),
)
def test_a_difference_is_worded_as_on_a_device(
    sentence_of: Any, stage: Stage, largest: float
) -> None:
    detail = "rose instead of tulip" if stage is Stage.LABEL else ""
    found = Difference(stage, 1, 3, 5, largest, detail)
    assert sentence_of({**vars(found), "stage": stage.value}) == str(found)


def test_what_failed_runs_only_after_the_user_says_so(open_page: OpenPage) -> None:
    opened = open_page("?source=golden", verification=FAILED)
    page = opened.page
    told = (
        "The model does not give here what it gave when it was evaluated: infer of golden frame 1"
    )
    assert opened.text("#problem").startswith(told)
    assert page.is_disabled("#start-camera")
    assert page.is_disabled("#start-golden")
    page.keyboard.press("p")
    assert page.evaluate("mejiro.results") is None
    page.click("#run-anyway")
    page.click("#start-golden")
    opened.wait("running")
    opened.until("mejiro.report()")
    told = page.evaluate("mejiro.report().verification")
    assert told["passed"] is False
    assert told["accepted_by_user"] is True
    assert "What it says may be wrong" in opened.text("#notices")
    # It is not remembered: the next start asks again.
    page.reload()
    opened.wait("ready")
    assert page.is_visible("#run-anyway")


def test_a_report_is_what_compare_reads(open_page: OpenPage) -> None:
    opened = open_page("?source=golden", state="running")
    opened.until("mejiro.report() && mejiro.report().frames > 20")
    report = opened.page.evaluate("mejiro.report()")
    read = parse_report(report, "phone")
    assert read.engine == "stand-in 1.0, wasm simd, 1 thread"
    assert read.source == "golden frames"
    assert report["verification"]["passed"] is True
    assert report["device"]["browser"].startswith("Chromium ")


def test_a_report_is_downloaded(open_page: OpenPage) -> None:
    opened = open_page("?source=golden", state="running")
    opened.page.click("#open-latency")
    opened.until("!document.querySelector('#share-report').disabled")
    with opened.page.expect_download() as expected:
        opened.page.click("#share-report")
    path: Path = expected.value.path()
    assert json.loads(path.read_text())["kind"] == "browser"
    opened.until("document.querySelector('#report-state').textContent.startsWith('Downloaded')")


def test_a_report_is_shared_where_the_browser_can(open_page: OpenPage) -> None:
    # As Chromium does, which shares text but no JSON.
    script = """
      navigator.canShare = ({ files }) => files[0].type === "text/plain";
      navigator.share = async ({ files }) => { window.shared = await files[0].text(); };
    """
    opened = open_page("?source=golden", state="running", script=script)
    opened.page.click("#open-latency")
    opened.until("!document.querySelector('#share-report').disabled")
    opened.page.click("#share-report")
    opened.until("window.shared")
    assert json.loads(opened.page.evaluate("shared"))["kind"] == "browser"


def test_a_report_is_copied(open_page: OpenPage) -> None:
    context = {"permissions": ["clipboard-read", "clipboard-write", "camera"]}
    opened = open_page("?source=golden", state="running", context=context)
    opened.page.click("#open-latency")
    opened.until("!document.querySelector('#copy-report').disabled")
    opened.page.click("#copy-report")
    opened.until("document.querySelector('#report-state').textContent === 'Copied.'")
    copied = opened.page.evaluate("navigator.clipboard.readText()")
    assert parse_report(json.loads(copied), "phone").artifact == "flowers.tflite"


def test_a_report_goes_to_a_host_that_takes_it(open_page: OpenPage) -> None:
    opened = open_page("?source=golden", state="running")
    opened.page.click("#open-latency")
    opened.page.click("#send-report")
    opened.until("document.querySelector('#report-state').textContent")
    assert opened.text("#report-state") == "The host saved the report as phone.json."
    assert opened.host.reports[0]["artifact"] == "flowers.tflite"
    opened.host.refusal = (429, "too many reports; wait a minute")
    opened.page.click("#send-report")
    opened.until("document.querySelector('#report-state').textContent.includes('too many')")


def test_no_other_host_is_offered_a_report(open_page: OpenPage) -> None:
    opened = open_page("?source=golden", state="running")
    opened.host.takes_reports = False
    opened.page.click("#open-latency")
    opened.until("!document.querySelector('#share-report').disabled")
    assert opened.page.is_hidden("#send-report")


@pytest.mark.parametrize("source", ["camera", "golden"])
def test_a_page_measures_by_itself(open_page: OpenPage, source: str) -> None:
    opened = open_page(f"?report=auto&source={source}&frames=12", state="")
    opened.until("document.querySelector('#notice-auto')?.textContent.startsWith('Done.')")
    (report,) = opened.host.reports
    assert report["frames"] == 12
    assert parse_report(report, "phone").frames == 12
    assert report["verification"]["passed"] is True
    opened.wait("stopped")


@pytest.mark.parametrize(
    ("plan", "query", "sentence"),
    [
        ({"verification": FAILED}, "", "verification failed: infer of golden frame 1: 3 of 5"),
        ({"open_error": "no wasm here"}, "", "The model could not be opened: no wasm here."),
        ({}, "&backend=webgpu", "The model could not be opened: this browser has no WebGPU"),
    ],
)
def test_what_hinders_a_measurement_comes_home_too(
    open_page: OpenPage, plan: dict[str, Any], query: str, sentence: str
) -> None:
    opened = open_page(f"?report=auto&source=golden&frames=12{query}", state="", **plan)
    opened.until("document.querySelector('#notice-auto')?.textContent.includes('phone.json')")
    (report,) = opened.host.reports
    assert report["kind"] == "browser"
    assert report["error"].startswith(sentence)
    assert "\n" not in report["error"]
    opened.page.wait_for_timeout(100)
    assert len(opened.host.reports) == 1

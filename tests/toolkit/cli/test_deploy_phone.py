"""`mejiro deploy … android` opens the page on a phone, and says what came of it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.phone.adbd import Adbd
from tests.phone.browsers import ChromiumOnPhone, posting
from tests.phone.fixtures import adb_server, no_adb, phone, serial_of, start_phone
from tests.site_stand_in import REPORT, changed_report, site_files, write_site

__all__ = ["adb_server", "phone", "start_phone"]
needs_adb = pytest.mark.requires_tool("adb")

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    # Of its own bytes, and so with its own port: other tests run at the same time.
    files = {**site_files(), "own.txt": str(tmp_path).encode()}
    return str(write_site(tmp_path / "site", files))


@needs_adb
def test_a_deploy_prints_the_phones_figures(phone: Adbd, site: str, run: Run) -> None:
    phone.android.on_open = posting(REPORT)
    code, out, err = run("deploy", site, "android", "--frames", "40", "--serial", serial_of(phone))
    assert (code, err) == (0, "")
    assert "Google Pixel 8" in out
    assert re.search(r"Pixel 8 +birds-int8\.tflite +LiteRT\.js 2\.5\.3, wasm, 1 thread +40", out)
    assert "9.70 / 12.00 / 14.00" in out
    assert re.search(r"report: reports/\d{8}-\d{6}-birds-int8-pixel-8\.json", out)
    assert phone.reversed == {}


@needs_adb
def test_a_deploy_of_wrong_answers_fails(phone: Adbd, site: str, run: Run) -> None:
    phone.android.on_open = posting(changed_report(verification={"passed": False}))
    code, _, err = run("deploy", site, "android")
    assert code == 1
    assert "the golden frames came out wrong" in err
    phone.android.on_open = posting({"kind": "browser", "error": "no camera"})
    code, out, err = run("deploy", site, "android", "--json")
    assert code == 1
    assert json.loads(out)["error"] == "no camera"
    phone.android.on_open = None
    code, out, err = run("deploy", site, "android", "--wait", "0.2")
    assert code == 1
    assert "no report came within 0.2 s" in err
    assert len(err.splitlines()) == 1


@needs_adb
def test_a_dry_run_opens_nothing(phone: Adbd, site: str, run: Run) -> None:
    code, out, _ = run("deploy", site, "android", "--dry-run")
    assert code == 0
    assert "adb reverse tcp:" in out
    code, out, _ = run("deploy", site, "android", "--dry-run", "--json")
    assert json.loads(out)["phone"] == "Google Pixel 8"
    assert phone.android.opened == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["android", "--service"], "--service means nothing on a phone"),
        (["android", "--root", "x"], "--root means nothing on a phone"),
        (["android", "--clock", "set"], "--clock means nothing on a phone"),
        (["android", "--source", "camera:0"], "--source is camera or golden"),
        (["local:x", "--serial", "X"], "--serial is for a phone; its URL is 'android'"),
        (["local:x", "--wait", "5"], "--wait is for a phone"),
    ],
)
def test_options_of_the_other_kind_are_refused(
    site: str, run: Run, words: list[str], said: str
) -> None:
    code, _, err = run("deploy", site, *words)
    assert code == 2
    assert said in err
    assert len(err.splitlines()) == 1


def test_without_adb_it_is_said_in_one_line(
    site: str, run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    no_adb(monkeypatch, tmp_path)
    code, _, err = run("deploy", site, "android")
    assert code == 1
    assert err.startswith("mejiro: error: adb is not installed; ")
    assert len(err.splitlines()) == 1


@pytest.fixture
def browser(phone: Adbd, tmp_path: Path) -> Iterator[ChromiumOnPhone]:
    chromium = ChromiumOnPhone(tmp_path)
    phone.android.on_open = chromium
    yield chromium
    chromium.close()


@needs_adb
@pytest.mark.browser
@pytest.mark.requires_tool("chromium")
@pytest.mark.slow
def test_a_page_in_chromium_reports_through_the_reverse_port(
    browser: ChromiumOnPhone, site: str, run: Run
) -> None:
    words = ("--source", "golden", "--frames", "5", "--wait", "60", "--json")
    code, out, err = run("deploy", site, "android", *words)
    assert code == 0, err
    told = json.loads(out)
    assert told["verified"] is True
    kept = json.loads(Path(told["file"]).read_text())
    assert (kept["frames"], kept["source"]) == (5, "golden")
    assert kept["isolated"] is True


@needs_adb
@pytest.mark.browser
@pytest.mark.requires_tool("chromium")
@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "engine"),
    [
        (["--source", "golden", "--threads", "2"], "wasm threaded, 2 threads"),
        (["--source", "camera"], "1 thread"),
    ],
)
def test_the_page_itself_verifies_runs_and_reports(
    browser: ChromiumOnPhone,
    tiny_site: Path,
    run: Run,
    words: list[str],
    engine: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    words = [*words, "--frames", "12", "--wait", "60", "--json"]
    code, out, err = run("deploy", str(tiny_site), "android", *words)
    assert code == 0, out + err
    told = json.loads(out)
    assert told["verified"] is True
    assert told["report"]["frames"] == 12
    assert told["report"]["engine"].startswith("litert.js 2.5.3, wasm")
    assert told["report"]["engine"].endswith(engine)
    kept = json.loads(Path(told["file"]).read_text())
    assert kept["kind"] == "browser"
    assert kept["device"]["isolated"] is True
    assert run("compare", told["file"], told["file"])[0] == 0


@needs_adb
@pytest.mark.browser
@pytest.mark.requires_tool("chromium")
@pytest.mark.slow
def test_a_bundle_is_opened_as_its_page_and_again(
    browser: ChromiumOnPhone, model_fixtures: Path, run: Run, site: str
) -> None:
    words = ("--source", "golden", "--frames", "5", "--wait", "60")
    for _ in range(2):  # the second time out of what the browser kept
        code, out, err = run("deploy", str(model_fixtures / "bundle"), "android", *words)
        assert code == 0, out + err
        assert "litert.js 2.5.3, wasm" in out


@needs_adb
def test_a_page_that_is_kept_takes_more_reports(phone: Adbd, site: str) -> None:
    phone.android.on_open = posting(REPORT)
    command = [sys.executable, "-m", "mejiro", "deploy", site, "android", "--keep"]
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    ) as process:
        assert process.stdout is not None
        lines = iter(process.stdout.readline, "")
        assert any(line.startswith("report: reports/") for line in lines)
        posting(changed_report(source="again"))(phone.android.opened[0])
        assert any("Pixel 8, birds-int8.tflite" in line for line in lines)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=20)
    assert (process.returncode, err) == (0, "ended\n")
    assert phone.reversed == {}


@needs_adb
def test_ctrl_c_ends_the_wait_and_leaves_no_port_behind(phone: Adbd, site: str) -> None:
    command = [sys.executable, "-m", "mejiro", "deploy", site, "android"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        deadline = time.monotonic() + 30
        while not phone.android.opened and time.monotonic() < deadline:
            time.sleep(0.02)
        assert len(phone.reversed) == 1
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=20)
    assert (process.returncode, err.strip()) == (130, b"mejiro: error: interrupted")
    assert phone.reversed == {}

"""A run's options open its sinks, tell where the page is, and close all at the end."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest

from mejiro_runtime.command_line import build_parser
from mejiro_runtime.commands import showing
from mejiro_runtime.errors import EndOfRun
from mejiro_runtime.model import Model
from mejiro_runtime.sensors import Reading, Sampler

SHORT = ("--source", "synthetic:40x30", "--frames", "3")


def test_a_run_without_options_opens_nothing(bundle, say, monkeypatch) -> None:
    monkeypatch.setattr(showing, "OPENERS", dict.fromkeys(showing.OPENERS, pytest.fail))
    code, _, err = say("run", bundle, *SHORT)
    assert (code, err) == (0, "")


def test_a_page_is_served_while_the_run_lasts(bundle, say, cv2) -> None:
    code, out, err = say("run", bundle, *SHORT, "--web", "127.0.0.1:0", "--json")
    assert code == 0
    assert err.startswith("live page: http://127.0.0.1:")
    assert "token" not in err
    assert len([json.loads(line) for line in out.splitlines()]) == 4
    assert "web" not in [thread.name for thread in threading.enumerate()]


def test_other_machines_are_given_a_token(bundle, say, cv2, tmp_path) -> None:
    path = tmp_path / "token"
    path.write_text("0123456789abcdefghij")
    path.chmod(0o600)
    _, _, err = say("run", bundle, *SHORT, "--web", "0.0.0.0:0")
    first = err.strip().partition("?token=")[2]
    assert len(first) >= 22
    _, _, err = say("run", bundle, *SHORT, "--web", "0.0.0.0:0", "--web-token-file", str(path))
    assert err.strip().endswith("?token=0123456789abcdefghij")
    code, _, err = say("run", bundle, *SHORT, "--web-token-file", str(path))
    assert (code, "--web-token-file needs --web" in err) == (2, True)


def test_a_terminal_gets_a_code_for_the_phone(bundle, say, cv2, monkeypatch) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    _, _, err = say("run", bundle, *SHORT, "--web", "0.0.0.0:0")
    assert err.count("\x1b[30;107m") > 15


def test_a_video_and_a_log_are_written(bundle, say, cv2, tmp_path) -> None:
    video, log = tmp_path / "out.avi", tmp_path / "out.jsonl"
    code, _, err = say("run", bundle, *SHORT, "--video", str(video), "--log", str(log))
    assert code == 0
    assert err == f"{video}: 3 frames as MJPG\n"
    assert video.is_file()
    assert len(log.read_text(encoding="utf-8").splitlines()) == 3


def test_a_sink_that_cannot_be_opened_closes_the_others(bundle, say, cv2, tmp_path) -> None:
    code, _, err = say(
        "run", bundle, *SHORT, "--web", "127.0.0.1:0", "--video", str(tmp_path / "a.gif")
    )
    assert code == 2
    assert "a video ends in" in err
    assert "web" not in [thread.name for thread in threading.enumerate()]
    code, _, err = say("run", bundle, "--web", "127.0.0.1:0", "--source", "camera:987")
    assert code == 1
    assert "web" not in [thread.name for thread in threading.enumerate()]


class Closed:
    """Be a window that is closed when it has shown two frames."""

    def __init__(self) -> None:
        self.shown = self.closed = 0

    def show(self, frame: Any, result: Any) -> None:
        self.shown += 1
        if self.shown == 2:
            raise EndOfRun

    def close(self) -> None:
        self.closed += 1


def test_a_closed_window_ends_the_run_and_still_reports(bundle, say, monkeypatch) -> None:
    sink = Closed()
    monkeypatch.setitem(showing.OPENERS, "window", lambda value, options, run: sink)
    code, out, err = say("run", bundle, "--source", "synthetic:40x30", "--window")
    assert (code, err) == (0, "")
    assert "2 frames; " in out
    assert sink.shown == 2
    assert sink.closed >= 1


def test_a_page_learns_what_only_the_run_knows(handmade, simulated_engine, monkeypatch) -> None:
    opened = handmade.open()
    options = build_parser("run").parse_args(["run", str(Path("x"))])
    source = type("Source", (), {"description": "a list", "live": False})()
    backend = handmade.backend()
    model = Model(handmade.card(), backend)
    with showing.open_sinks(options, opened, model, source) as run:
        facts = run.facts()
        assert facts["artifact"] == "colours.tflite"
        assert facts["source"] == "a list"
        assert facts["dropped"] == {}
        assert "telemetry" not in facts  # absent, not zero
        assert "notes" not in facts
        run.sampler = Sampler(lambda: Reading(5, temperature_celsius=51.5, throttled=()))
        assert "telemetry" not in run.facts()  # not read yet
        run.sampler.sample()
        assert run.facts()["telemetry"] == {"temperature_celsius": 51.5, "throttled": []}
        assert run.told()["telemetry"] == run.facts()["telemetry"]
        backend.info = backend.info._replace(fallback="there is no GPU")
        assert run.facts()["notes"] == ["litert was asked for, but there is no GPU."]
        run.explain(True)
        assert (model.keep_features, model.explain_best) == (True, True)
        run.explain(False)
        assert (model.keep_features, model.explain_best) == (False, False)


@pytest.mark.parametrize(("live", "sinks", "watched"), [(True, 0, 1), (False, 1, 1), (False, 0, 0)])
def test_sensors_are_read_where_a_run_goes_on_or_is_looked_at(
    handmade, simulated_engine, live: bool, sinks: int, watched: int
) -> None:
    options = build_parser("run").parse_args(["run", str(Path("x"))])
    source = type("Source", (), {"description": "a list", "live": live})()
    model = Model(handmade.card(), handmade.backend())
    with showing.open_sinks(options, handmade.open(), model, source) as run:
        run.sinks += [Closed()] * sinks
        run.watch()
        run.watch()
        assert (run.sampler is not None) == watched
        names = [thread.name for thread in threading.enumerate()]
        assert names.count("sensors") == watched
    assert "sensors" not in [thread.name for thread in threading.enumerate()]


LOST = ("--source", "synthetic:40x30@200?fail=30+0.01", "--frames", "35")


def test_the_report_counts_the_gaps_of_a_source(bundle, say) -> None:
    code, out, err = say("run", bundle, *LOST, "--json")
    assert code == 0
    summary = json.loads(out.splitlines()[-1])["summary"]
    assert summary["outages"] >= 1
    assert summary["outage_ns"] > 10_000_000
    lost, back = err.splitlines()[:2]
    assert lost.startswith("mejiro-run: synthetic 40x30 at 200 frames a second was lost after 30")
    assert lost.endswith("; trying again")
    assert back.startswith("mejiro-run: the source is back after 0.")
    code, out, _ = say("bench", bundle, *LOST)
    assert code == 0
    assert "source lost" in out
    assert "s in all" in out
    code, out, _ = say("run", bundle, *SHORT)
    assert "source lost" not in out


def test_the_page_is_told_of_an_outage(bundle) -> None:
    from mejiro_runtime.bundle import open_bundle
    from mejiro_runtime.model import open_model
    from mejiro_runtime.selection import choose_card
    from mejiro_runtime.sources import open_source, outages_of

    opened = open_bundle(Path(bundle))
    card = choose_card(opened)
    with open_model(opened.model_path(card), card) as model:
        source = open_source("synthetic:40x30@30?fail=5+1")
        run = showing.Run(opened, model, source)
        assert (run.facts()["outage"], run.facts()["outages"]) == (None, 0)
        outages = outages_of(source)
        assert outages is not None
        outages.begin(0, "cable")
        found = run.facts()
        assert found["outages"] == 1
        assert found["outage"] is not None
        assert found["outage"]["reason"] == "cable"
        assert found["outage"]["seconds"] > 0
        assert "outage" not in showing.Run(opened, model, open_source("synthetic:8x8")).facts()

"""`mejiro serve` tells where the page is, takes reports, and ends when asked to."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import signal
import ssl
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from mejiro.cli import main
from tests.site_stand_in import REPORT, write_site


@pytest.fixture
def site(tmp_path: Path) -> Path:
    return write_site(tmp_path / "site")


def start(site: Path, *words: str, **variables: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "mejiro", "serve", str(site), *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1", **variables},
    )


def read_event(process: subprocess.Popen[str]) -> dict[str, Any]:
    assert process.stdout is not None
    return dict(json.loads(process.stdout.readline()))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_events_are_told_until_ctrl_c(site: Path, tmp_path: Path, number: int) -> None:
    reports = tmp_path / "reports"
    with start(site, "--json", "--reports", str(reports)) as process:
        began = read_event(process)
        assert began["event"] == "serving"
        assert began["fingerprint"] is None
        link = http.client.HTTPConnection(urlsplit(began["url"]).netloc, timeout=10)
        kind = {"Content-Type": "application/json"}
        link.request("POST", "/api/reports", json.dumps(REPORT), kind)
        assert link.getresponse().status == 201
        told = read_event(process)
        assert (told["event"], told["verified"]) == ("report", True)
        assert Path(told["file"]).parent == reports
        process.send_signal(number)
        assert process.stdout is not None
        assert process.stderr is not None
        out, err = process.stdout.read(), process.stderr.read()
        process.wait(timeout=20)
        assert json.loads(out) == {"event": "stopped"}
        assert (process.returncode, err) == (0, "")


def test_beyond_loopback_there_is_a_fingerprint_and_a_code(site: Path, tmp_path: Path) -> None:
    words = ("--host", "0.0.0.0", "--no-reports")
    with start(site, *words, XDG_CONFIG_HOME=str(tmp_path / "config")) as process:
        assert process.stdout is not None
        first, second = process.stdout.readline(), process.stdout.readline()
        url = first.split(": ", 1)[1].strip()
        assert url.startswith("https://")
        assert "/?token=" in url
        shown = second.removeprefix("certificate SHA-256 ").strip()
        port = urlsplit(url).port
        context = ssl.create_default_context(
            cafile=tmp_path / "config" / "mejiro" / "serve" / "certificate.pem"
        )
        link = http.client.HTTPSConnection("127.0.0.1", port, timeout=10, context=context)
        link.connect()
        assert isinstance(link.sock, ssl.SSLSocket)
        binary = link.sock.getpeercert(binary_form=True)
        assert binary is not None
        assert ssl.DER_cert_to_PEM_cert(binary).strip()
        assert hashlib.sha256(binary).digest().hex(":").upper() == shown
        link.request("GET", f"/?token={url.partition('token=')[2]}")
        assert link.getresponse().status == 303
        link.close()
        assert process.stderr is not None
        notes = [process.stderr.readline(), process.stderr.readline()]
        assert "compare the fingerprint" in notes[0]
        assert notes[1] == "Ctrl-C ends it\n"
        process.send_signal(signal.SIGINT)
        # Not by communicate, which passes over what was read ahead with the lines.
        out, err = process.stdout.read(), process.stderr.read()
        process.wait(timeout=20)
        assert "▀" in out
        assert err == ""
        assert process.returncode == 0


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["absent"], 2, "absent does not exist"),
        (["{site}", "--key", "x"], 2, "--certificate and --key belong together"),
        (["{site}", "--host", "nowhere.invalid", "--certificate", "x", "--key", "x"], 1, "in PEM"),
        (["{site}", "--port", "70000"], 2, "70000 is not in the range"),
    ],
)
def test_what_cannot_be_served_is_told_in_one_line(
    site: Path, words: list[str], code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["serve", *(word.format(site=site) for word in words)]) == code
    err = capsys.readouterr().err
    assert said in err
    assert len(err.splitlines()) == 1


def test_the_help_shows_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", "--help"]) == 0
    assert "mejiro serve site --host 0.0.0.0" in capsys.readouterr().out

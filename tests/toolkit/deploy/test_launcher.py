from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mejiro.deploy import Connection, DeployOptions, deploy, status
from mejiro.deploy.payload import agent_zip
from mejiro_agent import log as log_module
from mejiro_agent import trial
from mejiro_agent.frames import KEPT_FRAMES, Frames, Lines
from mejiro_agent.launcher import main, web_token
from mejiro_agent.log import Log
from mejiro_agent.root import Root, read_state, write_state
from mejiro_agent.services import Detached
from mejiro_runtime.sinks.web.access import read_token


def _line(age_ns: int = 9) -> str:
    stages = {"capture_ns": 1, "preprocess_ns": 2, "infer_ns": 3, "postprocess_ns": 4}
    return json.dumps({**stages, "age_ns": age_ns, "frame": 0})


@given(st.lists(st.text(alphabet="ab\u00e9", max_size=6)), st.integers(1, 7))
def test_lines_come_out_however_they_arrive(texts: list[str], size: int) -> None:
    data = "".join(f"{text}\n" for text in texts).encode()
    found: list[str] = []
    lines = Lines(found.append)
    for at in range(0, len(data), size):
        lines.add(data[at : at + size])
    assert found == texts


def test_frames_are_counted_and_timed() -> None:
    frames = Frames()
    for second in range(5):
        frames.take(_line(age_ns=second), now_ns=second * 10**9)
    frames.take('{"summary": {}}')
    frames.take("no JSON")
    told = frames.told()
    assert frames.count == told["frames"] == 5
    assert told["durations"]["age"] == [0, 1, 2, 3, 4]
    assert told["durations"]["frame_to_label"] == [9] * 5
    assert told["durations"]["step"] == [10**9] * 4
    assert frames.rate(now_ns=4 * 10**9) == pytest.approx(1.0)
    assert frames.rate(now_ns=100 * 10**9) == 0.0
    assert Frames().rate() is None


def test_memory_does_not_grow_with_the_frames() -> None:
    frames = Frames()
    for number in range(KEPT_FRAMES + 10):
        frames.take(_line(), now_ns=number)
    assert frames.count == KEPT_FRAMES + 10
    assert len(frames.told()["durations"]["age"]) == KEPT_FRAMES


@given(st.text(max_size=60))
def test_no_line_disturbs_the_count(text: str) -> None:
    frames = Frames()
    frames.take(text)
    assert frames.count == 0


def test_a_log_does_not_fill_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_module, "MAX_LOG_BYTES", 100)
    log = Log(tmp_path / "service.log")
    for number in range(50):
        log.write(f"line {number}")
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) < 300
    assert "line 49" in (tmp_path / "service.log").read_text(encoding="utf-8")


@pytest.mark.parametrize("words", [[], ["launch"], ["start", "x"], ["launch", "x", "--fast"]])
def test_other_words_are_refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 2
    assert "usage:" in capsys.readouterr().err


def test_a_power_cut_on_trial_brings_back_the_old_release(
    url: str, device: Root, write_bundle: Callable[..., Path]
) -> None:
    """Start the launcher anew on what a device finds on its disk after a power cut."""
    quick = DeployOptions(tune=False)
    new = deploy(url, write_bundle("new"), quick).release
    old = deploy(url, write_bundle("old", model=b"old"), quick).release
    run = {"arguments": ["--source", "synthetic:64x48"], "manager": "detached"}
    state = read_state(device)
    write_state(device, {**state, "current": {"release": old, "run": run}})
    trial.begin(device, new, run)
    assert device.current.readlink().name == new
    device.program.write_bytes(agent_zip())
    Detached().install(device, old)
    with Connection(url) as connection:
        end_s = time.monotonic() + 20
        while not (found := status(connection)).frames and time.monotonic() < end_s:
            time.sleep(0.05)
    assert (found.release, found.on_trial, found.running) == (old, False, True)
    assert device.current.readlink().name == old


def test_the_page_keeps_its_token(root: Root) -> None:
    words = ["--source", "camera:0", "--web", "0.0.0.0:8080"]
    told = web_token(root, words)
    assert told == ["--web-token-file", str(root.token)]
    first = root.token.read_text(encoding="ascii")
    assert web_token(root, words) == told
    assert root.token.read_text(encoding="ascii") == first
    assert read_token(root.token) == first.strip()


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["--web"],
        ["--web", "127.0.0.1:8080"],
        ["--web", "[::1]:8080"],
        ["--web", "0.0.0.0:80", "--web-token-file", "mine"],
    ],
)
def test_a_page_without_need_gets_no_token(root: Root, words: list[str]) -> None:
    assert web_token(root, words) == []
    assert not root.token.exists()

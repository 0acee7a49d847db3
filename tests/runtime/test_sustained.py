"""Minutes are told apart by what happened in them, on a clock and a board of the test's own."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mejiro_runtime.errors import UsageError
from mejiro_runtime.pipeline import Step
from mejiro_runtime.sensors import Reading, read_sensors
from mejiro_runtime.sustained import (
    MAX_S,
    MIN_S,
    Sustained,
    Window,
    describe,
    parse_duration,
    window_seconds,
)
from mejiro_runtime.types import Result, Timing

MS, SECOND = 1_000_000, 1_000_000_000


class Board:
    """Be a board below `root`, whose clock falls after `hot_after_s`, and the time beside it."""

    def __init__(self, root: Path, *, hot_after_s: float = 1e9) -> None:
        self.root, self.hot_after_s, self.now_ns = root, hot_after_s, 0
        self.frames = 0
        self.written: bool | None = None
        self.read: Reading | None = None
        self.write()

    @property
    def hot(self) -> bool:
        return self.now_ns >= self.hot_after_s * SECOND

    def write(self) -> None:
        if self.hot == self.written:
            return
        self.written, self.read = self.hot, None
        clock, heat = (1_200_000, 84_000) if self.hot else (1_800_000, 55_000)
        for path, text in (
            ("sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq", clock),
            ("sys/class/thermal/thermal_zone0/type", "cpu-thermal"),
            ("sys/class/thermal/thermal_zone0/temp", heat),
        ):
            file = self.root / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(f"{text}\n", encoding="ascii")

    def steps(self) -> Iterator[Step]:
        """Give a frame a second, that takes longer when the clock has fallen."""
        while True:
            self.now_ns += SECOND
            self.write()
            infer = (16 if self.hot else 10) * MS + self.frames % 3 * MS // 10
            self.frames += 1
            yield Step(Result(self.frames, "", (), Timing(0, MS, infer, MS, infer)), 0)

    def latest(self) -> Reading:
        if self.read is None:
            self.read = read_sensors(self.root)._replace(at_ns=self.now_ns)
        return self.read


def run(board: Any, seconds: float, window_s: float = 60, **options: Any) -> Sustained:
    found = Sustained(
        seconds, latest=board.latest, clock=lambda: board.now_ns, window_s=window_s, **options
    )
    found.run(board.steps())
    return found


def test_a_clock_that_falls_is_told_with_what_it_cost(tmp_path: Path) -> None:
    seen: list[Window] = []
    found = run(Board(tmp_path, hot_after_s=240), 600, on_window=seen.append)
    assert len(found.windows) == 10
    assert seen == found.windows
    assert describe(found.windows) == (
        "after minute 4 the clock fell from 1.8 to 1.2 GHz, the temperature rose from 55 to 84 °C "
        "and p95 rose 1.5 ×, 12.2 to 18.2 ms; nothing here tells throttling"
    )
    first, last = found.windows[0], found.windows[-1]
    assert (first.began_s, first.ended_s, last.ended_s) == (0, 60, 600)
    assert (first.temperature_celsius, first.clock_hz) == (55, 1.8e9)
    assert last.infer_p50_ns == 16 * MS + MS // 10
    assert last.p95_ns == 18 * MS + 2 * MS // 10
    assert found.recorder.count == sum(window.frames for window in found.windows) == 599


def test_nothing_that_changes_is_told_as_well(tmp_path: Path) -> None:
    found = run(Board(tmp_path), 600)
    assert describe(found.windows) == (
        "nothing changed in 10 minutes: p95 was 12.2 ms in the first half, 12.2 after, "
        "the clock 1.8 GHz, 55 to 55 °C; nothing here tells throttling"
    )


def test_short_runs_are_told_in_tenths(tmp_path: Path) -> None:
    found = run(Board(tmp_path, hot_after_s=50), 100, window_seconds(100))
    assert len(found.windows) == 10
    assert describe(found.windows).startswith("after 50 s the clock fell from 1.8 to 1.2 GHz")


def test_ctrl_c_keeps_what_was_gathered(tmp_path: Path) -> None:
    board = Board(tmp_path)

    def steps() -> Iterator[Step]:
        for step in board.steps():
            if board.now_ns > 155 * SECOND:
                raise KeyboardInterrupt
            yield step

    found = Sustained(600, latest=board.latest, clock=lambda: board.now_ns)
    with pytest.raises(KeyboardInterrupt):
        found.run(steps())
    assert [window.ended_s for window in found.windows] == [60, 120, 156]
    assert found.elapsed_ns == 156 * SECOND


def test_a_source_that_gives_nothing_for_minutes_has_windows_without_frames(
    tmp_path: Path,
) -> None:
    board = Board(tmp_path)

    def steps() -> Iterator[Step]:
        for step in board.steps():
            if board.now_ns == 90 * SECOND:
                board.now_ns = 260 * SECOND
            yield step

    found = Sustained(360, latest=board.latest, clock=lambda: board.now_ns)
    found.run(steps())
    assert [window.frames > 0 for window in found.windows] == [True, True, False, False, True, True]
    assert found.windows[2].p95_ns is None
    assert "nothing changed" in describe(found.windows)


def windows(p95_ms: list[float], **same: Any) -> list[Window]:
    return [
        Window(60.0 * i, 60.0 * (i + 1), 100, int(v * MS / 2), int(v * MS), **same)
        for i, v in enumerate(p95_ms)
    ]


def test_one_slow_minute_is_no_change() -> None:
    assert describe(windows([10, 10, 10, 40, 10, 10, 10, 10])).startswith("nothing changed in 8")


def test_too_few_windows_tell_nothing() -> None:
    assert "too short to tell" in describe(windows([10, 20, 30]))
    assert "too short to tell" in describe([])


def test_a_run_that_becomes_faster_is_told() -> None:
    told = describe(windows([20, 20, 20, 10, 10, 10]))
    assert told.startswith("after minute 3 p95 fell 2.0 ×, 20.0 to 10.0 ms")


def test_a_clock_that_falls_without_harm_is_told() -> None:
    seen = [
        window._replace(clock_hz=1.8e9 if i < 5 else 1.2e9)
        for i, window in enumerate(windows([10.0] * 10))
    ]
    told = describe(seen)
    assert told.startswith("after minute 5 the clock fell from 1.8 to 1.2 GHz and p95 stayed at")


def test_what_the_board_reports_is_told_in_its_words() -> None:
    seen = windows([10.0] * 6, throttled=())
    seen[4] = seen[4]._replace(throttled=("under-voltage", "throttled"))
    assert "; the board reported under-voltage, throttled" in describe(seen)
    assert "tells throttling" not in describe(seen)
    assert "nothing here tells temperature or clock" in describe(seen)


@given(st.lists(st.floats(0.1, 1000), max_size=30), st.lists(st.none() | st.floats(1e8, 5e9)))
def test_whatever_happens_is_one_sentence(p95_ms: list[float], clocks: list[float | None]) -> None:
    seen = [
        window._replace(clock_hz=clocks[i] if i < len(clocks) else None)
        for i, window in enumerate(windows(p95_ms))
    ]
    told = describe(seen)
    assert told
    assert "\n" not in told
    assert "nan" not in told


@given(st.floats(10, 20), st.floats(1.3, 5), st.integers(3, 9), st.integers(3, 9))
def test_a_step_is_found_where_it_is(level: float, factor: float, before: int, after: int) -> None:
    told = describe(windows([level] * before + [level * factor] * after))
    assert told.startswith(f"after minute {before} p95 rose {factor:.1f} ×")


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("10m", 600), ("2h", 7200)])
def test_a_duration_is_read(text: str, seconds: int) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "10", "m", "1.5m", "-5m", "9s", "8000h", "10 m", "١٠m"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="a duration is 10s to 7 days"):
        parse_duration(text)


@given(st.integers(MIN_S, MAX_S))
def test_windows_are_minutes_or_tenths(seconds: int) -> None:
    assert window_seconds(seconds) == (60 if seconds >= 300 else seconds / 10)


# The command.


@pytest.fixture
def quick(monkeypatch) -> None:
    """Let ten seconds go by in no time: every look at the clock is a hundredth later."""
    now = iter(range(0, 10**15, 10_000_000))
    real = Sustained.__init__

    def init(self: Sustained, *arguments: Any, **options: Any) -> None:
        real(self, *arguments, clock=lambda: next(now), **options)

    monkeypatch.setattr(Sustained, "__init__", init)


def test_bench_tells_windows_and_a_verdict(
    bundle, say: Callable[..., tuple[int, str, str]], quick: None
) -> None:
    options = ("bench", bundle, "--source", "synthetic:8x8", "--sustained", "10s")
    code, out, _ = say(*options)
    assert code == 0
    assert "     0 to 1 s: " in out
    assert "     9 to 10 s: " in out
    assert "verdict: " in out.splitlines()[-1]
    code, out, _ = say(*options, "--json", "--require", "infer.p50<100s", "--require", "fps>=1e9")
    assert code == 2
    code, out, _ = say(*options, "--json", "--require", "infer.p50<100s", "--require", "fps<1")
    value = json.loads(out)
    assert code == 1
    assert len(value["sustained"]["windows"]) == 10
    assert value["sustained"]["seconds"] == 10
    assert value["sustained"]["windows"][3]["frames"] > 0
    assert [one["verdict"] for one in value["requirements"]] == ["PASS", "FAIL"]


def test_a_time_and_a_number_of_frames_exclude_each_other(bundle, say) -> None:
    code, _, err = say("bench", bundle, "--sustained", "10m", "--frames", "5")
    assert code == 2
    assert "give one of them" in err

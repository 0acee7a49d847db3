"""Measure for minutes rather than frames: what heat and a tired power supply do to a model."""

from __future__ import annotations

import re
import statistics
from array import array
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import takewhile
from time import perf_counter_ns
from typing import Any, NamedTuple

import numpy as np

from mejiro_runtime.errors import UsageError
from mejiro_runtime.latency import LatencyRecorder
from mejiro_runtime.pipeline import Step
from mejiro_runtime.sensors import Reading

MINUTE_S = 60
MINUTES_FROM_S = 300  # shorter runs are told in tenths of their length
WINDOWS_OF_SHORT_RUNS = 10
MIN_S, MAX_S = 10, 7 * 24 * 3600
SLOWER, CLOCK_FELL = 1.15, 0.95
RECORDED_FRAMES = 1 << 18
_UNITS = {"s": 1, "m": 60, "h": 3600}


def parse_duration(text: str) -> int:
    """Read ``90s``, ``10m`` or ``2h`` as seconds; raises UsageError."""
    found = re.fullmatch(r"([0-9]{1,6})([smh])", text, re.ASCII)
    seconds = int(found[1]) * _UNITS[found[2]] if found else 0
    if not MIN_S <= seconds <= MAX_S:
        raise UsageError(f"a duration is 10s to 7 days, as in 90s, 10m or 2h; found '{text}'")
    return seconds


def window_seconds(seconds: int) -> float:
    """Return how long the windows of a run of `seconds` are."""
    return MINUTE_S if seconds >= MINUTES_FROM_S else seconds / WINDOWS_OF_SHORT_RUNS


class Window(NamedTuple):
    """Hold what a part of the run was like, `began_s` to `ended_s` after its start.

    Percentiles are of the time from frame to label, None where there was no frame. The
    temperature is the highest that was read, the clock and the power are medians. What no sensor
    told is None; `throttled` is empty where the board told that nothing held it down.
    """

    began_s: float
    ended_s: float
    frames: int
    p50_ns: int | None = None
    p95_ns: int | None = None
    infer_p50_ns: int | None = None
    infer_p95_ns: int | None = None
    temperature_celsius: float | None = None
    clock_hz: float | None = None
    power_watts: float | None = None
    throttled: tuple[str, ...] | None = None

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        value = self._asdict()
        value["throttled"] = None if self.throttled is None else list(self.throttled)
        return value


class _Gathering:
    """Gather one window."""

    def __init__(self, began_ns: int) -> None:
        self.began_ns = began_ns
        self._label_ns, self._infer_ns = array("q"), array("q")
        self._readings: list[Reading] = []

    def add(self, step: Step) -> None:
        self._label_ns.append(step.result.timing.frame_to_label_ns)
        self._infer_ns.append(step.result.timing.infer_ns)

    def note(self, reading: Reading | None) -> None:
        if reading is not None and reading not in self._readings[-1:]:
            self._readings.append(reading)

    def close(self, start_ns: int, now_ns: int) -> Window:
        label, infer = _percentiles(self._label_ns), _percentiles(self._infer_ns)
        read = self._readings
        said = [one.throttled for one in read if one.throttled is not None]
        return Window(
            round((self.began_ns - start_ns) / 1e9, 3),
            round((now_ns - start_ns) / 1e9, 3),
            len(self._label_ns),
            *label,
            *infer,
            max(_known(one.temperature_celsius for one in read), default=None),
            _median(_known(one.clock_hz for one in read)),
            _median(_known(one.power_watts for one in read)),
            tuple(dict.fromkeys(word for words in said for word in words)) if said else None,
        )


def _known(values: Iterable[float | None]) -> list[float]:
    return [value for value in values if value is not None]


def _median(values: Sequence[float]) -> float | None:
    return float(statistics.median(values)) if values else None


def _percentiles(durations_ns: array[int]) -> tuple[int | None, int | None]:
    if not durations_ns:
        return None, None
    values = np.sort(np.frombuffer(durations_ns, dtype=np.int64))
    p50, p95 = (int(values[max(0, int(np.ceil(share * values.size)) - 1)]) for share in (0.5, 0.95))
    return p50, p95


class Sustained:
    """Gather windows of `window_s` from steps, for `seconds`; ends as they do, or by Ctrl-C.

    `recorder` holds the newest `RECORDED_FRAMES` timings, `steps_ns` what each took of the time.
    """

    def __init__(
        self,
        seconds: float,
        *,
        latest: Callable[[], Reading | None],
        clock: Callable[[], int] = perf_counter_ns,
        on_window: Callable[[Window], None] | None = None,
        window_s: float = MINUTE_S,
    ) -> None:
        self.windows: list[Window] = []
        self.recorder = LatencyRecorder(capacity=RECORDED_FRAMES)
        self.steps_ns: deque[int] = deque(maxlen=RECORDED_FRAMES)
        self.elapsed_ns = 0
        self.first_infer_ns: int | None = None
        self._seconds, self._window_ns = seconds, int(window_s * 1e9)
        self._latest, self._clock, self._on_window = latest, clock, on_window

    def run(self, steps: Iterator[Step]) -> None:
        """Take steps until the time is over; what was gathered counts even if one raises."""
        start_ns = now_ns = self._clock()
        end_ns = start_ns + int(self._seconds * 1e9)
        gathering = _Gathering(start_ns)
        gathering.note(self._latest())
        try:
            for step in takewhile(lambda _: self._clock() < end_ns, steps):
                before_ns, now_ns = now_ns, self._clock()
                self.steps_ns.append(now_ns - before_ns)
                while now_ns >= gathering.began_ns + self._window_ns:
                    gathering = self._next(gathering, start_ns)
                gathering.add(step)
                gathering.note(self._latest())
                self.recorder.add(step.result.timing, step.sink_ns)
                if self.first_infer_ns is None:
                    self.first_infer_ns = step.result.timing.infer_ns
        finally:
            now_ns = max(now_ns, min(self._clock(), end_ns))
            self.elapsed_ns = now_ns - start_ns
            # Half a window is enough to tell of it; the windows before it are whole.
            if 2 * (now_ns - gathering.began_ns) >= self._window_ns or not self.windows:
                self._keep(gathering.close(start_ns, now_ns))

    def _next(self, gathering: _Gathering, start_ns: int) -> _Gathering:
        boundary_ns = gathering.began_ns + self._window_ns
        self._keep(gathering.close(start_ns, boundary_ns))
        return _Gathering(boundary_ns)

    def _keep(self, window: Window) -> None:
        self.windows.append(window)
        if self._on_window is not None:
            self._on_window(window)


def describe(windows: Sequence[Window]) -> str:
    """Return in one sentence whether the run became slower, when, and what went with it."""
    seen = [window for window in windows if window.p95_ns is not None]
    if len(seen) < 4:
        return f"too short to tell whether anything changes: {len(seen)} windows, it takes 4"
    latency = [float(window.p95_ns or 0) for window in seen]
    at = _split(latency)
    ratio = _median_of(latency[at:]) / _median_of(latency[:at])
    changed = (ratio >= SLOWER or ratio <= 1 / SLOWER) and _apart(latency[:at], latency[at:])
    clocks = [window.clock_hz for window in seen]
    if not changed and None not in clocks:
        clock_at = _split(_known(clocks))
        if _fell(clocks[:clock_at], clocks[clock_at:]):
            at = clock_at
            ratio = _median_of(latency[at:]) / _median_of(latency[:at])
    before, after = seen[:at], seen[at:]
    facts = _facts(before, after)
    if changed:
        way = "rose" if ratio > 1 else "fell"
        facts.append(f"p95 {way} {max(ratio, 1 / ratio):.1f} ×, {_ms(before)} to {_ms(after)} ms")
    elif _fell([w.clock_hz for w in before], [w.clock_hz for w in after]):
        facts.append(f"p95 stayed at {_ms(before)} to {_ms(after)} ms")
    else:
        return _unchanged(seen)
    return f"{_when(before)} {_listed(facts)}{_throttled(seen)}{_absent(seen)}"


def _split(values: Sequence[float]) -> int:
    """Return where `values` are best cut in two levels, by least squares of their logarithms.

    Each part has two values or more: one slow window is no change of level.
    """
    logs = np.log(np.maximum(np.asarray(values, dtype=np.float64), 1e-9))
    count, sums = logs.size, np.cumsum(logs)
    places = np.arange(2, count - 1)
    before, after = sums[places - 1] / places, (sums[-1] - sums[places - 1]) / (count - places)
    return int(places[np.argmax(places * (count - places) * (before - after) ** 2)])


def _apart(before: Sequence[float], after: Sequence[float]) -> bool:
    """Whether two levels differ by more than their windows scatter."""
    low, high = sorted((before, after), key=_median_of)
    return float(np.percentile(low, 90)) < float(np.percentile(high, 10))


def _fell(before: Sequence[float | None], after: Sequence[float | None]) -> bool:
    known = _known(before), _known(after)
    return bool(all(known)) and _median_of(known[1]) <= CLOCK_FELL * _median_of(known[0])


def _median_of(values: Sequence[float]) -> float:
    return float(statistics.median(values))


def _ms(windows: Sequence[Window]) -> str:
    return f"{_median_of([w.p95_ns for w in windows if w.p95_ns is not None]) / 1e6:.1f}"


def _facts(before: Sequence[Window], after: Sequence[Window]) -> list[str]:
    """Return what else changed from one part to the other."""
    facts = []
    clocks = _known(w.clock_hz for w in before), _known(w.clock_hz for w in after)
    if all(clocks):
        old, new = _median_of(clocks[0]), _median_of(clocks[1])
        if new <= CLOCK_FELL * old or old <= CLOCK_FELL * new:
            way = "fell" if new < old else "rose"
            facts.append(f"the clock {way} from {old / 1e9:.1f} to {new / 1e9:.1f} GHz")
    heats = (
        _known(w.temperature_celsius for w in before),
        _known(w.temperature_celsius for w in after),
    )
    if all(heats) and heats[1][-1] - heats[0][0] >= 5:
        facts.append(f"the temperature rose from {heats[0][0]:.0f} to {max(heats[1]):.0f} °C")
    return facts


def _when(before: Sequence[Window]) -> str:
    end_s = before[-1].ended_s
    if end_s - before[-1].began_s == MINUTE_S:
        return f"after minute {round(end_s / MINUTE_S)}"
    return f"after {end_s:.0f} s"


def _listed(facts: Sequence[str]) -> str:
    *first, last = facts
    return f"{', '.join(first)} and {last}" if first else last


def _throttled(windows: Sequence[Window]) -> str:
    words = dict.fromkeys(word for window in windows for word in window.throttled or ())
    return f"; the board reported {', '.join(words)}" if words else ""


def _absent(windows: Sequence[Window]) -> str:
    missing = [
        name
        for name, values in (
            ("temperature", [w.temperature_celsius for w in windows]),
            ("clock", [w.clock_hz for w in windows]),
            ("throttling", [w.throttled for w in windows]),
        )
        if all(value is None for value in values)
    ]
    return f"; nothing here tells {' or '.join(missing)}" if missing else ""


def _unchanged(windows: Sequence[Window]) -> str:
    half = len(windows) // 2
    span = windows[-1].ended_s - windows[0].began_s
    told = f"{span / 60:.0f} minutes" if span >= MINUTES_FROM_S else f"{span:.0f} s"
    facts = [f"p95 was {_ms(windows[:half])} ms in the first half, {_ms(windows[half:])} after"]
    if clocks := _known(w.clock_hz for w in windows):
        facts.append(f"the clock {_median_of(clocks) / 1e9:.1f} GHz")
    if heats := _known(w.temperature_celsius for w in windows):
        facts.append(f"{min(heats):.0f} to {max(heats):.0f} °C")
    return f"nothing changed in {told}: {', '.join(facts)}{_throttled(windows)}{_absent(windows)}"

"""Read what a board tells of its own state: temperature, clocks, throttling, power, memory.

Everything lies below a root, so that tests can put a system of their own there. A sensor that is
absent gives None, never 0.
"""

from __future__ import annotations

import os
import re
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from time import perf_counter_ns, process_time_ns
from types import MappingProxyType, TracebackType
from typing import Any, NamedTuple

ROOT = Path("/")
INTERVAL_S = 1.0
HISTORY = 3600
PROGRAM_TIMEOUT_S = 2.0
# Names of the zone that is the chip itself, the best first: Raspberry Pi, Jetson, Rockchip, PCs.
ZONES = (
    "cpu-thermal",
    "cpu_thermal",
    "CPU-therm",
    "cpu-therm",
    "tj-thermal",
    "soc-thermal",
    "soc_thermal",
    "package-thermal",
    "x86_pkg_temp",
    "acpitz",
)
# Bit of `vcgencmd get_throttled` -> its meaning. Source: Raspberry Pi documentation, "vcgencmd".
THROTTLED_NOW = {
    0: "under-voltage",
    1: "clock capped",
    2: "throttled",
    3: "soft temperature limit",
}
SINCE_START = 16
_PROGRAMS = ("usr/bin/vcgencmd", "opt/vc/bin/vcgencmd")
# The rail that feeds a Jetson's module, by board. AGX modules measure none that feeds all: their
# VIN_SYS_5V0 is that of the inputs and outputs, beside those of CPU and GPU.
_INPUT_RAILS = ("VDD_IN", "POM_5V_IN")
_PMIC = re.compile(r"^\s*(\w+)_([AV])(?:\s+\w+\(\d+\))?=([0-9.]+)[AV]\s*$", re.MULTILINE)


class Reading(NamedTuple):
    """Hold the state of the machine and of this process at `at_ns`, on `perf_counter_ns`.

    `cpu_share` is the CPU time this process took since the reading before, by the time that went
    by: 1.0 is one CPU. Clocks are those of the fastest CPU. `throttled` is what holds the clock
    down now, `was_throttled` what did since the board started; both are empty where nothing did,
    and None where nothing tells. `rails` are watts by name; `power_watts` is the board's input, or
    the sum of the rails where only they are measured.
    """

    at_ns: int
    cpu_share: float | None = None
    memory_bytes: int | None = None
    temperature_celsius: float | None = None
    zone: str | None = None
    clock_hz: int | None = None
    max_clock_hz: int | None = None
    throttled: tuple[str, ...] | None = None
    was_throttled: tuple[str, ...] | None = None
    power_watts: float | None = None
    rails: Mapping[str, float] = MappingProxyType({})

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values; what is absent is left out."""
        value = {name: getattr(self, name) for name in self._fields if name != "at_ns"}
        value |= {"rails": dict(self.rails) or None}
        if self.cpu_share is not None:
            value["cpu_percent"] = round(100 * self.cpu_share, 1)
        del value["cpu_share"]
        return {
            name: list(one) if isinstance(one, tuple) else one
            for name, one in value.items()
            if one is not None
        }


def read_sensors(root: Path = ROOT) -> Reading:
    """Return what the system below `root` tells; `cpu_share` needs two readings: see `Sampler`."""
    zone, celsius = _temperature(root)
    now, since_start = _throttled(root)
    rails = _ina_rails(root) or _pmic_rails(root)
    return Reading(
        at_ns=perf_counter_ns(),
        memory_bytes=_memory_bytes(root),
        temperature_celsius=celsius,
        zone=zone,
        clock_hz=_clock_hz(root, "scaling_cur_freq"),
        max_clock_hz=_clock_hz(root, "cpuinfo_max_freq"),
        throttled=now,
        was_throttled=since_start,
        power_watts=_power_watts(rails),
        rails=rails,
    )


def _text(path: Path) -> str | None:
    try:
        # A zone that is switched off, or a sensor on a bus that does not answer, fails to read.
        return path.read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return None


def _number(path: Path) -> int | None:
    text = _text(path)
    try:
        return None if text is None else int(text)
    except ValueError:
        return None


def _numbered(folder: Path, prefix: str) -> Iterator[Path]:
    """Give the entries of `folder` called `prefix` and a number, by number."""
    try:
        names = [name for name in os.listdir(folder) if name[len(prefix) :].isdecimal()]  # noqa: PTH208
    except OSError:
        return
    for name in sorted(names, key=lambda name: int(name[len(prefix) :])):
        if name.startswith(prefix):
            yield folder / name


def _memory_bytes(root: Path) -> int | None:
    fields = (_text(root / "proc/self/statm") or "").split()
    try:
        return int(fields[1]) * os.sysconf("SC_PAGE_SIZE")
    except (IndexError, ValueError, OSError):
        return None


def _temperature(root: Path) -> tuple[str | None, float | None]:
    """Return the name and degrees Celsius of the chip's zone, else of the first that answers."""
    found: dict[str, float] = {}
    for zone in _numbered(root / "sys/class/thermal", "thermal_zone"):
        millidegrees = _number(zone / "temp")
        if millidegrees is not None:
            found.setdefault(_text(zone / "type") or zone.name, millidegrees / 1000)
    for name in (*ZONES, *found):
        if name in found:
            return name, found[name]
    return None, None


def _clock_hz(root: Path, file: str) -> int | None:
    kilohertz = [
        value
        for cpu in _numbered(root / "sys/devices/system/cpu", "cpu")
        if (value := _number(cpu / "cpufreq" / file)) is not None
    ]
    return max(kilohertz) * 1000 if kilohertz else None


def _ask(root: Path, *words: str) -> str | None:
    """Return what the firmware's program answers, or None where there is no such program."""
    for name in _PROGRAMS:
        program = root / name
        if not program.is_file():
            continue
        import subprocess  # costs a start milliseconds that only a Raspberry Pi need pay

        try:
            done = subprocess.run(
                [str(program), *words],
                capture_output=True,
                text=True,
                errors="replace",
                timeout=PROGRAM_TIMEOUT_S,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired):
            return None
        return done.stdout if done.returncode == 0 else None
    return None


def decode_throttled(bits: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return what `vcgencmd get_throttled` says of now, and of all the time since the start."""
    now = tuple(text for bit, text in THROTTLED_NOW.items() if bits >> bit & 1)
    since = tuple(text for bit, text in THROTTLED_NOW.items() if bits >> (bit + SINCE_START) & 1)
    return now, since


def _throttled(root: Path) -> tuple[tuple[str, ...] | None, tuple[str, ...] | None]:
    found = re.search(r"throttled=0x([0-9a-fA-F]{1,8})\b", _ask(root, "get_throttled") or "")
    return decode_throttled(int(found[1], 16)) if found else (None, None)


def _ina_rails(root: Path) -> dict[str, float]:
    """Return the watts of each rail of the INA3221 monitors (Linux's Documentation/hwmon)."""
    rails = {}
    for monitor in _numbered(root / "sys/class/hwmon", "hwmon"):
        if _text(monitor / "name") != "ina3221":
            continue
        for channel in (1, 2, 3):
            millivolts = _number(monitor / f"in{channel}_input")
            milliamperes = _number(monitor / f"curr{channel}_input")
            if millivolts is not None and milliamperes is not None:
                label = _text(monitor / f"in{channel}_label") or f"{monitor.name}.{channel}"
                rails[label] = round(millivolts * milliamperes / 1e6, 3)
    return rails


def _pmic_rails(root: Path) -> dict[str, float]:
    """Return the watts of each rail of a Raspberry Pi 5's power chip that has both its values."""
    values = {
        (name, unit): float(number)
        for name, unit, number in _PMIC.findall(_ask(root, "pmic_read_adc") or "")
        if number.count(".") <= 1 and number != "."
    }
    return {
        name: round(amperes * values[name, "V"], 4)
        for (name, unit), amperes in values.items()
        if unit == "A" and (name, "V") in values
    }


def _power_watts(rails: Mapping[str, float]) -> float | None:
    for name in _INPUT_RAILS:
        if name in rails:
            return rails[name]
    return round(sum(rails.values()), 3) if rails else None


class Sampler:
    """Read the sensors once a second in a thread of its own, while in a `with` block.

    `latest` is the newest reading, None before the first; `history` holds the newest `HISTORY`.
    """

    def __init__(
        self,
        read: Callable[[], Reading] = read_sensors,
        *,
        interval_s: float = INTERVAL_S,
        history: int = HISTORY,
    ) -> None:
        self.history: deque[Reading] = deque(maxlen=history)
        self._read, self._interval_s = read, interval_s
        self._cpu_before: tuple[int, int] | None = None
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def latest(self) -> Reading | None:
        """The newest reading."""
        return self.history[-1] if self.history else None

    def sample(self) -> Reading:
        """Read the sensors now, and keep what they say."""
        reading = self._read()
        now, cpu_ns = reading.at_ns, process_time_ns()
        if self._cpu_before is not None and now > self._cpu_before[0]:
            share = (cpu_ns - self._cpu_before[1]) / (now - self._cpu_before[0])
            reading = reading._replace(cpu_share=max(0.0, share))
        self._cpu_before = now, cpu_ns
        self.history.append(reading)
        return reading

    def _run(self) -> None:
        while True:
            self.sample()
            if self._stop.wait(self._interval_s):
                return

    def __enter__(self) -> Sampler:
        self._thread = threading.Thread(target=self._run, name="sensors", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join(timeout=PROGRAM_TIMEOUT_S)

"""What a board has is read, in words and units; what it has not is absent, never 0."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mejiro_runtime import sensors
from mejiro_runtime.sensors import THROTTLED_NOW, Reading, Sampler, decode_throttled, read_sensors

Put = Callable[[str, str], None]
WAIT_S = 30

PMIC = """\
 3V7_WL_SW_A current(0)=0.10000000A
    VDD_CORE_A current(7)=2.00000000A
 3V7_WL_SW_V volt(8)=3.70000000V
    VDD_CORE_V volt(15)=0.75000000V
      EXT5V_V volt(24)=5.10000000V
       BATT_V volt(25)=0.00000000V
"""


@pytest.fixture
def put(tmp_path: Path) -> Put:
    """Return what writes a file of the system below `tmp_path`."""

    def write(path: str, text: str) -> None:
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")

    return write


@pytest.fixture
def firmware(tmp_path: Path, put: Put) -> Callable[..., None]:
    """Return what puts a `vcgencmd` there that answers so."""

    def write(*, throttled: str = "", pmic: str = "", code: int = 0) -> None:
        put("answers/get_throttled", throttled)
        put("answers/pmic_read_adc", pmic)
        put("usr/bin/vcgencmd", f'#!/bin/sh\ncat "{tmp_path}/answers/$1"\nexit {code}\n')
        (tmp_path / "usr/bin/vcgencmd").chmod(0o755)

    return write


def test_an_empty_system_tells_nothing(tmp_path: Path) -> None:
    reading = read_sensors(tmp_path)
    assert reading == Reading(reading.at_ns, rails={})
    assert reading.to_json() == {}


def test_the_chip_is_told_from_other_zones(put: Put, tmp_path: Path) -> None:
    for number, (kind, temperature) in enumerate(
        [("PMIC-Die", "100000"), ("AO-therm", "41000"), ("CPU-therm", "52500"), ("GPU", "39000")]
    ):
        put(f"sys/class/thermal/thermal_zone{number}/type", f"{kind}\n")
        put(f"sys/class/thermal/thermal_zone{number}/temp", f"{temperature}\n")
    reading = read_sensors(tmp_path)
    assert (reading.zone, reading.temperature_celsius) == ("CPU-therm", 52.5)


def test_a_zone_of_another_name_is_better_than_none(put: Put, tmp_path: Path) -> None:
    put("sys/class/thermal/thermal_zone10/type", "tenth")
    put("sys/class/thermal/thermal_zone10/temp", "10000")
    put("sys/class/thermal/thermal_zone2/type", "second")
    put("sys/class/thermal/thermal_zone2/temp", "-2000")
    put("sys/class/thermal/thermal_zone1/type", "broken")
    put("sys/class/thermal/thermal_zone1/temp", "no number")
    put("sys/class/thermal/cooling_device0/type", "fan")
    reading = read_sensors(tmp_path)
    assert (reading.zone, reading.temperature_celsius) == ("second", -2.0)


def test_a_zone_that_is_switched_off_is_passed_over(put: Put, tmp_path: Path) -> None:
    (tmp_path / "sys/class/thermal/thermal_zone0/temp").mkdir(parents=True)  # fails to be read
    put("sys/class/thermal/thermal_zone1/temp", "30000")
    reading = read_sensors(tmp_path)
    assert (reading.zone, reading.temperature_celsius) == ("thermal_zone1", 30.0)


def test_the_fastest_cpu_gives_the_clock(put: Put, tmp_path: Path) -> None:
    for cpu, now, most in [(0, 600_000, 1_800_000), (4, 1_200_000, 2_400_000)]:
        put(f"sys/devices/system/cpu/cpu{cpu}/cpufreq/scaling_cur_freq", f"{now}\n")
        put(f"sys/devices/system/cpu/cpu{cpu}/cpufreq/cpuinfo_max_freq", f"{most}\n")
    put("sys/devices/system/cpu/cpuidle/current_driver", "none")
    reading = read_sensors(tmp_path)
    assert (reading.clock_hz, reading.max_clock_hz) == (1_200_000_000, 2_400_000_000)


def test_memory_is_what_is_resident(put: Put, tmp_path: Path) -> None:
    put("proc/self/statm", "5000 1234 300 1 0 400 0\n")
    assert read_sensors(tmp_path).memory_bytes == 1234 * os.sysconf("SC_PAGE_SIZE")


def test_throttling_is_told_in_words(firmware, tmp_path: Path) -> None:
    firmware(throttled="throttled=0x50005\n")
    reading = read_sensors(tmp_path)
    assert reading.throttled == ("under-voltage", "throttled")
    assert reading.was_throttled == ("under-voltage", "throttled")
    firmware(throttled="throttled=0x80000\n")
    reading = read_sensors(tmp_path)
    assert reading.throttled == ()
    assert reading.was_throttled == ("soft temperature limit",)


@pytest.mark.parametrize("answer", ["", "throttled=maybe", "error=1 error_msg=unknown command"])
def test_firmware_that_does_not_say_is_not_read_as_well(firmware, tmp_path: Path, answer) -> None:
    firmware(throttled=answer)
    assert read_sensors(tmp_path).throttled is None


def test_firmware_that_fails_is_not_believed(firmware, tmp_path: Path) -> None:
    firmware(throttled="throttled=0x0", pmic=PMIC, code=255)
    reading = read_sensors(tmp_path)
    assert reading.throttled is None
    assert reading.power_watts is None


def test_firmware_that_hangs_is_left(put: Put, tmp_path: Path, monkeypatch) -> None:
    put("usr/bin/vcgencmd", "#!/bin/sh\nexec sleep 60\n")
    (tmp_path / "usr/bin/vcgencmd").chmod(0o755)
    monkeypatch.setattr(sensors, "PROGRAM_TIMEOUT_S", 0.05)
    assert read_sensors(tmp_path).throttled is None


@given(st.integers(min_value=0, max_value=0xFFFFF))
def test_every_bit_is_decoded(bits: int) -> None:
    now, since = decode_throttled(bits)
    again = sum(1 << bit for bit, text in THROTTLED_NOW.items() if text in now)
    again |= sum(1 << (bit + 16) for bit, text in THROTTLED_NOW.items() if text in since)
    assert again == bits & 0xF000F


def test_a_jetson_tells_its_power_by_rail(put: Put, tmp_path: Path) -> None:
    put("sys/class/hwmon/hwmon0/name", "cpu_thermal")
    put("sys/class/hwmon/hwmon3/name", "ina3221\n")
    for channel, label, volt, ampere in [(1, "VDD_IN", 5000, 1400), (2, "VDD_SOC", 5000, 200)]:
        put(f"sys/class/hwmon/hwmon3/in{channel}_label", label)
        put(f"sys/class/hwmon/hwmon3/in{channel}_input", str(volt))
        put(f"sys/class/hwmon/hwmon3/curr{channel}_input", str(ampere))
    put("sys/class/hwmon/hwmon3/in3_label", "NC")
    put("sys/class/hwmon/hwmon3/in3_input", "0")
    reading = read_sensors(tmp_path)
    assert reading.rails == {"VDD_IN": 7.0, "VDD_SOC": 1.0}
    assert reading.power_watts == 7.0  # the input, which feeds the other


def test_the_rails_of_an_agx_module_add_up(put: Put, tmp_path: Path) -> None:
    rails = {"VDD_GPU_SOC": 1000, "VDD_CPU_CV": 500, "VIN_SYS_5V0": 800}
    put("sys/class/hwmon/hwmon1/name", "ina3221")
    for channel, (label, ampere) in enumerate(rails.items(), start=1):
        put(f"sys/class/hwmon/hwmon1/in{channel}_label", label)
        put(f"sys/class/hwmon/hwmon1/in{channel}_input", "5000")
        put(f"sys/class/hwmon/hwmon1/curr{channel}_input", str(ampere))
    assert read_sensors(tmp_path).power_watts == pytest.approx(11.5)


def test_a_pi_5_tells_the_sum_of_its_rails(firmware, tmp_path: Path) -> None:
    firmware(throttled="throttled=0x0", pmic=PMIC)
    reading = read_sensors(tmp_path)
    assert reading.rails == {"3V7_WL_SW": 0.37, "VDD_CORE": 1.5}
    assert reading.power_watts == pytest.approx(1.87)
    assert reading.throttled == ()


@given(st.text(max_size=200))
def test_whatever_the_power_chip_says_gives_numbers_or_nothing(text: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sensors, "_ask", lambda *_: text)
        assert all(watts >= 0 for watts in sensors._pmic_rails(Path()).values())


def test_json_leaves_out_what_is_absent() -> None:
    reading = Reading(5, cpu_share=1.234, temperature_celsius=48.3, throttled=())
    assert json.loads(json.dumps(reading.to_json())) == {
        "cpu_percent": 123.4,
        "temperature_celsius": 48.3,
        "throttled": [],
    }


def test_this_machine_is_read() -> None:
    reading = read_sensors()
    assert reading.memory_bytes is None or reading.memory_bytes > 1 << 20
    assert json.loads(json.dumps(reading.to_json())) == reading.to_json()


# The sampler.


def test_a_sampler_keeps_a_bounded_history() -> None:
    times = iter(range(0, 100, 10))
    sampler = Sampler(lambda: Reading(next(times)), history=3)
    assert sampler.latest is None
    for _ in range(5):
        sampler.sample()
    assert [reading.at_ns for reading in sampler.history] == [20, 30, 40]
    assert sampler.latest is not None
    assert sampler.latest.at_ns == 40


def test_the_share_of_a_cpu_is_between_two_readings(monkeypatch) -> None:
    taken = iter([0, 500, 2000])
    monkeypatch.setattr(sensors, "process_time_ns", lambda: next(taken))
    times = iter([1000, 2000, 2000 + 750])
    sampler = Sampler(lambda: Reading(next(times)))
    assert [sampler.sample().cpu_share for _ in range(3)] == [None, 0.5, 2.0]


def test_a_sampler_reads_off_the_thread_that_uses_it() -> None:
    threads: list[threading.Thread] = []
    thrice = threading.Event()

    def read() -> Reading:
        threads.append(threading.current_thread())
        if len(threads) == 3:
            thrice.set()
        return Reading(len(threads))

    with Sampler(read, interval_s=0.001) as sampler:
        assert thrice.wait(WAIT_S)
    assert threading.current_thread() not in threads
    assert not threads[0].is_alive()
    assert sampler.latest is not None

"""Run the runtime's benchmark on a device, and bring the report home."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mejiro.deploy.connection import Connection
from mejiro_runtime.files import write_json
from mejiro_runtime.sustained import parse_duration

BENCH_MARGIN_S = 900.0
REPORT_KEYS = ("device", "probe", "release", "report")


@dataclass(frozen=True)
class BenchOptions:
    """Hold what is measured: as ``mejiro-run bench`` takes it."""

    source: str | None = None
    frames: int | None = None
    sustained: str | None = None
    artifact: str | None = None
    backend: str | None = None
    threads: int | None = None
    require: Sequence[str] = ()

    def words(self) -> list[str]:
        """Return the words after ``mejiro-run bench BUNDLE``."""
        words = []
        for name in ("source", "frames", "sustained", "artifact", "backend", "threads"):
            value = getattr(self, name)
            if value is not None:
                words += [f"--{name}", str(value)]
        return [*words, *(word for text in self.require for word in ("--require", text))]

    @property
    def timeout_s(self) -> float:
        """How long the measurement may take."""
        return BENCH_MARGIN_S + (parse_duration(self.sustained) if self.sustained else 0)


@dataclass(frozen=True)
class DeviceReport:
    """Hold a benchmark of a device, and the device as it was found; `passed` is what it required.

    On disk: JSON with the keys device, probe, release and report; `report` is what ``mejiro-run
    bench --json`` wrote there.
    """

    device: str
    probe: dict[str, Any]
    release: str
    report: dict[str, Any]
    passed: bool = True

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {key: getattr(self, key) for key in REPORT_KEYS}

    def write(self, path: Path) -> None:
        """Write the report for `mejiro compare`."""
        write_json(path, self.to_json())


def bench(
    connection: Connection, options: BenchOptions | None = None, *, release: str | None = None
) -> DeviceReport:
    """Run the runtime's benchmark on the device, of its current release unless told otherwise."""
    options = options or BenchOptions()
    probe = connection.call("probe")
    probe.pop("state")
    found = connection.call(
        "bench", release=release, words=options.words(), timeout_s=options.timeout_s
    )
    return DeviceReport(
        device=str(connection.url),
        probe=probe,
        release=found["release"],
        report=found["report"],
        passed=found["code"] == 0,
    )

"""Look after a device that a bundle was deployed to: status, logs, benchmarks, going back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mejiro.deploy.connection import Connection
from mejiro.deploy.gate import watch_service
from mejiro.deploy.steps import roll_back_trial
from mejiro.errors import DeployError, RolledBack
from mejiro_runtime.files import write_json
from mejiro_runtime.sustained import parse_duration

BENCH_MARGIN_S = 900.0
GATE_TIMEOUT_S = 120.0
REPORT_KEYS = ("device", "probe", "release", "report")


@dataclass(frozen=True)
class Status:
    """Hold what runs on a device, and how it fares; what is unknown is None."""

    device: str
    release: str | None
    bundle: str | None
    run: dict[str, Any] | None
    on_trial: bool
    running: bool
    since: float | None
    frames: int | None
    frames_per_second: float | None
    last_error: str | None
    temperature_celsius: float | None
    free_bytes: int
    releases: dict[str, str | None]

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return dict(vars(self))


def status(connection: Connection) -> Status:
    """Ask what is deployed, whether it runs and since when, and what the sensors say."""
    found = connection.call("status")
    state, service = found["state"], found["service"] or {}
    setting = state["trial"]["new"] if state["trial"] else state["current"]
    running = bool(service.get("child"))
    return Status(
        device=str(connection.url),
        release=setting["release"],
        bundle=found["bundles"].get(setting["release"]),
        run=setting["run"],
        on_trial=state["trial"] is not None,
        running=running,
        since=service.get("since") if running else None,
        frames=service.get("frames"),
        frames_per_second=service.get("frames_per_second"),
        last_error=service.get("last_error") or None,
        temperature_celsius=found["temperature_celsius"],
        free_bytes=found["free_bytes"],
        releases=found["bundles"],
    )


def read_log(
    connection: Connection,
    on_line: Callable[[str], None],
    *,
    lines: int = 50,
    follow: bool = False,
) -> None:
    """Give the last lines of the service's log to `on_line`; with `follow`, until interrupted."""
    connection.call("log", lines=lines, follow=follow, on_line=on_line)


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


def rollback(
    connection: Connection,
    *,
    on_text: Callable[[str], None] | None = None,
    gate_timeout_s: float = GATE_TIMEOUT_S,
) -> str:
    """Let the release before the current one run, on trial as any other; return its name.

    The service goes on as it was started. DeployError if there is none; RolledBack if it is not
    well: then the current one runs again.
    """
    state = connection.call("lock")["state"]
    current = state["current"]
    earlier = [name for name in state["history"] if name != current["release"]]
    if not earlier:
        raise DeployError(f"{connection.url.name} has no release before the current one")
    try:
        switched = connection.call("switch", release=earlier[-1], run=current["run"])
        if current["run"] is not None:
            watch_service(
                connection,
                switched["generation"],
                [],
                timeout_s=gate_timeout_s,
                on_text=on_text or (lambda text: None),
            )
    except DeployError as error:
        raise RolledBack(f"{error}; {roll_back_trial(connection)}") from error
    connection.call("confirm")
    return str(earlier[-1])


def uninstall(connection: Connection) -> dict[str, Any]:
    """Stop the service, and remove all that was deployed; return what that freed."""
    connection.call("lock")
    found: dict[str, Any] = connection.call("uninstall")
    return found

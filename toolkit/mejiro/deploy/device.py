"""Look after a device that a bundle was deployed to: status, logs, going back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from mejiro.deploy.connection import Connection
from mejiro.deploy.gate import watch_service
from mejiro.deploy.steps import roll_back_trial
from mejiro.errors import DeployError, RolledBack

GATE_TIMEOUT_S = 120.0


@dataclass(frozen=True)
class Status:
    """Hold what runs on a device, and how it fares; what is unknown is None."""

    device: str
    release: str | None
    bundle: str | None
    run: dict[str, Any] | None
    on_trial: bool
    running: bool
    running_s: float | None
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
        # By the device's own clock, which may be another than ours.
        running_s=found["clock"] - service["since"] if running else None,
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

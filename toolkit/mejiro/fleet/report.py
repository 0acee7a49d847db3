"""Say what became of each device of a roll-out."""

from __future__ import annotations

from enum import Enum
from typing import Any, NamedTuple


class Status(str, Enum):
    """Name the state of one device in a roll-out."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    TIMED_OUT = "timed out"
    SKIPPED = "not tried"  # a roll-out that was stopped did not reach it


ENDED = frozenset({Status.DONE, Status.FAILED, Status.TIMED_OUT, Status.SKIPPED})
BAD = frozenset({Status.FAILED, Status.TIMED_OUT})


class HostResult(NamedTuple):
    """Hold the state of one device: its last step, how long it took, and why it failed.

    `result` is what the action returned, as JSON where it can say itself so.
    """

    name: str
    url: str
    status: Status = Status.WAITING
    step: str = ""
    reason: str = ""
    duration_ns: int = 0
    canary: bool = False
    result: Any = None

    @property
    def text(self) -> str:
        """What there is to say: why it failed, else where it is."""
        return self.reason or self.step

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "name": self.name,
            "url": self.url,
            "status": self.status.value,
            "canary": self.canary,
            "last_step": self.step,
            "reason": self.reason,
            "seconds": round(self.duration_ns / 1e9, 1),
            "result": self.result,
        }


class FleetReport(NamedTuple):
    """Hold what became of all devices, in the order of the inventory; `stopped` says why early."""

    hosts: tuple[HostResult, ...]
    stopped: str = ""

    def with_status(self, *statuses: Status) -> tuple[HostResult, ...]:
        """Return the devices in one of `statuses`."""
        return tuple(host for host in self.hosts if host.status in statuses)

    @property
    def failed(self) -> tuple[HostResult, ...]:
        """The devices that failed or gave no answer."""
        return self.with_status(*BAD)

    @property
    def passed(self) -> bool:
        """Whether every device is done."""
        return all(host.status is Status.DONE for host in self.hosts)

    @property
    def summary(self) -> str:
        """One line: how many are done, which failed and why, and how many were not tried."""
        done = len(self.with_status(Status.DONE))
        parts = [f"{done} of {len(self.hosts)} devices done"]
        if self.failed:
            named = "; ".join(f"{host.name} ({host.reason})" for host in self.failed)
            parts.append(f"{len(self.failed)} failed: {named}")
        if skipped := self.with_status(Status.SKIPPED):
            named = ", ".join(host.name for host in skipped)
            parts.append(f"{len(skipped)} not tried, since {self.stopped}: {named}")
        return "; ".join(parts)

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "passed": self.passed,
            "stopped": self.stopped,
            "counts": {
                status.value: len(self.with_status(status)) for status in Status if status in ENDED
            },
            "hosts": [host.to_json() for host in self.hosts],
        }

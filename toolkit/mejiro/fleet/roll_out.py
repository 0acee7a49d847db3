"""Run one action on many devices at once, the canaries first."""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable, Sequence
from time import perf_counter_ns
from typing import Any, NamedTuple

from mejiro.errors import MejiroError, UsageError
from mejiro.fleet.inventory import Host
from mejiro.fleet.report import BAD, FleetReport, HostResult, Status

MAX_PARALLEL = 64
DEFAULT_PARALLEL = 8

# From a device and a function that takes the name of each step as it begins, to a result.
Action = Callable[[Host, Callable[[str], None]], Any]


class _Event(NamedTuple):
    """Hold what a device's thread tells the roll-out; only the latter changes any state."""

    name: str
    step: str = ""
    result: Any = None
    reason: str = ""
    ended: bool = False


def roll_out(
    hosts: Sequence[Host],
    action: Action,
    *,
    canary: int = 0,
    max_failures: int | None = None,
    parallel: int = DEFAULT_PARALLEL,
    on_change: Callable[[HostResult], None] = lambda result: None,
) -> FleetReport:
    """Run `action` on each of `hosts`, at most `parallel` at once, and return what became of them.

    The first `canary` devices go first; unless all of them succeed, no other is begun. No more
    are begun either once more than `max_failures` failed; None tries all. Those that run then end
    as they will, and nothing that succeeded is undone. A device that has not ended after its own
    time is given up, and its place is free for another; what it says later is ignored.
    `on_change` is called in this thread with each new state.
    """
    if not 0 <= canary <= len(hosts):
        raise UsageError(f"canaries must number 0 to {len(hosts)}, the devices, found {canary}")
    if not 1 <= parallel <= MAX_PARALLEL:
        raise UsageError(f"devices at once must number 1 to {MAX_PARALLEL}, found {parallel}")
    if max_failures is not None and max_failures < 0:
        raise UsageError(f"the failures allowed must be 0 or more, found {max_failures}")
    if len({host.name for host in hosts}) != len(hosts):
        raise UsageError("two devices have the same name")
    run = _RollOut(hosts, action, canary, parallel, on_change)
    run.go(hosts[:canary], lambda: "")
    failed = sum(state.status in BAD for state in run.states.values())
    stopped = ""
    if failed and canary < len(hosts):
        stopped = f"{failed} of {canary} canaries failed"

    def too_many() -> str:
        bad = sum(state.status in BAD for state in run.states.values())
        return f"{bad} failed" if max_failures is not None and bad > max_failures else ""

    if not failed:
        stopped = run.go(hosts[canary:], too_many)
    return run.finish(stopped)


class _RollOut:
    """Keep the state of every device and the threads of those that run."""

    def __init__(
        self,
        hosts: Sequence[Host],
        action: Action,
        canary: int,
        parallel: int,
        on_change: Callable[[HostResult], None],
    ) -> None:
        self._action, self._parallel, self._on_change = action, parallel, on_change
        self._events: queue.SimpleQueue[_Event] = queue.SimpleQueue()
        self._running: dict[str, tuple[Host, int]] = {}
        self.states = {
            host.name: HostResult(host.name, host.url, canary=number < canary)
            for number, host in enumerate(hosts)
        }

    def go(self, hosts: Sequence[Host], stop: Callable[[], str]) -> str:
        """Run the action on `hosts` until all ended; begin none once `stop` gives a reason."""
        waiting = deque(hosts)
        reason = ""
        while waiting or self._running:
            while waiting and not reason and len(self._running) < self._parallel:
                self._begin(waiting.popleft())
            if not self._running:
                break
            self._wait()
            reason = reason or stop()
        return reason if waiting else ""

    def finish(self, stopped: str) -> FleetReport:
        """Return the report; those that still wait were not tried."""
        for name, state in self.states.items():
            if state.status is Status.WAITING:
                self._change(name, status=Status.SKIPPED)
        return FleetReport(tuple(self.states.values()), stopped)

    def _begin(self, host: Host) -> None:
        self._running[host.name] = host, perf_counter_ns()
        self._change(host.name, status=Status.RUNNING)
        # A daemon: a device that never answers must not keep the command from ending.
        threading.Thread(
            target=self._run, args=(host,), name=f"fleet-{host.name}", daemon=True
        ).start()

    def _run(self, host: Host) -> None:
        put, name = self._events.put, host.name
        try:
            result = self._action(host, lambda step: put(_Event(name, step=step)))
            put(_Event(name, result=_plain(result), ended=True))
        except MejiroError as error:
            put(_Event(name, reason=_line(str(error)), ended=True))
        # Whatever one device does to the action, the others go on, and it is reported by name.
        except BaseException as error:  # noqa: BLE001
            put(_Event(name, reason=_line(f"{type(error).__name__}: {error}"), ended=True))

    def _wait(self) -> None:
        """Take in the next event, and give up the devices whose time is over."""
        ends = {name: at + host.timeout_s * 10**9 for name, (host, at) in self._running.items()}
        try:
            left_ns = min(ends.values()) - perf_counter_ns()
            self._take_in(self._events.get(timeout=max(0, left_ns) / 1e9))
        except queue.Empty:
            pass
        now = perf_counter_ns()
        for name in [name for name, end in ends.items() if end <= now and name in self._running]:
            seconds = self._running[name][0].timeout_s
            self._end(name, Status.TIMED_OUT, reason=f"no end after {seconds} s")

    def _take_in(self, event: _Event) -> None:
        if event.name not in self._running:
            return  # it was given up
        if not event.ended:
            self._change(event.name, step=_line(event.step))
        elif event.reason:
            self._end(event.name, Status.FAILED, reason=event.reason)
        else:
            self._end(event.name, Status.DONE, result=event.result)

    def _end(self, name: str, status: Status, **more: Any) -> None:
        _, began_ns = self._running.pop(name)
        self._change(name, status=status, duration_ns=perf_counter_ns() - began_ns, **more)

    def _change(self, name: str, **changes: Any) -> None:
        self.states[name] = self.states[name]._replace(**changes)
        self._on_change(self.states[name])


def _plain(result: Any) -> Any:
    """Return a result as JSON, where it can say itself so."""
    if result is None or isinstance(result, bool | int | float | str):
        return result
    return result.to_json() if hasattr(result, "to_json") else None


def _line(text: str) -> str:
    return " ".join(text.split()) or "no reason was given"

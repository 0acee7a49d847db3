"""Show a roll-out while it goes on: one line for each device."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from mejiro.fleet import Host, HostResult, Status

_COLOURS = {
    Status.WAITING: "dim",
    Status.RUNNING: "cyan",
    Status.DONE: "green",
    Status.FAILED: "red",
    Status.TIMED_OUT: "red",
    Status.SKIPPED: "yellow",
}


@contextmanager
def live_table(
    hosts: Sequence[Host], console: Console | None = None
) -> Iterator[Callable[[HostResult], None]]:
    """Give what takes in new states and shows them on standard error; silent off a terminal."""
    console = console or Console(stderr=True)
    if not console.is_terminal:
        yield lambda result: None
        return
    states = {host.name: HostResult(host.name, host.url) for host in hosts}
    with Live(
        table(states.values()), console=console, refresh_per_second=8, transient=True
    ) as live:

        def on_change(result: HostResult) -> None:
            states[result.name] = result
            live.update(table(states.values()))

        yield on_change


def table(states: Iterable[HostResult]) -> Table:
    """Return the table of `states`."""
    made = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for column in ("device", "state", "step"):
        made.add_column(column, no_wrap=True, overflow="ellipsis")
    for state in states:
        # Text, since what a device says must not be read as markup.
        colour = _COLOURS[state.status]
        made.add_row(Text(state.name), Text(state.status.value, style=colour), Text(state.text))
    return made

"""Print for people and for programs: tables, JSON, and progress that a pipe never sees."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import click
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Table


def say(text: str = "") -> None:
    """Print one line of a command's result on standard output."""
    click.echo(text)


def say_all(lines: Sequence[str]) -> None:
    """Print lines of a command's result on standard output."""
    for line in lines:
        say(line)


def note(text: str) -> None:
    """Print one line about the result on standard error, where it disturbs no pipe."""
    click.echo(text, err=True)


def print_json(value: Any) -> None:
    """Print a report as JSON on standard output."""
    click.echo(json.dumps(value, ensure_ascii=False, indent=2))


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table; columns named with a leading ">" are aligned to the right.

    On a pipe it is as wide as its content, so that nothing is cut off.
    """
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=10_000)
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for column in columns:
        justify: Any = "right" if column.startswith(">") else "left"
        table.add_column(column.lstrip(">"), justify=justify, overflow="fold")
    for row in rows:
        table.add_row(*row)
    with console.capture() as capture:
        console.print(table)
    for line in capture.get().splitlines():
        click.echo(line.rstrip())


class Reporter:
    """Show what a long command is doing: the current stage, and how far it is if known."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._task = progress.add_task("", total=None)

    def stage(self, text: str) -> None:
        """Name the stage that begins now."""
        self._progress.reset(self._task, description=text, total=None)

    def describe(self, text: str) -> None:
        """Say something else of the stage that goes on."""
        self._progress.update(self._task, description=text)

    def advance(self, done: int, total: int) -> None:
        """Say that `done` of `total` steps of the stage are done."""
        self._progress.update(self._task, completed=done, total=total)

    def note(self, text: str) -> None:
        """Print one line on standard error that stays, above what is being shown."""
        self._progress.console.print(text, markup=False, highlight=False, soft_wrap=True)


@contextmanager
def progress() -> Iterator[Reporter]:
    """Show progress on standard error while the block runs; silent when it is no terminal."""
    console = Console(stderr=True)
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as shown:
        yield Reporter(shown)

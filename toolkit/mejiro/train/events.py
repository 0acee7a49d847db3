"""Tell whoever waits for a run what it is doing, and stop it where it can go on from."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

from mejiro.errors import MejiroError
from mejiro.train.history import EpochRecord

INTERRUPTED_EXIT_CODE = 130


class Interrupted(MejiroError):
    """Report that Ctrl-C ended a run, and how to go on."""

    exit_code = INTERRUPTED_EXIT_CODE


class Diverged(MejiroError):
    """Report a run whose weights have grown beyond all numbers."""


@dataclass(frozen=True)
class StepReport:
    """Hold what can be said after a step; `epoch` and `step` count from 1.

    `seconds_left` is an estimate for the phase, None as long as there is nothing to go by.
    """

    phase: str
    epoch: int
    epochs: int
    step: int
    steps: int
    rate: float
    loss: float
    accuracy: float
    seconds_left: float | None


@dataclass(frozen=True)
class Events:
    """Hold what is called while a run goes on.

    `stage` gets a sentence before each stage, `progress` (done, all) within it, `step` and
    `epoch` what training brought, `note` what a user should read.
    """

    stage: Callable[[str], None] = lambda text: None
    progress: Callable[[int, int], None] = lambda done, total: None
    step: Callable[[StepReport], None] = lambda report: None
    epoch: Callable[[EpochRecord], None] = lambda record: None
    note: Callable[[str], None] = lambda text: None


class StopAsked(Exception):
    """Leave whatever goes on, since the run was asked to stop."""


class Stop:
    """Know whether the run was asked to stop."""

    def __init__(self) -> None:
        self.asked = False

    def check(self) -> None:
        """Raise StopAsked if the run was asked to stop."""
        if self.asked:
            raise StopAsked


@contextmanager
def stop_when_asked() -> Iterator[Stop]:
    """Take the first Ctrl-C as a request to stop between two steps, the second as it always is.

    In the middle of a step the weights would be those of one step and the counters of another.
    Outside the main thread nothing changes.
    """
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = signal.getsignal(signal.SIGINT)

    def ask(number: int, frame: FrameType | None) -> None:
        stop.asked = True
        signal.signal(signal.SIGINT, before)

    signal.signal(signal.SIGINT, ask)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGINT, before)

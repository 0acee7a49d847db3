"""Run a function in a process of its own, and hear of its progress.

What TensorFlow allocates it does not give back: a network that was trained once costs its process
tens of megabytes for good. And a trial that asks for too much memory should end itself alone.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
import threading
from collections.abc import Callable, Iterator
from functools import partial
from multiprocessing.connection import Connection
from typing import Any, TypeVar

from mejiro.errors import MejiroError, UsageError
from mejiro.train.events import Events

Answer = TypeVar("Answer")

_DONE, _FAILED = "done", "failed"
_LEAVE_S = 30.0


def run_apart(task: Callable[..., Answer], *arguments: Any, events: Events) -> Answer:
    """Return what ``task(*arguments, events=...)`` returns in a new process.

    `task` is a function of a module; it and what goes in and out can be pickled. Its events reach
    `events` here; if one of those raises, the process is ended and the exception goes on. An error
    of ours in the process becomes one here, with the same words; if the process ends without an
    answer, MejiroError says how.
    """
    context = multiprocessing.get_context("spawn")
    receiving, sending = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(sending, task, arguments), daemon=True)
    try:
        with _without_interrupts():
            process.start()
        sending.close()
        answer: Answer = _listen(receiving, events)
        process.join(_LEAVE_S)
        return answer
    except EOFError:
        process.join(_LEAVE_S)
        raise MejiroError(_end_of(process.exitcode)) from None
    finally:
        if process.pid is not None:
            process.kill()
            process.join()
        receiving.close()


def _listen(receiving: Connection[Any, Any], events: Events) -> Any:
    """Pass on what the process tells until it answers; raises EOFError if it never does."""
    while True:
        kind, *content = receiving.recv()
        if kind == _DONE:
            return content[0]
        if kind == _FAILED:
            code, text = content
            raise UsageError(text) if code == UsageError.exit_code else MejiroError(text)
        getattr(events, kind)(*content)


def _end_of(code: int | None) -> str:
    """Say how a process ended that gave no answer."""
    if code is None or code >= 0:
        return f"its process ended with code {code}"
    name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
    hint = "; perhaps there was not enough memory" if -code == signal.SIGKILL else ""
    return f"its process was ended by {name}{hint}"


@contextlib.contextmanager
def _without_interrupts() -> Iterator[None]:
    """Let a process that starts meanwhile ignore Ctrl-C: whoever waits for it ends it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _work(sending: Connection[Any, Any], task: Callable[..., Any], arguments: Any) -> None:
    """Run `task` and send its answer; the new process begins here."""

    def tell(kind: str, *content: Any) -> None:
        sending.send((kind, *content))

    kinds = ("stage", "progress", "step", "epoch", "note")
    events = Events(**{kind: partial(tell, kind) for kind in kinds})
    try:
        tell(_DONE, task(*arguments, events=events))
    except BrokenPipeError:
        return  # nobody waits for an answer any more
    except MejiroError as error:
        tell(_FAILED, error.exit_code, str(error))
    except OSError as error:
        tell(_FAILED, 1, str(error))
    except Exception as error:
        if not _is_out_of_memory(error):
            raise
        tell(_FAILED, 1, "there was not enough memory; try smaller images or batches")


def _is_out_of_memory(error: Exception) -> bool:
    """Know TensorFlow's own error without importing it, too."""
    return isinstance(error, MemoryError) or type(error).__name__ == "ResourceExhaustedError"

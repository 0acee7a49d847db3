"""Keep Ctrl-C away from a library while it is being loaded, and end well when asked to.

An exception in the middle of loading crashes some libraries, and makes others report that they
are not installed properly.
"""

from __future__ import annotations

import signal
import threading
from types import FrameType

RETRY_S = 0.02
EXIT_TERMINATED = 128 + signal.SIGTERM
_LOADING = {"create_module", "exec_module"}
_raised = threading.Event()


class Terminated(KeyboardInterrupt):
    """Report SIGTERM, with which a service manager ends a program: handled as Ctrl-C is."""


def defer_interrupts() -> None:
    """From now on, raise KeyboardInterrupt for Ctrl-C only when no compiled module is loading.

    Does nothing outside the main thread, nor where Ctrl-C has been given another meaning.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    _raised.clear()
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _interrupt)


def interrupt_raised() -> bool:
    """Tell whether Ctrl-C or SIGTERM has raised its exception since `defer_interrupts`."""
    return _raised.is_set()


def end_well_on_sigterm() -> None:
    """From now on, raise Terminated for SIGTERM, so that files are closed and reports told.

    Does nothing outside the main thread, nor where SIGTERM has been given another meaning.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, _interrupt)


def end_by_sigterm() -> int:
    """End this program by the signal that asked for it, as its parent expects to see.

    Returns the exit code that stands for that where the signal has no effect, which is so for the
    first process of a container.
    """
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.raise_signal(signal.SIGTERM)
    return EXIT_TERMINATED


def _interrupt(number: int, frame: FrameType | None) -> None:
    while frame is not None:
        if frame.f_code.co_name in _LOADING:
            loader = frame.f_locals.get("self")
            if type(loader).__name__ == "ExtensionFileLoader":
                again = threading.Timer(RETRY_S, signal.raise_signal, (number,))
                again.daemon = True
                again.start()
                return
        frame = frame.f_back
    _raised.set()
    raise Terminated if number == signal.SIGTERM else KeyboardInterrupt

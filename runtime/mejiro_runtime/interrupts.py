"""Keep Ctrl-C away from a library while it is being loaded.

An exception in the middle of that crashes some libraries, and makes others report that they are
not installed properly.
"""

from __future__ import annotations

import signal
import threading
from types import FrameType

RETRY_S = 0.02
_LOADING = {"create_module", "exec_module"}


def defer_interrupts() -> None:
    """From now on, raise KeyboardInterrupt for Ctrl-C only when no compiled module is loading.

    Does nothing outside the main thread, nor where Ctrl-C has been given another meaning.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _interrupt)


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
    raise KeyboardInterrupt

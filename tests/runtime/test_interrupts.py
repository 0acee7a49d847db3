"""Check that Ctrl-C waits for the end of a library's loading, and for nothing else."""

from __future__ import annotations

import inspect
import signal
import threading
import time
from collections.abc import Iterator

import pytest

from mejiro_runtime import interrupts
from mejiro_runtime.interrupts import defer_interrupts


@pytest.fixture
def handled() -> Iterator[None]:
    """Put the interpreter's own handler in place, and what was there back."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def wait(limit_s: float) -> None:
    """Wait in short steps, since a signal is answered between them."""
    end = time.monotonic() + limit_s
    while time.monotonic() < end:
        time.sleep(0.01)


class ExtensionFileLoader:
    """Stand for importlib's loader of compiled modules, whose name the handler looks for."""

    loaded = False

    def exec_module(self) -> None:
        signal.raise_signal(signal.SIGINT)
        wait(3 * interrupts.RETRY_S)
        self.loaded = True


def load_and_wait(loader: ExtensionFileLoader) -> None:
    loader.exec_module()
    wait(60)


class SourceFileLoader(ExtensionFileLoader):
    """Stand for importlib's loader of Python modules."""


@pytest.mark.usefixtures("handled")
def test_an_interrupt_waits_for_a_compiled_module() -> None:
    defer_interrupts()
    loader = ExtensionFileLoader()
    assert not interrupts.interrupt_raised()
    with pytest.raises(KeyboardInterrupt):
        load_and_wait(loader)
    assert loader.loaded
    assert interrupts.interrupt_raised()
    defer_interrupts()
    assert not interrupts.interrupt_raised()


@pytest.mark.usefixtures("handled")
def test_an_interrupt_ends_anything_else_at_once() -> None:
    defer_interrupts()
    loader = SourceFileLoader()
    with pytest.raises(KeyboardInterrupt):
        loader.exec_module()
    assert not loader.loaded
    with pytest.raises(KeyboardInterrupt):
        interrupts._interrupt(signal.SIGINT, inspect.currentframe())


@pytest.mark.usefixtures("handled")
def test_another_meaning_of_ctrl_c_is_left_alone() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    defer_interrupts()
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN


@pytest.mark.usefixtures("handled")
def test_a_thread_that_may_set_no_handler_sets_none() -> None:
    thread = threading.Thread(target=defer_interrupts)
    thread.start()
    thread.join()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.fixture
def terminable() -> Iterator[None]:
    """Put the system's own answer to SIGTERM in place, and what was there back."""
    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGTERM, before)


def test_sigterm_is_handled_as_ctrl_c_is(terminable: None) -> None:
    interrupts.end_well_on_sigterm()
    with pytest.raises(KeyboardInterrupt) as caught:
        signal.raise_signal(signal.SIGTERM)
    assert isinstance(caught.value, interrupts.Terminated)


def test_a_sigterm_of_another_meaning_keeps_it(terminable: None) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    interrupts.end_well_on_sigterm()
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN

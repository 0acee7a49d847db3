"""Keep converters quiet while they work, and turn their failures into one line."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import sys
import tempfile
import warnings
from collections.abc import Iterator
from typing import IO

from mejiro.errors import ExportError, MejiroError

_LOGGERS = ("absl", "tensorflow", "tf2onnx", "onnxslim")
_KEPT_BYTES = 100_000


class ConverterOutput(Exception):
    """Carry what a converter wrote to stderr before it failed, for `--debug`."""


@contextlib.contextmanager
def quietly(doing: str) -> Iterator[None]:
    """Hold back what a converter says; if it raises, raise ExportError with one line instead.

    `doing` completes the sentence "... failed". The converter's exception is chained, and from
    it what it wrote, so that a traceback shows both. Errors of Mejiro pass as they are, and so
    does what is written to `sys.stderr` meanwhile: only the file descriptor that C++ writes to
    is held back, and Python's warnings and loggers by their own means.
    """
    levels = {name: logging.getLogger(name).level for name in _LOGGERS}
    with tempfile.TemporaryFile() as held, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in _LOGGERS:
            logging.getLogger(name).setLevel(logging.ERROR)
        try:
            with _descriptor_to(held):
                yield
        except MejiroError:
            raise
        except Exception as error:
            held.seek(0)
            output = held.read(_KEPT_BYTES).decode("utf-8", "replace").strip()
            if output and error.__cause__ is None:
                error.__cause__ = ConverterOutput(output)
            raise ExportError(f"{doing} failed: {_first_line(error)}") from error
        finally:
            for name, level in levels.items():
                logging.getLogger(name).setLevel(level)


@contextlib.contextmanager
def _descriptor_to(held: IO[bytes]) -> Iterator[None]:
    """Send file descriptor 2 to `held`, but what Python writes to `sys.stderr` where it went."""
    before = sys.stderr
    try:
        before.flush()
        saved = os.dup(2)
    except (OSError, ValueError, AttributeError):  # stderr is closed: nothing can be seen anyway
        yield
        return
    through = None
    with contextlib.suppress(OSError, ValueError, AttributeError):
        if before.fileno() == 2:
            through = os.fdopen(os.dup(saved), "w", encoding=before.encoding, errors="replace")
            through.reconfigure(line_buffering=True)
    os.dup2(held.fileno(), 2)
    if through is not None:
        sys.stderr = through
    try:
        yield
    finally:
        if through is not None:
            sys.stderr = before
            through.close()
        os.dup2(saved, 2)
        os.close(saved)


def _first_line(error: BaseException) -> str:
    """Return the first line of a converter's message that says something, without its place."""
    for line in str(error).splitlines():
        # MLIR begins with the place in a file that exists no more: `<unknown>:0: error: ...`.
        text = re.sub(
            r"^(\S+:\d+(:\d+)?:|<unknown>:0:|loc\(.*?\):)\s*(error:\s*)?", "", line.strip()
        )
        if text:
            return text if len(text) <= 300 else text[:297] + "..."
    return type(error).__name__

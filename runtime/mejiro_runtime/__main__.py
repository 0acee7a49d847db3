"""Run `mejiro-run`: the device's command line, the only module here that prints or exits."""

from __future__ import annotations

import gc
import importlib
import io
import os
import sys
from collections.abc import Sequence

from mejiro_runtime.command_line import build_parser
from mejiro_runtime.errors import MejiroError
from mejiro_runtime.interrupts import (
    Terminated,
    defer_interrupts,
    end_by_sigterm,
    end_well_on_sigterm,
)

EXIT_INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return 0, 1 for a failure, 2 for wrong usage, 130 after Ctrl-C.

    After SIGTERM it ends by that signal, or with 143.
    """
    # Nothing that a start makes is garbage, and looking for some would take 10 ms. `commands`
    # turns the search on again when the model is open.
    gc.disable()
    try:
        return _run(arguments)
    finally:
        gc.enable()


def _run(arguments: Sequence[str] | None) -> int:
    words = list(sys.argv[1:] if arguments is None else arguments)
    options = build_parser(words[0] if words else None).parse_args(words)
    # numpy multiplies no matrices here. Its BLAS would start a thread a CPU all the same, and
    # those would spin through the start and take memory from the engine.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    _prepare_output(json=options.json)
    try:
        defer_interrupts()
        end_well_on_sigterm()
        command = importlib.import_module(f"mejiro_runtime.commands.{options.command}")
        code: int = command.execute(options)
        sys.stdout.flush()
        return code
    except KeyboardInterrupt as reason:
        if options.debug:
            raise
        if isinstance(reason, Terminated):
            print("mejiro-run: terminated", file=sys.stderr)
            _abandon_output()
            return end_by_sigterm()
        print("mejiro-run: interrupted", file=sys.stderr)
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has gone (`| head`), which is no fault of this command.
        _abandon_output()
        return 1
    except (MejiroError, OSError, MemoryError) as error:
        if options.debug:
            raise
        print(f"mejiro-run: error: {one_line(error)}", file=sys.stderr)
        _abandon_output()
        return error.exit_code if isinstance(error, MejiroError) else 1


def one_line(error: BaseException) -> str:
    """Return what an error says as one line that cannot rewrite the terminal.

    File names and damaged files may hold anything.
    """
    text = str(error) or type(error).__name__
    if isinstance(error, OSError) and error.strerror:
        text = f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return "".join(c if c.isprintable() else " " if c.isspace() else ascii(c)[1:-1] for c in text)


def _prepare_output(*, json: bool) -> None:
    """Let any label be printed: JSON is UTF-8, and a terminal that lacks a letter gets its code."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        if json:
            sys.stdout.reconfigure(encoding="utf-8")
        sys.stdout.reconfigure(errors="backslashreplace")


def _abandon_output() -> None:
    """Drop what standard output cannot take, or Python would complain about it at its end."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    sys.exit(main())

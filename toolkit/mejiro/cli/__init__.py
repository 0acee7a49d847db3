"""Run `mejiro`: parse, call, print. Nothing below this room prints or exits."""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
from collections.abc import Sequence
from typing import Any

import click

from mejiro import __version__
from mejiro.errors import MejiroError
from mejiro_runtime.interrupts import defer_interrupts, interrupt_raised

EXIT_INTERRUPTED = 130

# Command -> module that defines it under the same name; imported only when it is asked for.
COMMANDS = {
    "zoo": "mejiro.cli.zoo",
    "train": "mejiro.cli.train",
    "finetune": "mejiro.cli.finetune",
    "tune-training": "mejiro.cli.tune_training",
    "prune": "mejiro.cli.prune",
    "convert": "mejiro.cli.convert",
    "adopt": "mejiro.cli.adopt",
    "evaluate": "mejiro.cli.evaluate",
    "diagnose": "mejiro.cli.diagnose",
    "explain": "mejiro.cli.explain",
    "compare": "mejiro.cli.compare",
    "plot-bench": "mejiro.cli.plot_bench",
    "bundle": "mejiro.cli.bundle",
    "targets": "mejiro.cli.targets",
    "serve": "mejiro.cli.serve",
    "keys": "mejiro.cli.keys",
    "deploy": "mejiro.cli.deploy",
    "device": "mejiro.cli.device",
    "fleet": "mejiro.cli.fleet",
    "demo": "mejiro.cli.demo",
    "doctor": "mejiro.cli.doctor",
    "completion": "mejiro.cli.completion",
}


class LazyGroup(click.Group):
    """Import a command's module when the command is used, so that `--help` stays fast."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the commands in the order of use."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return one command, or None if there is none of that name."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(COMMANDS[cmd_name])
        command: click.Command = getattr(module, cmd_name.replace("-", "_"))
        return command


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="mejiro")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def cli(debug: bool) -> None:
    """Take an image-recognition model from this workstation to a camera on a small device.

    \b
    Examples:
      mejiro convert efficientnet-lite0 --out build
      mejiro bundle build/*.tflite build/*.onnx --out cat-finder
      mejiro-run run cat-finder --source camera:0
      mejiro demo
    """


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return 0, 1 for a failure, 2 for wrong usage, 130 after Ctrl-C.

    `--debug` may stand anywhere on the line.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in words
    words = [word for word in words if word != "--debug"]
    try:
        defer_interrupts()
        result = _call(words)
        sys.stdout.flush()
        return result if isinstance(result, int) else 0
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except (click.Abort, KeyboardInterrupt):
        if debug:
            raise
        return _fail("interrupted", EXIT_INTERRUPTED)
    except click.UsageError as error:
        if error.ctx is not None and not words:
            click.echo(error.ctx.get_help(), err=True)
            return 2
        where = error.ctx.command_path if error.ctx else "mejiro"
        return _fail(f"{error.format_message()} See `{where} --help`.", 2)
    except click.ClickException as error:
        return _fail(error.format_message(), 1)
    except MejiroError as error:
        if debug:
            raise
        return _fail(str(error), error.exit_code)
    except BrokenPipeError:
        # Whoever read our output has gone (`| head`); Python would complain once more at exit.
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (OSError, MemoryError) as error:
        if debug:
            raise
        return _fail(_describe(error), 1)


def _call(words: list[str]) -> Any:
    """Run the command; raise KeyboardInterrupt for whatever a library made of one.

    Compiled code that calls Python may replace one exception by another, and a converter then
    "fails" although it was only told to stop.
    """
    try:
        return cli.main(args=words, prog_name="mejiro", standalone_mode=False)
    except click.exceptions.Exit:
        raise
    except Exception as error:
        told = isinstance(error, MejiroError) and error.exit_code == EXIT_INTERRUPTED
        if interrupt_raised() and not told:
            raise KeyboardInterrupt from error
        raise


def _describe(error: OSError | MemoryError) -> str:
    if isinstance(error, MemoryError):
        return "not enough memory; close other programs, or use a smaller model or fewer pictures"
    text = error.strerror or str(error) or type(error).__name__
    return f"{error.filename}: {text}" if error.filename else text


def _fail(message: str, code: int) -> int:
    """Print one line on stderr, whatever line breaks the message came with."""
    click.echo(f"mejiro: error: {' '.join(message.split())}", err=True)
    return code

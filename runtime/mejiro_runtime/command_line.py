"""Say what `mejiro-run` takes: a parser for each command.

Nothing here imports what a command needs to run, so that a wrong word is told at once.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from typing import NoReturn, TypeAlias

from mejiro_runtime._version import __version__

EXAMPLES = """examples:
  mejiro-run doctor
  mejiro-run info BUNDLE
  mejiro-run verify BUNDLE
  mejiro-run run BUNDLE --source camera:0
  mejiro-run run BUNDLE --source cat.jpg --json
  mejiro-run bench BUNDLE --source synthetic:640x480 --threads 2
  mejiro-run tune BUNDLE
"""


class Parser(argparse.ArgumentParser):
    """Parse a command line; say what is wrong with it in one line."""

    def error(self, message: str) -> NoReturn:
        """Print `message` and where to find help, and exit with 2."""
        self.exit(2, f"{self.prog}: error: {message}; see `{self.prog} --help`\n")


Subparsers: TypeAlias = "argparse._SubParsersAction[Parser]"


def _formatter(prog: str) -> argparse.HelpFormatter:
    """Return what argparse would make, without shutil, which would cost every start 2 ms."""
    try:
        columns = int(os.environ.get("COLUMNS", "0")) or os.get_terminal_size(1).columns
    except (OSError, ValueError):
        columns = 80
    return argparse.RawDescriptionHelpFormatter(prog, width=columns - 2)


def _add(
    commands: Subparsers,
    name: str,
    summary: str,
    example: str,
) -> argparse.ArgumentParser:
    parser = commands.add_parser(
        name,
        help=summary,
        description=summary[0].upper() + summary[1:] + ".",
        epilog=f"example:\n  {example}",
        formatter_class=_formatter,
        allow_abbrev=False,
    )
    parser.add_argument("--json", action="store_true", help="write JSON to standard output")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    return parser


def _add_bundle(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("bundle", metavar="BUNDLE", help="the folder that `mejiro bundle` wrote")


def _add_engine(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--artifact", metavar="NAME", help="which model of the bundle (see info)")
    parser.add_argument(
        "--backend",
        metavar="NAME[:VARIANT]",
        help="litert[:xnnpack|builtin|edgetpu|ai-edge-litert|tflite-runtime] or "
        "onnxruntime[:cpu|gpu|tensorrt|cuda|...]",
    )
    parser.add_argument("--threads", type=int, metavar="N", help="default: the CPUs, at most 4")
    parser.add_argument(
        "--allow-fallback",
        action="store_true",
        help="run on another engine where the one asked for cannot be had, and say so",
    )


def _add_reading(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--threshold", type=float, metavar="P",
        help="leave out answers below P, 0 to 1 (default: all, of a detector as its card says)",
    )  # fmt: skip
    parser.add_argument(
        "--smooth", type=float, metavar="FRAMES",
        help="mean over time for a classifier: after FRAMES frames one counts half",
    )  # fmt: skip


def _add_run(commands: Subparsers) -> None:
    parser = _add(
        commands, "run", "run frames through the model and show what it sees",
        "mejiro-run run BUNDLE --source camera:0",
    )  # fmt: skip
    _add_bundle(parser)
    parser.add_argument(
        "--source",
        default="camera:0",
        help="a picture, a folder, a video, camera:N, picamera:N, csi:N, http://…, rtsp://…, "
        "gstreamer:PIPELINE, or synthetic:WxH[@FPS] (default: camera:0)",
    )
    parser.add_argument("--frames", type=int, metavar="N", help="stop after N frames")
    parser.add_argument(
        "--top", type=int, default=3, metavar="K", help="answers a frame (default: 3)"
    )
    _add_reading(parser)
    _add_engine(parser)
    _add_sinks(parser)
    _add_keeping(parser)


def _add_sinks(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("where results go, besides the terminal").add_argument
    add("--web", nargs="?", const="127.0.0.1:8080", metavar="HOST:PORT",
        help="serve the live page and /metrics (default: 127.0.0.1:8080); "
        "an address that others can reach demands a token, which is printed")  # fmt: skip
    add("--web-token-file", metavar="FILE", help="take the page's token from this file")
    add("--window", action="store_true", help="show a window; closing it ends the run")
    add("--video", metavar="FILE", help="write a video with what was seen drawn on it")
    add("--log", metavar="FILE", help="append a line of JSON for each frame")


def _add_keeping(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("what goes on beside").add_argument
    add("--keep-fps", type=float, metavar="FPS",
        help="step down to a faster artifact of the bundle when frames take longer than this "
        "allows, and up again when there is room")  # fmt: skip
    add("--collect", metavar="DIR",
        help="keep frames that --when asks for, for calibration or labelling")  # fmt: skip
    add("--when", metavar="CONDITION",
        help="'confidence<0.5', or 'disagree:int8,fp32': two artifacts, or precisions")  # fmt: skip
    add("--collect-limit", type=int, metavar="N", help="keep at most N frames (default: 200)")


def _add_bench(commands: Subparsers) -> None:
    parser = _add(
        commands, "bench", "measure latency by stage, and the bare engine beside it",
        "mejiro-run bench BUNDLE --source synthetic:640x480 --frames 300",
    )  # fmt: skip
    _add_bundle(parser)
    parser.add_argument("--source", default="synthetic:640x480", help="default: synthetic:640x480")
    parser.add_argument("--frames", type=int, metavar="N", help="default: 200")
    _add_engine(parser)
    _add_judging(parser)


def _add_judging(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--sustained", metavar="DURATION",
        help="measure for so long (90s, 10m, 2h), and tell p50 and p95 by minute beside "
        "temperature, clock and throttling",
    )  # fmt: skip
    parser.add_argument(
        "--require", action="append", default=[], metavar="REQUIREMENT",
        help="exit with 1 unless it passes: 'infer.p99<40ms', 'drops<1%%', 'fps>=15', ...; "
        "may be given again",
    )  # fmt: skip


def _add_tune(commands: Subparsers) -> None:
    parser = _add(
        commands, "tune", "find what runs the bundle fastest here, and use it from now on",
        "mejiro-run tune BUNDLE",
    )  # fmt: skip
    _add_bundle(parser)
    parser.add_argument(
        "--max-drop", type=float, default=1.0, metavar="POINTS",
        help="how much recorded top-1 accuracy may be given for speed (default: 1)",
    )  # fmt: skip


def _add_race(commands: Subparsers) -> None:
    parser = _add(
        commands, "race", "time model files against each other, by turns",
        "mejiro-run race a.tflite b.tflite --threads 1",
    )  # fmt: skip
    add = parser.add_argument
    add("files", nargs="+", metavar="FILE", help="a model file with its card beside it")
    add("--rounds", type=int, default=15, metavar="N", help="turns of each file (default: 15)")
    add("--frames", type=int, default=20, metavar="N", help="frames a turn (default: 20)")
    add("--openings", type=int, default=1, metavar="N",
        help="open the files so often, for so many rounds each (default: 1)")  # fmt: skip
    add("--threads", type=int, metavar="N", help="default: the CPUs, at most 4")
    add("--backend", metavar="NAME[:VARIANT]", help="as for bench")


def _add_verify(commands: Subparsers) -> None:
    parser = _add(
        commands, "verify", "replay the golden frames and compare every stage",
        "mejiro-run verify BUNDLE",
    )  # fmt: skip
    _add_bundle(parser)
    parser.add_argument(
        "--signers", metavar="FILE",
        help="first demand a signature by one of this file's keys (OpenSSH allowed_signers)",
    )  # fmt: skip
    _add_engine(parser)


def _add_info(commands: Subparsers) -> None:
    parser = _add(commands, "info", "tell what a bundle holds", "mejiro-run info BUNDLE")
    _add_bundle(parser)


def _add_doctor(commands: Subparsers) -> None:
    parser = _add(
        commands, "doctor", "tell what this device has, and what it lacks",
        "mejiro-run doctor BUNDLE",
    )  # fmt: skip
    parser.add_argument("bundle", metavar="BUNDLE", nargs="?", help="also try this bundle")


# Command -> what adds its parser. Of several only the one in use is made: each costs a start 1 ms.
PARSERS: dict[str, Callable[[Subparsers], None]] = {
    "run": _add_run,
    "bench": _add_bench,
    "tune": _add_tune,
    "race": _add_race,
    "verify": _add_verify,
    "info": _add_info,
    "doctor": _add_doctor,
}


def build_parser(command: str | None = None) -> Parser:
    """Return the parser of `mejiro-run`, with `command` alone if that is one of `PARSERS`."""
    parser = Parser(
        prog="mejiro-run",
        description="Run a Mejiro bundle on this device.",
        epilog=EXAMPLES,
        formatter_class=_formatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"mejiro-runtime {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, add in PARSERS.items():
        if command not in PARSERS or name == command:
            add(commands)
    return parser

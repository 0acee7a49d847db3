"""Keep a phone's stand-in by hand: python -m tests.termux FOLDER, until Enter or Ctrl-C.

FOLDER keeps what is written to it; it is made where it is not.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
from pathlib import Path

from tests.emulation.needs import Unavailable
from tests.termux.phone import Phone, PhoneError


def main(words: list[str]) -> int:
    """Run a phone, and say how to reach it; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.termux", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument(
        "--packages",
        type=Path,
        action="append",
        default=[],
        help="a folder of Python packages to lend before this environment's own",
    )
    given = parser.parse_args(words)
    try:
        with Phone(given.folder.absolute(), packages=given.packages) as phone:
            print(f"mejiro deploy BUNDLE {phone.url} --ssh-config {phone.ssh_config}", flush=True)
            with contextlib.suppress(KeyboardInterrupt):
                sys.stdin.readline()
    except (Unavailable, PhoneError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

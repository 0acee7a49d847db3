"""Keep emulated devices by hand: python -m tests.emulation start|stop|status|reset|ssh|purge."""

from __future__ import annotations

import argparse
import os
import shutil
import sys

from tests.emulation.boards import BOARDS
from tests.emulation.device import Device, DeviceError, Options
from tests.emulation.needs import Unavailable, require_emulation
from tests.emulation.root import cache_folder, make_root


def parser() -> argparse.ArgumentParser:
    """Return the reader of the command line."""
    top = argparse.ArgumentParser(prog="python -m tests.emulation", description=__doc__)
    top.add_argument("--name", default="pi", help="one of several devices (default: pi)")
    commands = top.add_subparsers(dest="command", required=True)
    commands.add_parser("build", help="make the root file system, which start does as well")
    start = commands.add_parser("start", help="start a device, with what it was left with")
    start.add_argument("--board", choices=BOARDS, default="pi5")
    start.add_argument("--port", type=int, default=2222, help="on 127.0.0.1; 0 takes a free one")
    start.add_argument("--network", action="store_true", help="share this machine's network")
    start.add_argument("--home-bytes", type=int, help="the size of the user's home folder")
    start.add_argument("--clock", help="move the clock, in libfaketime's words: -900d")
    start.add_argument("--no-sudo", dest="sudo", action="store_false")
    commands.add_parser("stop", help="pull the plug")
    commands.add_parser("status", help="say whether it runs; exit 3 if not")
    commands.add_parser("reset", help="stop it and give it a fresh card")
    commands.add_parser("purge", help="stop all devices, and delete them and all that was kept")
    ssh = commands.add_parser("ssh", help="log in, or run a command")
    ssh.add_argument("words", nargs=argparse.REMAINDER)
    return top


def purge() -> None:
    """Stop every device, and delete the cache."""
    cache = cache_folder()
    for folder in (cache / "devices").glob("*"):
        Device(folder.name).reset()
    shutil.rmtree(cache, ignore_errors=True)


def main(words: list[str]) -> int:
    """Do what the command line says; return the exit code."""
    given = parser().parse_args(words)
    device = Device(given.name)
    try:
        if given.command == "build":
            require_emulation()
            print(make_root(cache_folder()))
        elif given.command == "start":
            names = ("board", "port", "network", "home_bytes", "clock", "sudo")
            device.start(Options(**{name: getattr(given, name) for name in names}))
            print(f"ssh -F {device.ssh_config} {device.name}")
        elif given.command == "stop":
            device.stop()
        elif given.command == "reset":
            device.reset()
        elif given.command == "purge":
            purge()
        elif given.command == "ssh":
            command = ["ssh", "-F", str(device.ssh_config), device.name, *given.words]
            os.execvp("ssh", command)
        else:
            found = device.running()
            print(f"{found.board} on port {found.port}" if found else "not running")
            return 0 if found else 3
    except (Unavailable, DeviceError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

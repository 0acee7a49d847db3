"""Time files on a device that are no part of any bundle."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from mejiro.deploy.connection import PIECE_BYTES, Connection
from mejiro.deploy.url import parse_url
from mejiro.errors import DeployError
from mejiro_runtime.card import card_path
from mejiro_runtime.race import Conditions

TIMEOUT_S = 3600.0


def race_on(connection: Connection, files: Sequence[Path], conditions: Conditions) -> Any:
    """Send model files with their cards, and return what ``mejiro-run race --json`` prints there.

    The device needs a release, whose engines are used. DeployError if it has none, or refuses.
    """
    connection.call("lock")
    connection.call("take")
    try:
        for file in files:
            for path in (file, card_path(file)):
                _send(connection, path)
        return connection.call(
            "race",
            names=[file.name for file in files],
            words=conditions.words(),
            timeout_s=TIMEOUT_S,
        )
    finally:
        connection.call("forget")


def _send(connection: Connection, path: Path) -> None:
    connection.send({"file": path.name, "offset": 0})
    try:
        with path.open("rb") as stream:
            while piece := stream.read(PIECE_BYTES):
                connection.send({"piece": True}, piece)
    except OSError as error:
        raise DeployError(f"{path} cannot be read: {error.strerror}") from error


def remote_race(
    url: str, *, root: str | None = None, ssh_config: Path | None = None
) -> Callable[[Sequence[Path], Conditions], Any]:
    """Return a function that lets files race on the device at `url`, connecting for each race."""
    parse_url(url)

    def run(files: Sequence[Path], conditions: Conditions) -> Any:
        with Connection(url, root=root, ssh_config=ssh_config) as connection:
            return race_on(connection, files, conditions)

    return run

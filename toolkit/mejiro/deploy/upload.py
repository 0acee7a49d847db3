"""Send the files of a bundle that a device lacks, each from where an earlier upload ended."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from mejiro.deploy.bundle import DeployBundle
from mejiro.deploy.connection import PIECE_BYTES, Connection
from mejiro.errors import DeployError


class Uploaded(NamedTuple):
    """Hold what was sent: files, and bytes of them; what was there already is not counted."""

    files: int
    size_bytes: int


def upload(
    connection: Connection,
    bundle: DeployBundle,
    missing: Sequence[dict[str, Any]],
    *,
    on_bytes: Callable[[int, int], None] | None = None,
) -> Uploaded:
    """Send each of `missing`, and let the device check all; DeployError if something is wrong.

    `on_bytes` gets the bytes that were sent so far, and how many there are to send.
    """
    todo = [(one["path"], _start(bundle.folder / one["path"], one)) for one in missing]
    total = sum(bundle.sizes[path] - start for path, start in todo)
    sent = 0
    for path, start in todo:
        connection.send({"file": path, "offset": start})
        with (bundle.folder / path).open("rb") as stream:
            stream.seek(start)
            while piece := stream.read(PIECE_BYTES):
                connection.send({"piece": True}, piece)
                sent += len(piece)
                if on_bytes is not None:
                    on_bytes(sent, total)
    connection.call("finish")
    return Uploaded(len(todo), sent)


def _start(path: Path, missing: dict[str, Any]) -> int:
    """Return where to go on: after what the device has, if that is how the file begins."""
    offset = int(missing["offset"])
    if offset <= 0:
        return 0
    digest = hashlib.sha256()
    left = offset
    try:
        with path.open("rb") as stream:
            while left and (piece := stream.read(min(left, PIECE_BYTES))):
                digest.update(piece)
                left -= len(piece)
    except OSError as error:
        raise DeployError(f"{path} cannot be read: {error.strerror}") from error
    return offset if not left and digest.hexdigest() == missing["sha256"] else 0

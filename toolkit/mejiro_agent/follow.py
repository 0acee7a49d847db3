"""Send a log as it grows."""

from __future__ import annotations

import os
import selectors
import subprocess

from mejiro_agent.errors import AgentError
from mejiro_agent.frames import Lines
from mejiro_agent.session import Session


def follow_log(session: Session, command: list[str], *, follow: bool) -> None:
    """Run a command that prints a log, and send each line; with `follow` until the host stops it.

    AgentError if it cannot be run, or says only that it failed.
    """
    words = [*command, *(["-F" if command[0] == "tail" else "-f"] if follow else [])]
    try:
        process = subprocess.Popen(
            words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
    except OSError as error:
        raise AgentError(f"{words[0]} cannot be started: {error.strerror}") from error
    lines = Lines(session.tell)
    with process, selectors.DefaultSelector() as selector:
        if process.stdout is None or process.stderr is None:
            raise AgentError("a program was started without pipes")
        selector.register(process.stdout, selectors.EVENT_READ)
        selector.register(session.reader.descriptor, selectors.EVENT_READ)
        try:
            while process.stdout in {key.fileobj for key in selector.get_map().values()}:
                for key, _ in selector.select():
                    if key.fileobj == session.reader.descriptor:
                        session.reader.fill(0)
                        if (frame := session.reader.take()) and "stop" in frame.header:
                            return
                        continue
                    piece = os.read(key.fd, 1 << 16)
                    if piece:
                        lines.add(piece)
                    else:
                        selector.unregister(key.fileobj)
        finally:
            process.kill()
        if process.wait() > 0:
            told = process.stderr.read().decode("utf-8", "replace").strip().splitlines()
            raise AgentError(f"the log cannot be read: {told[-1] if told else words[0]}")

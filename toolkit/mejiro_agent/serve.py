"""Answer the host: one call after another, until it says goodbye or the connection ends."""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType
from typing import Any

from mejiro_agent import termux
from mejiro_agent.calls import CALLS
from mejiro_agent.errors import AgentError, Cut, one_line
from mejiro_agent.probe import python_version
from mejiro_agent.session import Session
from mejiro_agent.wire import GREETING, Reader, WireError

INPUT, OUTPUT = 0, 1
# A cable that was pulled out ends no connection: the device hears nothing, for hours. A host at
# work is never silent for long between its calls, so then it is gone, and its trial is undone.
SILENCE_WITH_LOCK_S = 120.0
SILENCE_S = 3600.0
_ENDING = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)


def serve(program: bytes) -> int:
    """Serve the host on standard input and output; `program` is this code as a zip file."""
    os.write(OUTPUT, GREETING)
    termux.settle()
    session = Session(Reader(INPUT), OUTPUT, program)
    for number in _ENDING:
        signal.signal(number, _end)
    try:
        session.send(hello={"pid": os.getpid(), "python": python_version()})
        while answer(session):
            pass
    except (Cut, WireError):
        pass
    finally:
        # What is being undone is undone to its end.
        for number in _ENDING:
            signal.signal(number, signal.SIG_IGN)
        _close(session)
    return 0


def _end(number: int, frame: FrameType | None) -> None:
    sys.exit(128 + number)


def _close(session: Session) -> None:
    try:
        session.close()
    except (AgentError, OSError) as error:
        sys.stderr.write(f"mejiro-agent: {one_line(error)}\n")


def answer(session: Session) -> bool:
    """Do what the next message asks for; return False after a goodbye."""
    try:
        frame = session.reader.frame(SILENCE_WITH_LOCK_S if session.locked else SILENCE_S)
    except TimeoutError:
        raise Cut("the host has fallen silent") from None
    header = frame.header
    if "piece" in header or "file" in header:
        _take(session, header, frame.payload)
        return True
    name = header.get("call")
    if name == "goodbye":
        return False
    try:
        if name not in CALLS:
            raise AgentError(f"this agent knows no call '{name}'")
        result: Any = CALLS[name](session, **header.get("arguments", {}))
    except AgentError as error:
        session.send(error=one_line(error))
    except OSError as error:
        if isinstance(error, BrokenPipeError):
            raise Cut("the connection has ended") from error
        session.send(error=one_line(error))
    except (TypeError, ValueError, KeyError) as error:
        session.send(error=f"defect in the agent: {name}: {error!r}")
    else:
        session.send(result=result)
    return True


def _take(session: Session, header: dict[str, Any], payload: bytes) -> None:
    """Take in a piece of a file. The host does not wait for an answer: `finish` gives it."""
    upload = session.upload
    if upload is None or upload.failure is not None:
        return
    try:
        if "file" in header:
            upload.open_at(str(header["file"]), int(header["offset"]))
        else:
            upload.write(payload)
    except (AgentError, OSError) as error:
        upload.failure = one_line(error)

"""Run programs on the device, and end them when the connection ends."""

from __future__ import annotations

import contextlib
import os
import selectors
import shlex
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from mejiro_agent.errors import AgentError
from mejiro_agent.root import Root
from mejiro_agent.wire import Reader

MAX_OUTPUT_BYTES = 8 * 1024 * 1024
# In the environment of every program that a step starts: what a killed agent left behind is found.
STEP_MARK = "MEJIRO_STEP"
SERVICE_MARK = "MEJIRO_SERVICE"
CALL_TIMEOUT_S = 120


class Done(NamedTuple):
    """Hold how a program ended and what it said."""

    code: int
    output: str
    errors: str

    @property
    def reason(self) -> str:
        """Return the last line that says why it failed."""
        if self.code == -signal.SIGILL:
            return "it ran an instruction that this CPU does not have (SIGILL)"
        if self.code < 0:
            return f"it was ended by {signal.Signals(-self.code).name}"
        lines = [line.strip() for line in self.errors.splitlines() if line.strip()]
        told = lines[-1] if lines else f"exit code {self.code}, without a word"
        for prefix in ("mejiro-run: error: ", "install.sh: error: "):
            told = told.removeprefix(prefix)
        return told


def environment(root: Root, mark: str) -> dict[str, str]:
    """Return the environment of a program that works for `root`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return {
        **kept,
        "MEJIRO_CACHE": str(root.cache),
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PYTHONUNBUFFERED": "1",
        mark: str(root.folder),
    }


def run(
    command: Sequence[str],
    *,
    root: Root,
    reader: Reader,
    timeout_s: float,
    on_line: Callable[[str], None] | None = None,
    folder: Path | None = None,
) -> Done:
    """Run a program to its end, or until the connection ends (Cut) or the time is up.

    `on_line` gets each line of its standard error. AgentError if it cannot be started or takes
    longer than `timeout_s`.
    """
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment(root, STEP_MARK),
            cwd=folder,
            start_new_session=True,
        )
    except OSError as error:
        raise AgentError(f"{command[0]} cannot be started: {error.strerror}") from error
    try:
        output, errors = _gather(process, reader, time.monotonic() + timeout_s, on_line)
        return Done(process.wait(), output, errors)
    except TimeoutError:
        name = Path(command[0]).name
        raise AgentError(f"{name} took longer than {timeout_s:.0f} s and was stopped") from None
    finally:
        _end_group(process)


def _gather(
    process: subprocess.Popen[bytes],
    reader: Reader,
    end_s: float,
    on_line: Callable[[str], None] | None,
) -> tuple[str, str]:
    """Read both outputs until they end; Cut if the host goes, TimeoutError at `end_s`."""
    if process.stdout is None or process.stderr is None:
        raise AgentError("a program was started without pipes")
    texts = {process.stdout: bytearray(), process.stderr: bytearray()}
    told = 0
    with selectors.DefaultSelector() as selector:
        for stream in texts:
            selector.register(stream, selectors.EVENT_READ)
        selector.register(reader.descriptor, selectors.EVENT_READ)
        while len(selector.get_map()) > 1:
            left_s = end_s - time.monotonic()
            if left_s <= 0:
                raise TimeoutError
            for key, _ in selector.select(left_s):
                if key.fileobj == reader.descriptor:
                    reader.fill(0)
                    continue
                piece = os.read(key.fd, 65536)
                if not piece:
                    selector.unregister(key.fileobj)
                    continue
                text = texts[key.fileobj]  # type: ignore[index]
                if len(text) < MAX_OUTPUT_BYTES:
                    text += piece
            if on_line is not None:
                *lines, _ = bytes(texts[process.stderr][told:]).split(b"\n")
                for line in lines:
                    told += len(line) + 1
                    on_line(line.decode("utf-8", "replace"))
    return tuple(text.decode("utf-8", "replace") for text in texts.values())  # type: ignore[return-value]


def _end_group(process: subprocess.Popen[bytes]) -> None:
    """Kill whatever is left of a program and its children."""
    with contextlib.suppress(OSError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    for stream in (process.stdout, process.stderr):
        if stream is not None:
            stream.close()


def marked(root: Root, mark: str) -> list[int]:
    """Return the processes whose environment says that they work for `root`."""
    wanted = f"{mark}={root.folder}".encode()
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):  # another user's, or gone
            if wanted in path.read_bytes().split(b"\0"):
                found.append(int(path.parent.name))
    return found


def kill_marked(root: Root, mark: str) -> None:
    """Kill what an earlier agent or launcher left behind when it was killed, and wait for it."""
    end_s = time.monotonic() + 5
    while (left := [one for one in marked(root, mark) if one != os.getpid()]) and (
        time.monotonic() < end_s
    ):
        for one in left:
            with contextlib.suppress(OSError):
                os.kill(one, signal.SIGKILL)
        time.sleep(0.02)


def call(
    command: Sequence[str], *, timeout_s: float = CALL_TIMEOUT_S
) -> subprocess.CompletedProcess[str]:
    """Run a short program of the system to its end, and return what it said."""
    return subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )


def must(command: Sequence[str]) -> str:
    """Run a command that must succeed, and return its output; AgentError with its last line."""
    try:
        done = call(command)
    except (OSError, subprocess.SubprocessError) as error:
        raise AgentError(f"`{shlex.join(command)}` failed: {error}") from error
    if done.returncode != 0:
        told = (done.stderr.strip() or f"exit code {done.returncode}").splitlines()[-1]
        raise AgentError(f"`{shlex.join(command)}` failed: {told}")
    return done.stdout

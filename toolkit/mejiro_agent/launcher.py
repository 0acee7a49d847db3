"""Keep the service running: start what the state says, restart it, go back from an abandoned trial.

A service manager starts this, and it starts ``mejiro-run run``. It counts the frames that come
out, so that a deploy can see them flow, and passes on what the run says on standard error.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import json
import os
import secrets
import selectors
import signal
import subprocess
import sys
import time
from collections import deque
from types import FrameType
from typing import Any

from mejiro_agent.errors import AgentError, one_line
from mejiro_agent.frames import Frames, Lines
from mejiro_agent.log import Log
from mejiro_agent.prepare import outdated
from mejiro_agent.programs import SERVICE_MARK, environment, kill_marked
from mejiro_agent.root import Root, active, holding, read_state, write_whole
from mejiro_agent.told import launcher_lock, program_digest
from mejiro_agent.trial import withdraw

FOLLOW_S = 0.3
TELL_S = 60.0  # SD cards wear; whoever wants to know sends SIGUSR1
TELL_TRIAL_S = 0.5
STOP_TIMEOUT_S = 10.0
REPLACE_TIMEOUT_S = 15.0
RESTART_S = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
SETTLED_S = 60.0
KEPT_LINES = 20
_PR_SET_PDEATHSIG = 1


def main(words: list[str]) -> int:
    """Run ``launch ROOT [--detached]`` until SIGTERM; return 2 for other words."""
    if len(words) not in (2, 3) or words[0] != "launch" or words[2:] not in ([], ["--detached"]):
        sys.stderr.write("usage: mejiro-agent.pyz launch ROOT [--detached]\n")
        return 2
    root = Root.at(words[1])
    root.run.mkdir(parents=True, exist_ok=True)
    detached = "--detached" in words
    log = Log(root.run / "service.log" if detached else None)
    handle = _take_over(root)
    try:
        return Launcher(root, log, detached=detached).run()
    finally:
        os.close(handle)


def _take_over(root: Root) -> int:
    """Become the only launcher of `root`: another one is told to end, and later made to."""
    handle = os.open(launcher_lock(root), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    start_s = time.monotonic()
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except OSError:
            text = os.pread(handle, 32, 0).strip()
        late = time.monotonic() > start_s + REPLACE_TIMEOUT_S
        if text.isdigit():
            with contextlib.suppress(OSError):
                os.kill(int(text), signal.SIGKILL if late else signal.SIGTERM)
        time.sleep(0.1)
    os.ftruncate(handle, 0)
    os.pwrite(handle, str(os.getpid()).encode(), 0)
    return handle


class Launcher:
    """Hold the run that goes on, what it was started for, and what it told."""

    def __init__(self, root: Root, log: Log, *, detached: bool) -> None:
        self.root, self.log, self.detached = root, log, detached
        self.program = program_digest(root)
        self.child: subprocess.Popen[bytes] | None = None
        self.state: dict[str, Any] = {}
        self.setting: dict[str, Any] = {"release": None, "run": None}
        self.frames = Frames()
        self.exits, self.last_error, self.since = 0, "", 0.0
        self.said: deque[str] = deque(maxlen=KEPT_LINES)
        self._stamp: tuple[int, int] | None = None
        self._selector = selectors.DefaultSelector()
        self._start_at = 0.0
        self._told_at, self._count = float("-inf"), 0
        self._asked, self._ending = False, False
        self._prctl = _load_prctl()

    def run(self) -> int:
        """Follow the state until SIGTERM."""
        signal.signal(signal.SIGTERM, self._end)
        signal.signal(signal.SIGINT, self._end)
        signal.signal(signal.SIGUSR1, self._ask)
        kill_marked_runs(self.root)
        try:
            while not self._ending:
                self.follow()
                if self.detached and self.setting["run"] is None:
                    break
                self.keep_running()
                self.pump(FOLLOW_S)
                self.tell()
        finally:
            self.stop()
        return 0

    def _end(self, number: int, frame: FrameType | None) -> None:
        self._ending = True

    def _ask(self, number: int, frame: FrameType | None) -> None:
        self._asked = True

    def follow(self) -> None:
        """Read the state if it changed; go back if its trial was abandoned."""
        try:
            if self.state.get("trial"):
                with holding(self.root) as free:
                    if free and withdraw(self.root) is not None:
                        self.log.write("the deploy was cut off; back to what ran before")
            found = self.root.state.stat() if self.root.state.exists() else None
            stamp = None if found is None else (found.st_mtime_ns, found.st_ino)
            if stamp == self._stamp and self.state:
                return
            self._stamp, self.state = stamp, read_state(self.root)
        except (AgentError, OSError) as error:
            self.log.write(f"the state cannot be read: {one_line(error)}")
            return
        setting = active(self.state)
        if setting != self.setting:
            self.stop()
            self.setting, self.exits, self._start_at = setting, 0, 0.0
            self.last_error = ""
            self.said.clear()
        self._told_at = float("-inf")

    def keep_running(self) -> None:
        """Start the run if it should go on and does not; later each time that it ends."""
        if self.child is not None and self.child.poll() is not None:
            self._take_leave()
        if self.child is None and self.setting["run"] and time.monotonic() >= self._start_at:
            self._start()

    def _take_leave(self) -> None:
        if self.child is None:
            return
        self.pump(0)
        code, lasted_s = self.child.returncode, time.time() - self.since
        self._forget()
        self._tell_outdated()
        self.exits = 1 if lasted_s > SETTLED_S else self.exits + 1
        wait_s = RESTART_S[min(self.exits, len(RESTART_S)) - 1]
        self._start_at = time.monotonic() + wait_s
        self.log.write(f"the run ended with code {code}; it starts again in {wait_s:g} s")
        self._told_at = float("-inf")

    def _start(self) -> None:
        release, run = self.setting["release"], self.setting["run"]
        program = self.root.mejiro_run(release)
        # The bundle's own path, not the link's: what was tuned lies beside it.
        command = [str(program), "run", str(self.root.bundle(release)), "--json"]
        self.frames, self.since = Frames(), time.time()
        self.log.write(f"starting release {release}")
        try:
            self.child = subprocess.Popen(
                [*command, *run["arguments"], *web_token(self.root, run["arguments"])],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=environment(self.root, f"{SERVICE_MARK}_RUN"),
                cwd=self.root.folder,
                preexec_fn=self._prctl,  # noqa: PLW1509 - there is one thread
            )
        except OSError as error:
            self.last_error = f"{program} cannot be started: {one_line(error)}"
            self._tell_outdated()
            self.exits += 1
            self._start_at = time.monotonic() + RESTART_S[min(self.exits, len(RESTART_S)) - 1]
            self.log.write(self.last_error)
            return
        for stream, take in ((self.child.stdout, self.frames.take), (self.child.stderr, self._say)):
            if stream is not None:
                os.set_blocking(stream.fileno(), False)
                self._selector.register(stream, selectors.EVENT_READ, Lines(take))

    def _tell_outdated(self) -> None:
        """Say it if the run cannot go on because its Python was replaced."""
        reason = outdated(self.root, self.setting["release"])
        if reason is not None:
            self.last_error = reason
            self.log.write(reason)

    def _say(self, line: str) -> None:
        if "error:" in line:
            self.last_error = line.split("error:", 1)[1].strip()
        self.said.append(line)
        self.log.write(line)

    def pump(self, timeout_s: float) -> None:
        """Take in what the run writes, for at most `timeout_s`."""
        if not self._selector.get_map():
            time.sleep(min(timeout_s, 0.1))
            return
        for key, _ in self._selector.select(timeout_s):
            with contextlib.suppress(BlockingIOError):
                piece = os.read(key.fd, 1 << 16)
                if piece:
                    key.data.add(piece)
                else:
                    self._selector.unregister(key.fileobj)

    def stop(self) -> None:
        """End the run, well if it can."""
        if self.child is None:
            return
        with contextlib.suppress(OSError):
            self.child.terminate()
        end_s = time.monotonic() + STOP_TIMEOUT_S
        while self.child.poll() is None:
            self.pump(0.05)  # it may wait for its last words to be read
            if time.monotonic() > end_s:
                self.child.kill()
        self._forget()

    def _forget(self) -> None:
        if self.child is None:
            return
        for stream in (self.child.stdout, self.child.stderr):
            if stream is not None:
                with contextlib.suppress(KeyError):
                    self._selector.unregister(stream)
                stream.close()
        self.child.wait()
        self.child = None

    def tell(self) -> None:
        """Write the status when it is due, or asked for."""
        period_s = TELL_TRIAL_S if self.state.get("trial") else TELL_S
        if not self._asked and time.monotonic() < self._told_at + period_s:
            return
        self._asked, self._told_at, self._count = False, time.monotonic(), self._count + 1
        value = {
            "pid": os.getpid(),
            "program": self.program,
            "count": self._count,
            "generation": self.state.get("generation"),
            "release": self.setting["release"],
            "child": self.child.pid if self.child else None,
            "since": self.since,
            "exits": self.exits,
            "last_error": self.last_error,
            "said": list(self.said),
            **self.frames.told(),
        }
        with contextlib.suppress(OSError):
            write_whole(self.root.status, json.dumps(value).encode())


def web_token(root: Root, words: list[str]) -> list[str]:
    """Return the words that keep the live page's token the same from one start to the next.

    None where there is no page, where its token was given, or where only this device sees it.
    """
    if "--web" not in words[:-1] or "--web-token-file" in words:
        return []
    host = words[words.index("--web") + 1].rpartition(":")[0].strip("[]")
    if host in ("localhost", "::1") or host.startswith("127."):
        return []
    if not root.token.is_file():
        handle = os.open(root.token, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w", encoding="ascii") as stream:
            stream.write(f"{secrets.token_urlsafe(16)}\n")
    return ["--web-token-file", str(root.token)]


def kill_marked_runs(root: Root) -> None:
    """End a run whose launcher was killed; it would hold the camera."""
    kill_marked(root, f"{SERVICE_MARK}_RUN")


def _load_prctl() -> Any:
    """Return what lets a child end with its parent, to be called in the child."""
    try:
        prctl = ctypes.CDLL(None).prctl
    except (OSError, AttributeError):
        return None

    def end_with_parent() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)

    return end_with_parent

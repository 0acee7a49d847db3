"""Know the folder that all of a device's releases live in, and keep its state whole.

state.json is the one truth about which release runs, and how. The link `current` follows it, for
people and scripts.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from mejiro_agent.errors import AgentError, one_line

STATE_SCHEMA = 1
LOCK_WAIT_S = 5.0
KEPT_RELEASES = 3


class Root(NamedTuple):
    """Name every file of the folder, and nothing else."""

    folder: Path

    @classmethod
    def at(cls, text: str) -> Root:
        """Return the root that a user named; `~` is the user's home."""
        return cls(Path(os.path.abspath(os.path.expanduser(text))))  # noqa: PTH100, PTH111 - a link stays

    @property
    def releases(self) -> Path:
        """What was uploaded, by the hash of its manifest."""
        return self.folder / "releases"

    @property
    def environments(self) -> Path:
        """Python environments, by the hash of what they are made of; releases share them."""
        return self.folder / "environments"

    @property
    def current(self) -> Path:
        """The link to the release in use."""
        return self.folder / "current"

    @property
    def state(self) -> Path:
        """What runs and how."""
        return self.folder / "state.json"

    @property
    def lock(self) -> Path:
        """Held by whoever changes anything."""
        return self.folder / "lock"

    @property
    def signers(self) -> Path:
        """Whose bundles are taken, once this is there."""
        return self.folder / "allowed_signers"

    @property
    def program(self) -> Path:
        """The agent's own code, which the service manager starts as the launcher."""
        return self.folder / "bin" / "mejiro-agent.pyz"

    @property
    def run(self) -> Path:
        """What a running service writes."""
        return self.folder / "run"

    @property
    def status(self) -> Path:
        """What the launcher tells of the service."""
        return self.run / "status.json"

    @property
    def token(self) -> Path:
        """The token of the live page, which stays the same from one start to the next."""
        return self.run / "web-token"

    @property
    def cache(self) -> Path:
        """What `mejiro-run` remembers of this machine."""
        return self.folder / "cache"

    def release(self, name: str) -> Path:
        """Return a release's folder."""
        return self.releases / name

    def bundle(self, name: str) -> Path:
        """Return the bundle of a release."""
        return self.releases / name / "bundle"

    def mejiro_run(self, name: str) -> Path:
        """Return the program of a release."""
        return self.releases / name / "env" / "bin" / "mejiro-run"


def make_folders(root: Root) -> None:
    """Make the folders that must be there; AgentError where nothing can be written."""
    try:
        for folder in (root.folder, root.releases, root.environments, root.run, root.cache):
            folder.mkdir(parents=True, exist_ok=True)
        root.program.parent.mkdir(exist_ok=True)
        root.run.chmod(0o700)  # what a service says may hold the token of its page
    except OSError as error:
        raise AgentError(
            f"{root.folder} cannot be written ({one_line(error)}); free or remount the disk, or "
            "name another folder with --root"
        ) from error


def write_whole(path: Path, data: bytes) -> None:
    """Replace `path` by `data` such that even a power cut leaves the old or the new."""
    beside = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        with beside.open("wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        beside.replace(path)
    finally:
        with contextlib.suppress(OSError):
            beside.unlink()
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make a rename in `folder` last."""
    with contextlib.suppress(OSError):  # not every file system can
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def empty_state() -> dict[str, Any]:
    """Return the state of a device on which nothing was ever deployed."""
    return {
        "schema": STATE_SCHEMA,
        "generation": 0,
        "current": {"release": None, "run": None},
        "trial": None,
        "history": [],
    }


def read_state(root: Root) -> dict[str, Any]:
    """Return the state; AgentError if a newer Mejiro wrote it, or it is no state."""
    try:
        value = json.loads(root.state.read_bytes())
    except FileNotFoundError:
        return empty_state()
    except ValueError as error:
        raise AgentError(f"{root.state} is damaged ({error}); remove it and deploy again") from None
    if not isinstance(value, dict) or set(value) != set(empty_state()):
        raise AgentError(f"{root.state} is no state of Mejiro's; remove it and deploy again")
    if value["schema"] != STATE_SCHEMA:
        raise AgentError(
            f"{root.state} has schema {value['schema']}, this Mejiro reads {STATE_SCHEMA}; "
            "deploy with the newer Mejiro"
        )
    return value


def write_state(root: Root, state: dict[str, Any]) -> dict[str, Any]:
    """Write the next generation of the state, let the link follow, and return the state."""
    state = {**state, "generation": state["generation"] + 1}
    write_whole(root.state, json.dumps(state, indent=2, sort_keys=True).encode() + b"\n")
    point_current(root, active(state)["release"])
    return state


def active(state: dict[str, Any]) -> dict[str, Any]:
    """Return what is to run now: a release and how, which may both be None."""
    setting: dict[str, Any] = state["trial"]["new"] if state["trial"] else state["current"]
    return setting


def point_current(root: Root, release: str | None) -> None:
    """Let the link `current` point to a release, by one rename; without a release it goes."""
    target = None if release is None else f"releases/{release}"
    try:
        found: str | None = str(root.current.readlink())
    except OSError:
        found = None
    if found == target:
        return
    if target is None:
        with contextlib.suppress(FileNotFoundError):
            root.current.unlink()
        return
    beside = root.folder / f".current.{os.getpid()}.new"
    with contextlib.suppress(FileNotFoundError):
        beside.unlink()
    beside.symlink_to(target)
    beside.replace(root.current)
    sync_folder(root.folder)


def try_lock(root: Root) -> int | None:
    """Take the lock and return its descriptor, or None where another holds it.

    The kernel frees it when the last process that has the descriptor ends, however it ends.
    """
    handle = os.open(root.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(handle)
        return None
    return handle


def take_lock(root: Root) -> int:
    """Take the lock; AgentError that names who holds it.

    It waits a little: a launcher takes the lock for a moment, and an ended deploy frees it late.
    """
    end_s = time.monotonic() + LOCK_WAIT_S
    while (handle := try_lock(root)) is None:
        if time.monotonic() > end_s:
            with contextlib.suppress(OSError, UnicodeDecodeError):
                holder = root.lock.read_text().strip()
                raise AgentError(
                    f"another deploy works on this device ({holder or 'just begun'}); "
                    "wait until it ends, then try again"
                )
        time.sleep(0.1)
    began = time.strftime("%H:%M:%S")
    os.ftruncate(handle, 0)
    os.pwrite(handle, f"process {os.getpid()}, since {began} of its clock".encode(), 0)
    return handle


@contextlib.contextmanager
def holding(root: Root) -> Iterator[bool]:
    """Hold the lock for a block if it is free; gives whether it was."""
    handle = try_lock(root)
    try:
        yield handle is not None
    finally:
        if handle is not None:
            os.close(handle)


def remember(history: list[str], release: str) -> list[str]:
    """Return the history with `release` as the newest of what was confirmed."""
    return [*(one for one in history if one != release), release][-KEPT_RELEASES:]


def remove_unused(
    root: Root, state: dict[str, Any], *, coming: str | None = None, environment: str | None = None
) -> list[str]:
    """Remove what none of the last releases needs; return the names of releases that went.

    `coming` is the release that is about to arrive, and `environment` the one that it will need.
    """
    kept = {*state["history"], state["current"]["release"], active(state)["release"]}
    gone = []
    for path in sorted(root.releases.iterdir()):
        if path.name not in kept and path.name not in (f"{coming}.part", coming):
            shutil.rmtree(path, ignore_errors=True)
            gone.append(path.name)
    used = {environment}
    for path in root.releases.iterdir():
        with contextlib.suppress(OSError):
            used.add((path / "env").readlink().name)
    for path in root.environments.iterdir():
        if path.name not in used:
            shutil.rmtree(path, ignore_errors=True)
    return gone

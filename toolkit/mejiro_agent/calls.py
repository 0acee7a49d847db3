"""List what a host may ask of a device."""

from __future__ import annotations

import contextlib
import errno
import json
import shutil
import socket
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from mejiro_agent import prepare, trial
from mejiro_agent.errors import AgentError
from mejiro_agent.follow import follow_log
from mejiro_agent.probe import free_bytes, probe, set_clock, temperature_celsius
from mejiro_agent.programs import SERVICE_MARK, kill_marked
from mejiro_agent.race import Scratch
from mejiro_agent.root import Root, active, read_state, remove_unused, write_state
from mejiro_agent.services import manager_of, remove_all
from mejiro_agent.session import Session
from mejiro_agent.told import ask_status
from mejiro_agent.upload import (
    SIGNATURE_NAME,
    Upload,
    check_name,
    check_signature,
)

Call = Callable[..., Any]


def use_root(session: Session, root: str) -> dict[str, Any]:
    """Work on another folder than the default, before anything else."""
    if session.locked:
        raise AgentError("the folder is chosen before the lock is taken")
    session.root = Root.at(root)
    return {"root": str(session.root.folder)}


def call_probe(session: Session) -> dict[str, Any]:
    """Tell what the device is and has, and what is deployed."""
    return {**probe(session.root), "state": read_state(session.root)}


def call_lock(session: Session) -> dict[str, Any]:
    """Take the lock; tell the trial that had to be undone, if any."""
    return {"undone": session.lock(), "state": read_state(session.root)}


def call_clock(session: Session, seconds: float) -> None:
    """Set the device's clock."""
    set_clock(seconds)


def call_port(session: Session, host: str, port: int) -> bool:
    """Say whether a server could listen there now."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        with socket.socket(family, socket.SOCK_STREAM) as probe_socket:
            probe_socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe_socket.bind((host, port))
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            return False
        raise AgentError(f"{host}:{port} cannot be listened on: {error.strerror}") from error
    return True


def _encoded(text: str | None) -> bytes | None:
    return None if text is None else text.encode()


def call_compare(session: Session, manifest: str) -> dict[str, Any]:
    """Tell what a deploy would have to bring; nothing is changed."""
    upload = Upload(session.root, manifest.encode(), b"", None)
    missing, found = upload.compare()
    ready = prepare.is_ready(session.root, upload.manifest)
    return {
        "release": upload.name,
        "missing": missing,
        "linked": len(found),
        "has_environment": ready,
    }


def call_begin(
    session: Session, manifest: str, sums: str, signature: str | None, signers: str | None
) -> dict[str, Any]:
    """Check the signature, and tell which files are missing."""
    root = session.demand_lock()
    data, signed = manifest.encode(), _encoded(signature)
    who = check_signature(root, data, signed, _encoded(signers))
    upload = session.upload = Upload(root, data, sums.encode(), signed)
    key = prepare.environment_key(data)
    remove_unused(root, read_state(root), coming=upload.name, environment=key)
    return {**upload.begin(), "signed_by": who}


def call_finish(session: Session) -> dict[str, Any]:
    """Check all that arrived, and let the release appear."""
    session.demand_lock()
    upload = session.upload
    if not isinstance(upload, Upload):
        raise AgentError("no upload was begun")
    upload.close()
    if upload.failure is not None:
        raise AgentError(f"the upload failed: {upload.failure}")
    upload.finish()
    session.upload = None
    return {"release": upload.name}


def _recheck(session: Session, release: str) -> Root:
    """Return the root, if the release is there and still signed as this device demands."""
    root = session.demand_lock()
    bundle = root.bundle(check_name(release))
    if not bundle.is_dir():
        raise AgentError(f"there is no release {release} on this device")
    signature = bundle / SIGNATURE_NAME
    signed = signature.read_bytes() if signature.is_file() else None
    check_signature(root, (bundle / "manifest.json").read_bytes(), signed, None)
    return root


def call_install(session: Session, release: str) -> dict[str, Any]:
    """Build or share the release's environment."""
    root = _recheck(session, release)
    return prepare.install(root, session.reader, release, session.tell)


def call_verify(session: Session, release: str) -> dict[str, Any]:
    """Replay the golden frames on the release."""
    return prepare.verify(_recheck(session, release), session.reader, release)


def call_tune(session: Session, release: str) -> dict[str, Any]:
    """Tune the release."""
    return prepare.tune(_recheck(session, release), session.reader, release)


def call_health(session: Session, release: str) -> dict[str, Any]:
    """Run synthetic frames through the release."""
    return prepare.check_health(_recheck(session, release), session.reader, release)


def call_bench(
    session: Session, release: str | None, words: Sequence[str], timeout_s: float
) -> dict[str, Any]:
    """Measure a release; None is the current one."""
    name = check_name(release or _current(session.root))
    found = prepare.bench(session.root, session.reader, name, words, timeout_s)
    return {"release": name, **found}


def _current(root: Root) -> str:
    """Return the release that runs; AgentError if there is none."""
    name = active(read_state(root))["release"]
    if name is None:
        raise AgentError("nothing is deployed on this device; deploy a bundle first")
    return str(name)


def call_take(session: Session) -> None:
    """Be ready to take in files for a race."""
    root = session.demand_lock()
    _current(root)
    call_forget(session)
    session.upload = Scratch(root)


def call_race(
    session: Session, names: Sequence[str], words: Sequence[str], timeout_s: float
) -> dict[str, Any]:
    """Let the files that were taken in race, by the engines of the current release."""
    root = session.demand_lock()
    if not isinstance(session.upload, Scratch):
        raise AgentError("no files were taken in for a race")
    return session.upload.race(root, session.reader, _current(root), names, words, timeout_s)


def call_forget(session: Session) -> None:
    """Remove what was taken in for a race."""
    if isinstance(session.upload, Scratch):
        session.upload.close()
        session.upload = None


def call_switch(session: Session, release: str, run: dict[str, Any] | None) -> dict[str, Any]:
    """Put a release on trial, and let the service run it."""
    root = _recheck(session, release)
    if not root.mejiro_run(release).is_file():
        raise AgentError(f"release {release} has no environment; deploy it again")
    session.install_program()
    manager_of(run)  # a manager that there is not is told before anything changes
    before = read_state(root)["current"]
    state = trial.begin(root, release, run)
    trial.serve(root, before)
    return state


def call_confirm(session: Session) -> dict[str, Any]:
    """End the trial well, and remove what no release needs any more."""
    root = session.demand_lock()
    state = trial.confirm(root)
    return {"state": state, "removed": remove_unused(root, state)}


def call_undo(session: Session) -> dict[str, Any] | None:
    """Go back to what ran before the trial."""
    return trial.undo(session.demand_lock())


def call_service(session: Session) -> dict[str, Any]:
    """Tell what the launcher tells now."""
    return ask_status(session.root)


def call_status(session: Session) -> dict[str, Any]:
    """Tell what is deployed and how it fares."""
    root = session.root
    state = read_state(root)
    service = ask_status(root) if root.run.is_dir() else {}
    service.pop("durations", None)
    return {
        "root": str(root.folder),
        "state": state,
        "service": service or None,
        "bundles": {name: _bundle_name(root, name) for name in _releases(root)},
        "temperature_celsius": temperature_celsius(),
        "free_bytes": free_bytes(root.folder),
        "clock": time.time(),
    }


def _releases(root: Root) -> list[str]:
    if not root.releases.is_dir():
        return []
    return sorted(path.name for path in root.releases.iterdir() if "." not in path.name)


def _bundle_name(root: Root, release: str) -> str | None:
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        return str(json.loads((root.bundle(release) / "manifest.json").read_bytes())["name"])
    return None


def call_log(session: Session, lines: int, follow: bool) -> None:
    """Send the last lines of the service's log, and go on doing so until the host says stop."""
    run = active(read_state(session.root))["run"] or {"manager": "detached"}
    manager = manager_of(run)
    if manager is not None:
        follow_log(session, manager.log(session.root, lines), follow=follow)


def call_uninstall(session: Session) -> dict[str, Any]:
    """Stop the service and remove all that was deployed, the folder's own lock last."""
    root = session.demand_lock()
    state = read_state(root)
    remove_all(root)
    write_state(root, {**state, "current": {"release": None, "run": None}, "history": []})
    kill_marked(root, SERVICE_MARK)
    freed = 0
    for folder in (root.releases, root.environments, root.cache, root.run, root.program.parent):
        freed += _size(folder)
        shutil.rmtree(folder, ignore_errors=True)
    for path in (root.current, root.state, root.signers, root.lock):
        with contextlib.suppress(FileNotFoundError):
            path.unlink()
    with contextlib.suppress(OSError):
        root.folder.rmdir()  # what a user put there stays
    return {"freed_bytes": freed, "left": root.folder.exists()}


def _size(folder: Path) -> int:
    seen: dict[int, int] = {}
    for path in folder.rglob("*"):
        with contextlib.suppress(OSError):
            found = path.lstat()
            seen[found.st_ino] = found.st_size
    return sum(seen.values())


CALLS: dict[str, Call] = {
    "root": use_root,
    "probe": call_probe,
    "lock": call_lock,
    "clock": call_clock,
    "port": call_port,
    "compare": call_compare,
    "begin": call_begin,
    "finish": call_finish,
    "install": call_install,
    "verify": call_verify,
    "tune": call_tune,
    "health": call_health,
    "bench": call_bench,
    "take": call_take,
    "race": call_race,
    "forget": call_forget,
    "switch": call_switch,
    "confirm": call_confirm,
    "undo": call_undo,
    "service": call_service,
    "status": call_status,
    "log": call_log,
    "uninstall": call_uninstall,
}

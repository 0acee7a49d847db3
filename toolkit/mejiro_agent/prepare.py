"""Make a release ready beside the one that runs: environment, verification, tuning, health."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from mejiro_agent.errors import AgentError
from mejiro_agent.probe import machine
from mejiro_agent.programs import Done, run
from mejiro_agent.root import Root, write_whole
from mejiro_agent.upload import MANIFEST_NAME, read_entries
from mejiro_agent.wire import Reader

READY_NAME = ".mejiro-ready"
INSTALLER_NAME = "install.sh"
# What of a bundle an environment is made of.
PARTS = ("wheels/", "installer/", INSTALLER_NAME, "constraints.txt")
INSTALL_TIMEOUT_S = 3600
VERIFY_TIMEOUT_S = 1800
TUNE_TIMEOUT_S = 3600
HEALTH_TIMEOUT_S = 600
HEALTH_FRAMES = 10
HEALTH_SOURCE = "synthetic:640x480"

_PYTHON = re.compile(r"python3\.[0-9]+t?")

Tell = Callable[[str], None]


def environment_key(manifest: bytes) -> str:
    """Return the hash of all that an environment is made of: wheels, installer, and this Python."""
    digest = hashlib.sha256(f"{machine()} {sys.version_info[:2]} {sys.executable}\n".encode())
    for path, entry in sorted(read_entries(manifest).items()):
        if path.startswith(PARTS):
            digest.update(f"{entry.sha256}  {path}\n".encode())
    return digest.hexdigest()[:16]


def is_ready(root: Root, manifest: bytes) -> bool:
    """Say whether the environment that a bundle needs is there."""
    return (root.environments / environment_key(manifest) / READY_NAME).is_file()


def install(root: Root, reader: Reader, release: str, tell: Tell) -> dict[str, Any]:
    """Build the release's environment by the bundle's install.sh, or share one that is the same.

    Environments lie in a folder of their own, since they cannot be moved once they are made; a
    release has a link. One that is no longer linked is removed with the last release that was.
    """
    bundle = root.bundle(release)
    if not (bundle / INSTALLER_NAME).is_file():
        raise AgentError(
            "the bundle has no install.sh, so it carries no wheels for a device; write it again "
            "with `mejiro bundle --target NAME`"
        )
    folder = root.environments / environment_key((bundle / MANIFEST_NAME).read_bytes())
    reused = (folder / READY_NAME).is_file()
    if not reused:
        shutil.rmtree(folder, ignore_errors=True)
        done = run(
            ["sh", INSTALLER_NAME, "--env", str(folder)],
            root=root, reader=reader, timeout_s=INSTALL_TIMEOUT_S, on_line=tell, folder=bundle,
        )  # fmt: skip
        if done.code != 0:
            shutil.rmtree(folder, ignore_errors=True)
            raise AgentError(f"the environment cannot be made: {done.reason}")
        if not (folder / "bin" / "mejiro-run").is_file():
            raise AgentError("install.sh made an environment without mejiro-run; write it again")
        os.sync()
        write_whole(folder / READY_NAME, b"")
    link = root.release(release) / "env"
    beside = root.release(release) / f".env.{os.getpid()}"
    beside.unlink() if beside.is_symlink() else None
    beside.symlink_to(os.path.relpath(folder, root.release(release)))
    beside.replace(link)
    return {"reused": reused, "environment": folder.name}


def outdated(root: Root, release: str) -> str | None:
    """Return why a release's environment runs no more, if its Python was replaced since.

    On a system whose packages move, Termux above all, an upgrade may bring another Python.
    """
    environment = root.release(release) / "env"
    program = Path(os.path.realpath(environment / "bin" / "python"))
    made_for = sorted(path.name for path in environment.glob("lib/python3*"))
    if not made_for or not _PYTHON.fullmatch(program.name):
        return None
    if program.exists() and program.name in made_for:
        return None
    found = f"is now {program.name}" if program.exists() else "is gone"
    return f"the environment is for {made_for[0]}, which {found} on this device; deploy again"


def _call(root: Root, reader: Reader, release: str, words: Sequence[str], timeout_s: float) -> Done:
    bundle = str(root.bundle(release))
    command = [str(root.mejiro_run(release)), words[0], bundle, "--json", *words[1:]]
    return run(command, root=root, reader=reader, timeout_s=timeout_s, folder=root.folder)


def verify(root: Root, reader: Reader, release: str) -> dict[str, Any]:
    """Replay the golden frames; AgentError that names the first difference."""
    done = _call(root, reader, release, ["verify"], VERIFY_TIMEOUT_S)
    value = parse(done.output)
    if done.code == 0:
        return value
    for artifact in value.get("artifacts") or ():
        if not artifact.get("passed", True):
            what = artifact.get("difference") or "its answers differ"
            raise AgentError(f"golden frames: {artifact.get('artifact')}: {what}")
    raise AgentError(f"golden frames: {done.reason}")


def tune(root: Root, reader: Reader, release: str) -> dict[str, Any]:
    """Find what runs the release fastest, unless that was done; a failure is told, no more."""
    if (root.release(release) / "bundle.tuned.json").is_file():
        return {"kept": True}
    done = _call(root, reader, release, ["tune"], TUNE_TIMEOUT_S)
    if done.code != 0:
        return {"failed": done.reason}
    value = parse(done.output)
    return {"choice": value.get("choice") or value.get("chosen")}


def check_health(root: Root, reader: Reader, release: str) -> dict[str, Any]:
    """Run synthetic frames through the release; AgentError if they do not come out."""
    words = ["run", "--source", HEALTH_SOURCE, "--frames", str(HEALTH_FRAMES)]
    done = _call(root, reader, release, words, HEALTH_TIMEOUT_S)
    if done.code != 0:
        raise AgentError(f"synthetic frames: {done.reason}")
    frames = sum('"age_ns"' in line for line in done.output.splitlines())
    if frames < HEALTH_FRAMES:
        raise AgentError(f"synthetic frames: {frames} of {HEALTH_FRAMES} came out")
    return {"frames": frames}


def bench(
    root: Root, reader: Reader, release: str, words: Sequence[str], timeout_s: float
) -> dict[str, Any]:
    """Measure the release; return the report and the exit code, 1 if a requirement failed.

    AgentError if there is no report.
    """
    done = _call(root, reader, release, ["bench", *words], timeout_s)
    value = parse(done.output)
    if not value:
        raise AgentError(f"bench: {done.reason}")
    return {"report": value, "code": done.code}


def parse(text: str) -> dict[str, Any]:
    """Return the JSON object that a program printed; an empty one if it printed none."""
    try:
        value = json.loads(text)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}

"""Put a release on trial, confirm it, or go back: whoever dies meanwhile, the old one runs again.

A trial is recorded in state.json before anything changes. While it is recorded, its agent holds
the lock; when the lock is free, the trial has been abandoned, and the launcher or the next agent,
whichever is first, goes back.
"""

from __future__ import annotations

import time
from typing import Any

from mejiro_agent.detached import Detached
from mejiro_agent.errors import AgentError
from mejiro_agent.root import Root, active, point_current, read_state, remember, write_state
from mejiro_agent.services import manager_of


def begin(root: Root, release: str, run: dict[str, Any] | None) -> dict[str, Any]:
    """Record the trial of `release`, and let everything follow it; return the state.

    `run` says how the service runs it: the words after ``mejiro-run run BUNDLE`` and the manager.
    """
    state = read_state(root)
    if state["trial"] is not None:
        raise AgentError("a trial is recorded already, which should have been undone")
    old = state["current"]
    new = {"release": release, "run": run}
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    return write_state(root, {**state, "trial": {"old": old, "new": new, "since": now}})


def serve(root: Root, old: dict[str, Any]) -> None:
    """Let the service manager do what the state says; `old` is what ran before."""
    setting = active(read_state(root))
    run = setting["run"]
    manager, former = manager_of(run), manager_of(old["run"])
    changed = manager is None or run["manager"] != (old["run"] or run)["manager"]
    # A new launcher ends a detached one by itself, and then there is none at no time.
    if former is not None and changed and (manager is None or not isinstance(former, Detached)):
        former.remove(root)
    if manager is not None:
        manager.install(root, setting["release"])


def confirm(root: Root) -> dict[str, Any]:
    """End the trial well: what was new is current; return the state."""
    state = read_state(root)
    trial = state["trial"]
    if trial is None:
        raise AgentError("no trial is recorded, so nothing can be confirmed")
    history = remember(state["history"], trial["new"]["release"])
    return write_state(root, {**state, "current": trial["new"], "trial": None, "history": history})


def withdraw(root: Root) -> dict[str, Any] | None:
    """Undo the trial in the state, and return what it was; None if there was none.

    Nothing but files changes: a launcher that runs follows by itself.
    """
    state = read_state(root)
    trial: dict[str, Any] | None = state["trial"]
    if trial is not None:
        write_state(root, {**state, "trial": None})
    else:
        # Somebody may have died between writing the state and its link.
        point_current(root, active(state)["release"])
    return trial


def undo(root: Root) -> dict[str, Any] | None:
    """Undo the trial, if there is one, in the state and in the service manager; return it."""
    trial = withdraw(root)
    if trial is not None:
        serve(root, trial["new"])
    return trial

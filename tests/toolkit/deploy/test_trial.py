from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mejiro_agent import root as root_module
from mejiro_agent import trial
from mejiro_agent.errors import AgentError
from mejiro_agent.root import (
    KEPT_RELEASES,
    Root,
    active,
    make_folders,
    read_state,
    remember,
    remove_unused,
    take_lock,
    try_lock,
    write_whole,
)

NAMES = [f"{n:016x}" for n in range(5)]


class Died(Exception):
    """Stands for SIGKILL: nothing is caught, nothing is undone."""


def _linked(root: Root) -> str | None:
    return root.current.readlink().name if root.current.is_symlink() else None


@given(
    st.lists(st.tuples(st.sampled_from(["begin", "confirm", "withdraw"]), st.sampled_from(NAMES)))
)
def test_the_link_follows_the_state_whatever_is_done(
    tmp_path_factory: pytest.TempPathFactory, doings: list[tuple[str, str]]
) -> None:
    root = Root.at(str(tmp_path_factory.mktemp("root")))
    make_folders(root)
    confirmed: str | None = None
    on_trial: str | None = None
    for doing, name in doings:
        if doing == "begin" and on_trial is None:
            trial.begin(root, name, None)
            on_trial = name
        elif doing == "confirm" and on_trial is not None:
            trial.confirm(root)
            confirmed, on_trial = on_trial, None
        elif doing == "withdraw":
            trial.withdraw(root)
            on_trial = None
        state = read_state(root)
        assert active(state)["release"] == (on_trial or confirmed) == _linked(root)
        assert len(state["history"]) <= KEPT_RELEASES
        assert state["history"][-1:] == ([confirmed] if confirmed else [])


@pytest.mark.parametrize("point", range(6))
@pytest.mark.parametrize("doing", ["begin", "confirm", "withdraw"])
def test_a_death_at_any_point_leaves_the_old_or_the_confirmed(
    root: Root, monkeypatch: pytest.MonkeyPatch, doing: str, point: int
) -> None:
    old, new = NAMES[:2]
    trial.begin(root, old, None)
    trial.confirm(root)
    if doing != "begin":
        trial.begin(root, new, None)
    _die_at(monkeypatch, point)
    died = False
    try:
        trial.begin(root, new, None) if doing == "begin" else getattr(trial, doing)(root)
    except Died:
        died = True
    monkeypatch.undo()
    trial.withdraw(root)  # what the launcher does, and the next agent
    state = read_state(root)
    assert state["trial"] is None
    expected = {old, new} if doing == "confirm" else {old}
    assert state["current"]["release"] in expected
    assert _linked(root) == state["current"]["release"]
    if doing == "confirm" and not died:
        assert state["current"]["release"] == new


def _die_at(monkeypatch: pytest.MonkeyPatch, point: int) -> None:
    """Die before the `point`-th thing that changes the disk."""
    count = 0
    for owner, name in (
        (Path, "replace"),
        (Path, "open"),
        (Path, "symlink_to"),
        (root_module, "sync_folder"),
    ):
        genuine: Any = getattr(owner, name)

        def change(*arguments: Any, genuine: Any = genuine, **options: Any) -> Any:
            nonlocal count
            count += 1
            if count > point:
                raise Died
            return genuine(*arguments, **options)

        monkeypatch.setattr(owner, name, change)


def test_a_second_trial_waits_for_the_first(root: Root) -> None:
    trial.begin(root, NAMES[0], None)
    with pytest.raises(AgentError, match="recorded already"):
        trial.begin(root, NAMES[1], None)


def test_nothing_is_confirmed_without_a_trial(root: Root) -> None:
    with pytest.raises(AgentError, match="nothing can be confirmed"):
        trial.confirm(root)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"schema": 1}'])
def test_a_damaged_state_is_told(root: Root, text: str) -> None:
    root.state.write_text(text, encoding="utf-8")
    with pytest.raises(AgentError, match="remove it and deploy again"):
        read_state(root)


def test_a_newer_state_is_left_alone(root: Root) -> None:
    state = trial.begin(root, NAMES[0], None)
    root.state.write_text(str({**state, "schema": 2}).replace("'", '"').replace("None", "null"))
    with pytest.raises(AgentError, match="schema 2"):
        read_state(root)


def test_the_lock_is_held_once(root: Root, monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    monkeypatch.setattr(root_module, "LOCK_WAIT_S", 0.0)
    handle = take_lock(root)
    assert try_lock(root) is None
    with pytest.raises(AgentError, match=rf"process {os.getpid()}, since"):
        take_lock(root)
    os.close(handle)
    os.close(take_lock(root))


def test_a_file_that_cannot_be_written_is_left_as_it_was(
    root: Root, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = root.folder / "file"
    write_whole(path, b"old")

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_whole(path, b"new")
    assert path.read_bytes() == b"old"
    assert [one.name for one in root.folder.glob(".file*")] == []


def test_three_releases_stay_with_their_environments(root: Root) -> None:
    for number, name in enumerate(NAMES):
        (root.bundle(name)).mkdir(parents=True)
        (root.environments / f"env{number // 2}").mkdir(exist_ok=True)
        (root.release(name) / "env").symlink_to(f"../../environments/env{number // 2}")
        trial.begin(root, name, None)
        state = trial.confirm(root)
    (root.releases / f"{NAMES[0]}.part").mkdir()
    remove_unused(root, state)
    assert sorted(path.name for path in root.releases.iterdir()) == NAMES[-3:]
    assert sorted(path.name for path in root.environments.iterdir()) == ["env1", "env2"]


@given(st.lists(st.sampled_from(NAMES), max_size=8))
def test_the_history_is_short_and_names_each_once(names: list[str]) -> None:
    history: list[str] = []
    for name in names:
        history = remember(history, name)
        assert history[-1] == name
    assert len(history) == len(set(history)) <= KEPT_RELEASES

from __future__ import annotations

import errno
import os
from collections.abc import Iterator

import pytest

from mejiro_agent import serve
from mejiro_agent.errors import AgentError, Cut
from mejiro_agent.root import Root
from mejiro_agent.session import Session
from mejiro_agent.upload import Upload
from mejiro_agent.wire import Frame, Reader, send


@pytest.fixture
def host(root: Root) -> Iterator[tuple[Session, int, Reader]]:
    """Return a session, where its host writes, and what its host reads with."""
    from_host, to_session = os.pipe()
    from_session, to_host = os.pipe()
    session = Session(Reader(from_host), to_host, b"the agent")
    session.root = root
    yield session, to_session, Reader(from_session)
    session.close()
    for handle in (from_host, to_session, from_session, to_host):
        os.close(handle)


def test_a_host_that_falls_silent_with_the_lock_is_gone(
    host: tuple[Session, int, Reader], monkeypatch: pytest.MonkeyPatch
) -> None:
    session, _, _ = host
    monkeypatch.setattr(serve, "SILENCE_WITH_LOCK_S", 0.01)
    session.lock()
    with pytest.raises(Cut, match="silent"):
        serve.answer(session)


def test_what_a_full_disk_stops_is_told_at_the_end(
    host: tuple[Session, int, Reader], monkeypatch: pytest.MonkeyPatch
) -> None:
    session, to_session, reader = host
    session.lock()
    entry = '{"files": {"a": {"size_bytes": 3, "sha256": "' + "0" * 64 + '"}}}'
    session.upload = Upload(session.root, entry.encode(), b"", None)
    session.upload.begin()

    def full(*arguments: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(session.upload, "write", full)
    for frame in (Frame({"file": "a", "offset": 0}), Frame({"piece": True}, b"abc")):
        send(to_session, frame)
        serve.answer(session)
    send(to_session, Frame({"piece": True}, b"more"))
    serve.answer(session)
    send(to_session, Frame({"call": "finish"}))
    serve.answer(session)
    assert reader.frame(5).header == {"error": "the upload failed: No space left on device"}


def test_what_changes_anything_demands_the_lock(host: tuple[Session, int, Reader]) -> None:
    session, _, _ = host
    with pytest.raises(AgentError, match="did not ask for the lock"):
        session.demand_lock()
    session.lock()
    assert session.demand_lock() == session.root
    assert session.lock() is None


def test_a_goodbye_ends_the_talk(host: tuple[Session, int, Reader]) -> None:
    session, to_session, _ = host
    send(to_session, Frame({"call": "goodbye"}))
    assert serve.answer(session) is False
